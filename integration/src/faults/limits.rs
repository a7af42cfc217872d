//! The rates that DynamoDB and Kinesis allow, as token buckets over time. Without I/O.
//!
//! Each rule follows AWS's documentation; where that leaves a choice, the harsher one is taken:
//!
//! | limit | documentation |
//! |---|---|
//! | an item costs a write unit for each started KB, in a transaction two | *Amazon DynamoDB Developer Guide*, "DynamoDB read and write operations" |
//! | 1,000 write units a second for a partition | the same, "Best practices for designing and using partition keys effectively". A partition may hold several keys; here each key has one to itself |
//! | 4,000 write units a second for a new on-demand table | the same, "On-demand capacity mode", initial throughput |
//! | unused units of up to 300 s are kept | the same, "Burst and adaptive capacity". AWS does not promise them, so one second's are kept here |
//! | 1,000 records and 1 MiB, keys included, a second for the writes of a shard | *Amazon Kinesis Data Streams Developer Guide*, "Quotas and limits" |
//! | 5 GetRecords and 2 MiB a second for the reads of a shard, shared by all readers: after 10 MiB, the next calls fail for 5 s | the same |
//! | 5 GetShardIterator a second for a shard | *Kinesis Data Streams API Reference*, GetShardIterator |
//!
//! SQS has no such limit for standard queues. Units of reading a table are not limited here, but in
//! `testkit::throttled_table`.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Units a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Write units of a table.
    pub table_units: u32,
    /// Write units of each partition key.
    pub partition_units: u32,
    /// Records written to a shard.
    pub shard_records: u32,
    /// Bytes written to a shard.
    pub shard_bytes: u32,
    /// GetRecords of a shard.
    pub shard_reads: u32,
    /// Bytes read from a shard.
    pub shard_read_bytes: u32,
    /// GetShardIterator of a shard.
    pub shard_iterators: u32,
}

impl Limits {
    /// What AWS grants to a new table in on-demand mode, and to each shard.
    pub const AWS: Self = Self {
        table_units: 4_000,
        partition_units: 1_000,
        shard_records: 1_000,
        shard_bytes: 1_024 * 1_024,
        shard_reads: 5,
        shard_read_bytes: 2 * 1_024 * 1_024,
        shard_iterators: 5,
    };

    fn per_second(&self, scope: &Scope) -> f64 {
        f64::from(match scope {
            Scope::Table(_) => self.table_units,
            Scope::Partition(..) => self.partition_units,
            Scope::Shard(_, Use::WrittenRecords) => self.shard_records,
            Scope::Shard(_, Use::WrittenBytes) => self.shard_bytes,
            Scope::Shard(_, Use::Reads) => self.shard_reads,
            Scope::Shard(_, Use::ReadBytes) => self.shard_read_bytes,
            Scope::Shard(_, Use::Iterators) => self.shard_iterators,
        })
    }
}

/// What a rate is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Scope {
    /// A table.
    Table(String),
    /// A table and a partition key.
    Partition(String, String),
    /// A shard, by stream and id.
    Shard((String, String), Use),
}

/// What of a shard is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Use {
    WrittenRecords,
    WrittenBytes,
    Reads,
    ReadBytes,
    Iterators,
}

/// The units that are left.
#[derive(Debug)]
pub(super) struct Buckets {
    limits: Limits,
    left: HashMap<Scope, (f64, Instant)>,
}

