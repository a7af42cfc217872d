//! How often a measure was as large in the past of the series. No distribution is assumed: counters hold the ranks, and
//! beyond them, the tail continues as the largest values of the series suggest.

use serde::{Deserialize, Serialize};

use super::logarithm::{log2, log10};

/// Counters, four for each doubling of the measure, from 1/4 to 64.
const BINS: usize = 32;
const BINS_PER_DOUBLING: f32 = 4.0;
const LOWEST_POWER: f32 = -2.0;

/// The numbers of the counters.
const NUMBERS: [i16; BINS] = [
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25,
    26, 27, 28, 29, 30, 31,
];

/// When they hold this many samples, all counters are halved: the past is forgotten slowly.
const SAMPLES_MAX: u16 = 8_192;

/// A tail is estimated from at least this many samples.
const TAIL_SAMPLES_MIN: f32 = 8.0;

/// What is known about a tail before the series has shown its own: it counts as this many samples of it.
const PRIOR_SAMPLES: f32 = 8.0;

/// What is known about the tail of a measure.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tail {
    /// It is estimated from this share of the past, the largest samples.
    share: f32,
    /// The mean excess of the prior samples, in counters: 4 / (ln 2 · exponent).
    prior_excess: f32,
    /// What the past has this often is a part of it, and no rarer than that; what it has less often may be a fault that came
    /// back.
    recurrences_min: u16,
}

impl Tail {
    /// Moves: they fall with the third power, as returns do (Gabaix et al., Nature 423, 2003, pages 267 to 270).
    pub(super) const OF_MOVES: Self = Self {
        share: 0.02,
        prior_excess: 1.92,
        recurrences_min: u16::MAX,
    };

    /// Waits and runs. If events are independent, they fall exponentially: the largest fiftieth exceed its limit of
    /// ln 50 means by one mean, which is a power of about four. Events come in bursts, so only the largest hundredth
    /// are waits between bursts. A market that is closed at night or at weekends has waits that are far from all others,
    /// and come back.
    pub(super) const OF_WAITS: Self = Self {
        share: 0.01,
        prior_excess: 1.44,
        recurrences_min: 4,
    };
}

/// The past of one measure.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Past {
    counts: [u16; BINS],
    total: u16,
}

impl Past {
    /// How rare a measure is: minus the decimal logarithm of the share of the past that was as large. Then adds it.
    pub(super) fn rank(&mut self, measure: f32) -> f32 {
        let bin = bin_of(position(measure));
        // Without a branch, and in numbers as narrow as the counters, so that the compiler adds eight at a time.
        let this = i16::try_from(bin).unwrap_or_default();
        let is_above = NUMBERS.map(|number| if number > this { u16::MAX } else { 0 });
        let masked = is_above.iter().zip(&self.counts);
        let above: u16 = masked.map(|(mask, count)| mask & count).sum();
        let same = self.counts.get(bin).copied().unwrap_or_default();
        let as_large = f32::from(above) + 0.5 * f32::from(same) + 0.5;
        let share = as_large / (f32::from(self.total) + 1.0);
        self.add_to(bin);
        -log10(share.min(1.0))
    }

    /// Adds a measure.
    pub(super) fn add(&mut self, measure: f32) {
        self.add_to(bin_of(position(measure)));
    }

    fn add_to(&mut self, bin: usize) {
        if let Some(count) = self.counts.get_mut(bin) {
            *count += 1;
            self.total += 1;
        }
        if self.total >= SAMPLES_MAX {
            for count in &mut self.counts {
                *count /= 2;
            }
            self.total = self.counts.iter().sum();
        }
    }

    /// How many samples are in it.
    pub(super) fn samples(&self) -> u16 {
        self.total
    }

    /// The probability of a measure as large, even if it exceeds all of the past: above the largest samples, it falls
    /// with a power of the measure, as they do (Hill's estimator, on the counters). What recurs is at least as probable as
    /// it was frequent.
    pub(super) fn tail_probability(&self, measure: f32, tail: Tail) -> f32 {
        let as_large = self.as_large(position(measure));
        let frequency = if as_large < tail.recurrences_min {
            0.0
        } else {
            f32::from(as_large) / (f32::from(self.total) + 1.0)
        };
        frequency.max(self.beyond_largest(measure, tail))
    }

    /// How many samples were as large.
    fn as_large(&self, position: f32) -> u16 {
        // The last counter also has what exceeds it, of which the size is not known.
        if position >= as_f32(BINS) {
            return 0;
        }
        self.counts.iter().skip(bin_of(position)).sum()
    }

