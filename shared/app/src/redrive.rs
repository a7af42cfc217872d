//! Appends ticks from the redrive queue, which the stream had refused, to the stream.

use std::sync::Arc;

use domain::Tick;

use crate::ports::{PortError, TickStream};

/// Appends refused ticks to the stream again.
pub struct Redrive {
    /// The stream.
    pub stream: Arc<dyn TickStream>,
}

impl Redrive {
    /// Appends ticks again and returns those that were refused again: they must stay in the queue.
    ///
    /// # Errors
    /// [`PortError`] if the stream did not respond: all of the ticks must stay in the queue.
    pub async fn append_again(&self, ticks: &[Tick]) -> Result<Vec<Tick>, PortError> {
        let all: Vec<&Tick> = ticks.iter().collect();
        let refused = self.stream.append(&all, None).await?;
        Ok(refused
            .iter()
            .filter_map(|refused| ticks.get(refused.index).cloned())
            .collect())
    }
}
