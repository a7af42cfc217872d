//! Ticks that the stream refused come back from the redrive queue.

use std::sync::Arc;

use domain::Tick;

use crate::ports::{PortError, TickStream};

/// Brings refused ticks back to the stream.
pub struct Redrive {
    /// The stream.
    pub stream: Arc<dyn TickStream>,
}

impl Redrive {
    /// Appends ticks again and answers those that are refused once more: they belong back in the
    /// queue.
    ///
    /// # Errors
    /// [`PortError`] where the stream did not answer: all of them belong back in the queue.
    pub async fn bring_back(&self, ticks: &[Tick]) -> Result<Vec<Tick>, PortError> {
        let all: Vec<&Tick> = ticks.iter().collect();
        let refused = self.stream.append(&all, None).await?;
        Ok(refused
            .iter()
            .filter_map(|refused| ticks.get(refused.index).cloned())
            .collect())
    }
}
