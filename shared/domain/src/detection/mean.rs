//! An exponentially weighted mean.

use serde::{Deserialize, Serialize};

/// The mean over a span of samples; newer ones weigh more. It starts as the plain mean.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Mean(f32);

impl Mean {
    /// Adds a sample. `share` is 1 divided by the number of samples so far, this one included.
    pub(crate) fn add(&mut self, value: f32, span: f32, share: f32) {
        let weight = (2.0 / (span + 1.0)).max(share);
        self.0 += weight * (value - self.0);
    }

    pub(crate) fn get(self) -> f32 {
        self.0
    }
}
