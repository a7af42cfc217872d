//! Times in which a series moves more than it ever did, although none of its moves is a jump.

use serde::{Deserialize, Serialize};

use super::mean::Mean;
use super::past::Past;

/// The moves of about this many samples are compared with what is usual; each counts with at most this multiple of
/// it, so that a jump is none.
const SPAN: u8 = 16;
const RATIO_MAX: f32 = 8.0;

/// Less is not judged, and ends a burst.
const RATIO_MIN: f32 = 2.0;

/// No judgement before that many samples.
const SAMPLES_MIN: u32 = 64;

/// The sizes of recent moves, and their past.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Bursts {
    recent: Mean,
    past: Past,
    is_reported: bool,
}

/// A time of large moves.
#[derive(Debug, Clone, Copy)]
pub(super) struct Burst {
    /// The share of the samples after which as much movement is expected.
    pub(super) probability: f32,
    /// By how many times the moves are larger than usual.
    pub(super) ratio: f32,
    pub(super) samples: f32,
}

impl Bursts {
    /// Adds a move, as a multiple of the usual one. Returns the burst that it is in, until that was reported.
    pub(super) fn add(&mut self, ratio: f32, samples: u32) -> Option<Burst> {
        let span = f32::from(SPAN);
        #[expect(clippy::cast_precision_loss, reason = "its reciprocal is what counts")]
        let share = 1.0 / samples.max(1) as f32;
        self.recent.add(ratio.min(RATIO_MAX), span, share);
        let ratio = self.recent.get();
        let probability = (ratio >= RATIO_MIN && samples >= SAMPLES_MIN && !self.is_reported)
            .then(|| self.past.tail_probability(ratio));
        if samples > u32::from(SPAN) {
            self.past.add(ratio);
        }
        self.is_reported &= ratio >= RATIO_MIN;
        Some(Burst {
            // Samples in a row share their moves: only each sixteenth is one more chance.
            probability: probability? / span,
            ratio,
            samples: span,
        })
    }

    /// A burst is reported once.
    pub(super) fn was_reported(&mut self) {
        self.is_reported = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The least probable burst in 2,000 usual moves that are followed by others.
    fn least(moves: &[f32]) -> f32 {
        let mut bursts = Bursts::default();
        let usual = (0..2_000_u16).map(|n| 0.5 + f32::from(n * 7 % 11) / 10.0);
        let all = usual.chain(moves.iter().copied());
        let found = all
            .zip(1..)
            .filter_map(|(ratio, samples)| bursts.add(ratio, samples));
        found.map(|it| it.probability).fold(1.0, f32::min)
    }

    #[test]
    fn many_large_moves_are_a_burst_and_one_is_none() {
        assert!(least(&[5.0; 20]) < 1e-6);
        assert_eq!(least(&[500.0]), 1.0);
    }
}
