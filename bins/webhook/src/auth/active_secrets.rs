//! Which secrets a delivery is judged by: fixed ones, or those of a parameter that changes while the process lives.

use std::sync::Arc;

use async_trait::async_trait;

use super::secrets::Secrets;

/// The secrets have not been read for so long that no delivery may be judged by them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the secrets of the senders were last read {seconds} s ago, and {max} s are allowed")]
pub struct SecretsTooOld {
    /// How long ago.
    pub seconds: u64,
    /// The most that is allowed.
    pub max: u64,
}

/// Where the secrets are from.
#[async_trait]
pub trait ActiveSecrets: Send + Sync {
    /// Those of now.
    ///
    /// # Errors
    /// [`SecretsTooOld`] if they cannot be read.
    async fn current(&self) -> Result<Arc<Secrets>, SecretsTooOld>;
}

/// Secrets that only a new start changes.
#[derive(Debug)]
pub struct FixedSecrets(Arc<Secrets>);

impl FixedSecrets {
    /// These.
    #[must_use]
    pub fn new(secrets: Secrets) -> Self {
        Self(Arc::new(secrets))
    }
}

#[async_trait]
impl ActiveSecrets for FixedSecrets {
    async fn current(&self) -> Result<Arc<Secrets>, SecretsTooOld> {
        Ok(Arc::clone(&self.0))
    }
}
