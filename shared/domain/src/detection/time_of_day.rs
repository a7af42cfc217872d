//! Values outside the range that the series has at this time of day (UTC).

use serde::{Deserialize, Serialize};

use super::anomaly_kind::{AnomalyKind, Direction, Quantity};
use super::mean::Mean;
use super::statistic::{Observed, Sample, Statistic};
use crate::MS_PER_DAY;

/// The half hours of a day, in three parts: serde supports arrays of up to 32.
const SLOTS: usize = 48;
type Slots = [[Slot; SLOTS / 3]; 3];

/// The share of its width by which a range shrinks towards its middle each time the series comes back to it.
const SHRINKING: f32 = 0.1;

/// A slot has a range once it has this many samples.
const SAMPLES_MIN: u16 = 4;

/// The mean distance from the middle is taken over this many samples.
const DISTANCE_SPAN: f32 = 1_000.0;

/// How far a value is outside the range of its half hour and the neighbouring ones, in multiples of the mean distance from
/// the middle of that range.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct TimeOfDay {
    slots: Slots,
    /// The slot of the last sample, plus 1; 0 before the first.
    current: u8,
    distance: Mean,
    distances: u32,
    /// The range of the current slot and its neighbours, and how far outside of it the last sample was.
    low: f32,
    high: f32,
    outside: f32,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct Slot {
    low: f32,
    high: f32,
    samples: u16,
}

impl TimeOfDay {
    /// Enters a slot: its range shrinks, and the range to compare with is the union of its own and its neighbours'.
    fn enter(&mut self, at: usize) {
        let slots = self.slots.as_flattened_mut();
        if let Some(slot) = slots.get_mut(at) {
            let shrinking = SHRINKING * 0.5 * (slot.high - slot.low);
            slot.low += shrinking;
            slot.high -= shrinking;
        }
        let near = [at, at + 1, at + SLOTS - 1].map(|at| slots.get(at % SLOTS));
        let near = near.into_iter().flatten().filter(|slot| slot.samples > 0);
        (self.low, self.high) = near.fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), it| {
            (low.min(it.low), high.max(it.high))
        });
    }
}

impl Statistic for TimeOfDay {
    fn measure(&mut self, sample: &Sample) -> f32 {
        let slot_number = sample.timestamp_ms.rem_euclid(MS_PER_DAY) / (MS_PER_DAY / 48);
        let slot_number = u8::try_from(slot_number).unwrap_or_default();
        let at = usize::from(slot_number);
        if self.current != slot_number + 1 {
            self.current = slot_number + 1;
            self.enter(at);
        }
        let Some(slot) = self.slots.as_flattened_mut().get_mut(at) else {
            return 0.0;
        };
        let value = sample.value;
        let mut measure = 0.0;
        if slot.samples >= SAMPLES_MIN {
            self.outside = (value - self.high).max(0.0) + (value - self.low).min(0.0);
            measure = self.outside.abs() / (self.distance.get() + sample.noise);
            self.distances = self.distances.saturating_add(1);
            let distance = (value - 0.5 * (self.low + self.high)).abs();
            #[expect(clippy::cast_precision_loss, reason = "its reciprocal is what counts")]
            let share = 1.0 / self.distances as f32;
            self.distance.add(distance, DISTANCE_SPAN, share);
        }
        if slot.samples == 0 {
            (slot.low, slot.high) = (value, value);
        }
        (slot.low, slot.high) = (slot.low.min(value), slot.high.max(value));
        slot.samples = slot.samples.saturating_add(1);
        (self.low, self.high) = (self.low.min(value), self.high.max(value));
        measure
    }

    fn observed(&self, sample: &Sample) -> Observed {
        Observed {
            kind: AnomalyKind::OutOfRange,
            direction: Direction::of(self.outside),
            quantity: Quantity::Value,
            expected: sample.value - self.outside,
            seen: sample.value,
            samples: 1.0,
        }
    }
}