impl Buckets {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            left: HashMap::new(),
        }
    }

    /// Takes units of several scopes, if each has as many. What needs more than a second's units passes
    /// when all of them are there.
    pub(super) fn take(&mut self, now: Instant, wanted: &[(Scope, u64)]) -> bool {
        let has_room = wanted.iter().all(|(scope, units)| {
            let most = self.limits.per_second(scope);
            self.left(scope, now) >= (*units as f64).min(most)
        });
        if has_room {
            for (scope, units) in wanted {
                self.spend(now, scope, *units);
            }
        }
        has_room
    }

    /// Takes a read of a shard, if its earlier reads were not of more bytes than the time since then
    /// allows. The bytes of this one are known, and to be spent, after it.
    pub(super) fn take_read(&mut self, now: Instant, shard: &(String, String)) -> bool {
        let bytes = Scope::Shard(shard.clone(), Use::ReadBytes);
        let is_paid = self.left(&bytes, now) >= self.limits.per_second(&bytes);
        is_paid && self.take(now, &[(Scope::Shard(shard.clone(), Use::Reads), 1)])
    }

    /// Takes units even if there are fewer: the next calls then wait longer.
    pub(super) fn spend(&mut self, now: Instant, scope: &Scope, units: u64) {
        let left = self.left(scope, now) - units as f64;
        self.left.insert(scope.clone(), (left, now));
    }

    fn left(&self, scope: &Scope, now: Instant) -> f64 {
        let most = self.limits.per_second(scope);
        self.left.get(scope).map_or(most, |(left, at)| {
            let since = now
                .saturating_duration_since(*at)
                .min(Duration::from_secs(3_600));
            (left + since.as_secs_f64() * most).min(most)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(units: u64) -> Vec<(Scope, u64)> {
        vec![
            (Scope::Table("t".to_owned()), units),
            (Scope::Partition("t".to_owned(), "p".to_owned()), units),
        ]
    }

    fn after(start: Instant, ms: u64) -> Instant {
        start + Duration::from_millis(ms)
    }

    #[test]
    fn units_return_with_time_up_to_those_of_a_second() {
        let start = Instant::now();
        let mut buckets = Buckets::new(Limits::AWS);
        assert!(buckets.take(start, &table(999)));
        assert!(!buckets.take(start, &table(2)), "one is left");
        assert!(buckets.take(start, &table(1)));
        assert!(!buckets.take(after(start, 9), &table(10)));
        assert!(buckets.take(after(start, 10), &table(10)));
        let later = after(start, 60_000);
        assert!(buckets.take(later, &table(1_000)));
        assert!(!buckets.take(later, &table(1)), "none is kept longer");
    }

    #[test]
    fn a_table_has_less_than_its_partitions_together() {
        let start = Instant::now();
        let mut buckets = Buckets::new(Limits::AWS);
        let of_key = |key: u32| {
            [
                (Scope::Table("t".to_owned()), 1_000),
                (Scope::Partition("t".to_owned(), key.to_string()), 1_000),
            ]
        };
        for key in 0..4 {
            assert!(buckets.take(start, &of_key(key)), "{key}");
        }
        assert!(!buckets.take(start, &of_key(4)));
    }

    #[test]
    fn what_is_refused_uses_nothing() {
        let start = Instant::now();
        let mut buckets = Buckets::new(Limits::AWS);
        assert!(buckets.take(start, &table(600)));
        for _ in 0..10 {
            assert!(!buckets.take(start, &table(600)));
        }
        assert!(buckets.take(after(start, 200), &table(600)));
    }

    #[test]
    fn the_largest_read_stops_the_next_ones_for_five_seconds() {
        let start = Instant::now();
        let shard = ("s".to_owned(), "0".to_owned());
        let mut buckets = Buckets::new(Limits::AWS);
        assert!(buckets.take_read(start, &shard));
        let bytes = Scope::Shard(shard.clone(), Use::ReadBytes);
        buckets.spend(start, &bytes, 10 * 1_024 * 1_024);
        assert!(!buckets.take_read(after(start, 4_999), &shard));
        assert!(buckets.take_read(after(start, 5_000), &shard));
    }

    #[test]
    fn a_shard_is_read_five_times_a_second() {
        let start = Instant::now();
        let shard = ("s".to_owned(), "0".to_owned());
        let mut buckets = Buckets::new(Limits::AWS);
        let reads = (0..10).filter(|_| buckets.take_read(start, &shard)).count();
        assert_eq!(reads, 5);
        assert!(buckets.take_read(after(start, 200), &shard));
        assert!(!buckets.take_read(after(start, 200), &shard));
        let other = ("s".to_owned(), "1".to_owned());
        assert!(buckets.take_read(start, &other));
    }

    #[test]
    fn an_item_of_more_than_a_second_passes_alone() {
        let start = Instant::now();
        let mut buckets = Buckets::new(Limits {
            partition_units: 3,
            ..Limits::AWS
        });
        assert!(buckets.take(start, &table(400)));
        assert!(!buckets.take(after(start, 132_000), &table(1)));
        assert!(buckets.take(after(start, 134_000), &table(1)));
    }
}
