//! What CloudWatch has of the stream's last day, and what follows from it: whether there are too few or too many shards.
//!
//! Each call reads the whole day, so nothing is kept between calls, and after a refused step the next call decides again
//! with the minutes since then.

use std::collections::BTreeMap;

/// Above this share of the write throughput, shards are added.
pub const HIGH_PERCENT: f64 = 80.0;

/// Below this share, shards are removed.
pub const LOW_PERCENT: f64 = 30.0;

/// So many minutes in a row must be above [`HIGH_PERCENT`].
pub const HIGH_MINUTES: i64 = 2;

/// So many minutes in a row must be below [`LOW_PERCENT`].
pub const LOW_MINUTES: i64 = 15;

/// How far back the number of shards matters: Kinesis counts the resizes of 24 hours.
pub const HISTORY_MS: i64 = 24 * 60 * MINUTE_MS;

/// The most resizes of a stream in 24 hours.
/// <https://docs.aws.amazon.com/kinesis/latest/APIReference/API_UpdateShardCount.html>
pub const RESIZES_PER_DAY_MAX: usize = 10;

/// So many of them are left for more shards: a day of small waves must not use them up, and leave a stream that cannot
/// grow.
const RESIZES_RESERVED: usize = 4;

/// What a shard accepts in a second, in bytes and in records.
/// <https://docs.aws.amazon.com/streams/latest/dev/service-sizes-and-limits.html>
const SHARD_BYTES_PER_SECOND: f64 = 1_048_576.0;
const SHARD_RECORDS_PER_SECOND: f64 = 1_000.0;

const SECONDS_PER_MINUTE: f64 = 60.0;
const MINUTE_MS: i64 = 60_000;

/// A minute is looked at when it ended a minute ago. CloudWatch still adds to one that has just ended, so a full minute
/// could look like a quiet one.
const SETTLING_MINUTES: i64 = 2;

/// If the newest minute has no traffic yet, it may be late by so many minutes.
const LATE_MINUTES_MAX: i64 = 3;

/// Of the [`LOW_MINUTES`], so many must have the number of shards. Without it, metrics are late or missing, and a minute
/// without traffic may be a busy one. Not all: two calls of the schedule may fall into one minute.
const KNOWN_MINUTES_MIN: usize = 10;

/// While the service resizes, the number of shards changes several times, with less than so many minutes between.
const RESIZE_GAP_MINUTES: i64 = 3;

/// The load of a stream.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Load {
    /// Too much of the write throughput is used.
    High {
        /// The load divided by [`HIGH_PERCENT`], above 1.
        excess: f64,
    },
    /// Little was used for long, by an unchanged number of shards.
    Low,
}

/// What is known of a minute. CloudWatch has no value for a minute without records, nor for one that is late.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Minute {
    /// Bytes that the stream accepted.
    pub bytes: Option<f64>,
    /// Records that it accepted.
    pub records: Option<f64>,
    /// Open shards, as this function wrote them.
    pub open: Option<f64>,
}

/// The last day, by minutes since the epoch.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StreamHistory(BTreeMap<i64, Minute>);

impl StreamHistory {
    /// The minute that begins at or before a time, to be filled.
    pub fn minute_mut(&mut self, at_ms: i64) -> &mut Minute {
        self.0.entry(at_ms.div_euclid(MINUTE_MS)).or_default()
    }

    /// Whether `open` shards are too few or too many; `None` if they are right, or if that is not known.
    ///
    /// The traffic of past minutes is compared with the shards of now. So minutes from before a step up count as the load
    /// that they would be now, and the next step needs new minutes.
    #[must_use]
    pub fn load(&self, open: u32, now_ms: i64) -> Option<Load> {
        let newest = now_ms.div_euclid(MINUTE_MS) - SETTLING_MINUTES;
        let percent = |minute| Some(100.0 * self.shards_used(minute)? / f64::from(open.max(1)));
        let late = newest - LATE_MINUTES_MAX..=newest;
        if let Some(last) = late.rev().find(|minute| percent(*minute).is_some()) {
            let mut high = (0..HIGH_MINUTES).map(|back| percent(last - back));
            if high.all(|load| load.is_some_and(|load| load > HIGH_PERCENT)) {
                let excess = percent(last).unwrap_or(HIGH_PERCENT) / HIGH_PERCENT;
                return Some(Load::High { excess });
            }
        }
        let mut window = newest - LOW_MINUTES + 1..=newest;
        let shards = self.0.range(window.clone());
        let shards: Vec<f64> = shards.filter_map(|(_, it)| it.open).collect();
        let is_known = shards.len() >= KNOWN_MINUTES_MIN;
        let is_unchanged = shards.iter().all(|it| (it - f64::from(open)).abs() < 0.5);
        let is_low = window.all(|minute| percent(minute).unwrap_or(0.0) < LOW_PERCENT);
        (is_known && is_unchanged && is_low).then_some(Load::Low)
    }

    /// Whether the resizes of the last 24 hours leave one for fewer shards.
    #[must_use]
    pub fn may_shrink(&self) -> bool {
        self.resizes() < RESIZES_PER_DAY_MAX - RESIZES_RESERVED
    }

    /// How often the number of shards changed; several changes of one resize count once.
    fn resizes(&self) -> usize {
        let open = self.0.iter();
        let open: Vec<(i64, f64)> = open
            .filter_map(|(minute, it)| Some((*minute, it.open?)))
            .collect();
        let changed = open.windows(2).filter_map(|pair| match pair {
            [(_, before), (minute, after)] if (before - after).abs() >= 0.5 => Some(*minute),
            _ => None,
        });
        let (mut count, mut last) = (0, None);
        for minute in changed {
            if last.is_none_or(|last| minute - last > RESIZE_GAP_MINUTES) {
                count += 1;
            }
            last = Some(minute);
        }
        count
    }

    /// How many shards the traffic of a minute fills: the larger of bytes and records.
    fn shards_used(&self, minute: i64) -> Option<f64> {
        let minute = self.0.get(&minute)?;
        let of = |sum: Option<f64>, per_second| Some(sum? / (per_second * SECONDS_PER_MINUTE));
        let by_bytes = of(minute.bytes, SHARD_BYTES_PER_SECOND);
        let by_records = of(minute.records, SHARD_RECORDS_PER_SECOND);
        match (by_bytes, by_records) {
            (Some(one), Some(other)) => Some(one.max(other)),
            (one, other) => one.or(other),
        }
    }
}

#[cfg(test)]
mod tests;