    fn beyond_largest(&self, measure: f32, tail: Tail) -> f32 {
        let total = f32::from(self.total);
        let wanted = (tail.share * total).max(TAIL_SAMPLES_MIN);
        let (mut weight, mut excess_sum, mut first) = (0.0_f32, 0.0_f32, as_f32(BINS));
        for count in self.counts.iter().rev().copied().map(f32::from) {
            if weight > 0.0 && weight + count >= wanted {
                break;
            }
            // What was counted before is now one counter further above the first of the tail.
            first -= 1.0;
            excess_sum += weight + 0.5 * count;
            weight += count;
        }
        let excess = position(measure) - first;
        if excess <= 0.0 {
            return 1.0;
        }
        let mean_excess =
            (excess_sum + PRIOR_SAMPLES * tail.prior_excess) / (weight + PRIOR_SAMPLES);
        ((weight + 0.5) / (total + 1.0)).min(1.0) * (-excess / mean_excess).exp()
    }
}

/// The position of a measure on the scale of the counters.
fn position(measure: f32) -> f32 {
    (log2(measure) - LOWEST_POWER) * BINS_PER_DOUBLING
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to the counters"
)]
fn bin_of(position: f32) -> usize {
    position.clamp(0.0, as_f32(BINS - 1)) as usize
}

#[expect(clippy::cast_precision_loss, reason = "a small count")]
const fn as_f32(count: usize) -> f32 {
    count as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measure_is_as_rare_as_its_share_of_the_past() {
        let mut past = Past::default();
        for n in 0..1_000_u16 {
            past.add(if n % 10 == 0 { 8.0 } else { 1.0 });
        }
        let rank = |measure| past.clone().rank(measure);
        assert!((rank(8.0) - 1.3).abs() < 0.01, "half of its own 10 %");
        assert!(rank(1.0) < 0.3);
        assert!(rank(60.0) > 3.0, "never seen");
    }

    #[test]
    fn the_tail_continues_as_the_past_does() {
        // P(measure > x) = x^-alpha
        let of = |alpha: f32| {
            let mut past = Past::default();
            for n in 1..=8_000_u16 {
                past.add((f32::from(n) / 8_001.0).powf(-1.0 / alpha));
            }
            past
        };
        for alpha in [2.0, 3.0, 5.0] {
            let expected = 40.0_f32.powf(-alpha).log10();
            let estimated = of(alpha).tail_probability(40.0, Tail::OF_MOVES).log10();
            assert!(
                (estimated - expected).abs() < 0.25 * expected.abs(),
                "{alpha}: {estimated}, not {expected}"
            );
        }
    }

    #[test]
    fn what_was_seen_is_as_frequent_as_it_was() {
        let mut past = Past::default();
        for n in 0..1_200_u16 {
            past.add(if n % 120 == 119 { 48.0 } else { 1.0 });
        }
        let of = |measure| past.tail_probability(measure, Tail::OF_WAITS);
        assert!((of(48.0) - 1.0 / 120.0).abs() < 1e-3, "{}", of(48.0));
        assert!(of(70.0) < 1.0 / 120.0 && of(200.0) < 1.0 / 300.0);
        // Moves are as rare as they were by their size alone: a jump does not hide the next ones.
        assert!(past.tail_probability(48.0, Tail::OF_MOVES) < 1.0 / 120.0);
    }

    #[test]
    fn waits_have_thinner_tails_than_moves_until_the_past_shows_its_own() {
        let largest = |samples: u16| {
            let mut past = Past::default();
            for n in 1..=samples {
                past.add((f32::from(n) / f32::from(samples + 1)).powf(-0.5));
            }
            let four_times = 4.0 * f32::from(samples + 1).sqrt();
            let of = |tail| past.tail_probability(four_times, tail);
            of(Tail::OF_MOVES) / of(Tail::OF_WAITS)
        };
        assert!(largest(200) > 1.5 * largest(8_000));
    }

    #[test]
    fn the_past_is_forgotten() {
        let mut past = Past::default();
        for _ in 0..5_000 {
            past.add(20.0);
        }
        let rarity = past.clone().rank(20.0);
        for _ in 0..60_000 {
            past.add(1.0);
        }
        assert!(past.rank(20.0) > rarity + 1.5);
        assert!(past.total < SAMPLES_MAX);
    }

    #[test]
    fn measures_without_a_size_are_in_the_first_counter() {
        let mut past = Past::default();
        for measure in [0.0, -1.0, f32::NAN] {
            past.add(measure);
        }
        assert_eq!(past.total, 3);
        assert!(past.clone().rank(1.0) > past.rank(0.0));
    }
}
