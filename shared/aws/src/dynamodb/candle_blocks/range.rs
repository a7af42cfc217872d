//! Reads results by their time, latest first. Anomalies have a partition for each UTC day.

use app::ports::PortError;
use domain::MS_PER_DAY;

use super::super::attributes::{Item, ItemError, PK, SK, sortable, text};
use super::CandleTable;
use crate::error::port_error;

/// The operation's name in errors.
pub(super) const READ: &str = "read the analysis";

/// The most days of a range: each is a separate query.
const DAYS_MAX: i64 = 31;

/// The most items of a result.
const LIMIT_MAX: usize = 10_000;

/// Sorts after every sort key with the same time: keys only have digits, letters and `#`.
const AFTER_ALL: &str = "~";

/// Which results to read: those with `from_ms <= time < to_ms`, the latest `limit` of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadRange {
    /// The first moment, epoch milliseconds.
    pub from_ms: i64,
    /// The end of the range (exclusive).
    pub to_ms: i64,
    /// The number of results, at most 10,000.
    pub limit: usize,
}

/// Why a range cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadRangeError {
    /// Too many days.
    #[error("the range covers {0} UTC days: use at most {DAYS_MAX}")]
    TooLong(i64),
    /// Too many results.
    #[error("{0} results are too many: use at most {LIMIT_MAX}")]
    TooMany(usize),
}

impl ReadRange {
    /// The days in the range, latest first, each as a moment of it.
    fn days(&self) -> Result<impl Iterator<Item = i64> + use<>, ReadRangeError> {
        if self.limit > LIMIT_MAX {
            return Err(ReadRangeError::TooMany(self.limit));
        }
        let first = self.from_ms.div_euclid(MS_PER_DAY);
        let last = match self.from_ms < self.to_ms {
            true => self.to_ms.saturating_sub(1).div_euclid(MS_PER_DAY),
            false => first.saturating_sub(1),
        };
        let days = last.saturating_sub(first).saturating_add(1);
        if days > DAYS_MAX {
            return Err(ReadRangeError::TooLong(days));
        }
        Ok((first..=last).rev().map(|day| day * MS_PER_DAY))
    }
}

impl CandleTable {
    /// The items of a range, latest first. `partition` returns the partition key for a moment of a
    /// day.
    pub(super) async fn read_days(
        &self,
        range: ReadRange,
        partition: impl Fn(i64) -> Result<String, ItemError>,
    ) -> Result<Vec<Item>, PortError> {
        let days = range.days().map_err(|error| PortError {
            operation: READ,
            retryable: false,
            source: Box::new(error),
        })?;
        let mut items: Vec<Item> = Vec::new();
        for day_ms in days {
            let partition = partition(day_ms).map_err(|error| error.at(READ))?;
            let to = format!("{}{AFTER_ALL}", sortable(range.to_ms.saturating_sub(1)));
            self.read(
                range.limit,
                &partition,
                [sortable(range.from_ms), to],
                &mut items,
            )
            .await?;
            if items.len() >= range.limit {
                break;
            }
        }
        Ok(items)
    }

    /// The items of a partition between two sort keys, latest first, if the range is within its limits.
    pub(super) async fn read_between(
        &self,
        partition: String,
        from: String,
        to: String,
        range: ReadRange,
    ) -> Result<Vec<Item>, PortError> {
        drop(range.days().map_err(|error| PortError {
            operation: READ,
            retryable: false,
            source: Box::new(error),
        })?);
        let mut items = Vec::new();
        // A block has at most as many candles as are asked for.
        self.read(LIMIT_MAX, &partition, [from, to], &mut items)
            .await?;
        Ok(items)
    }

    async fn read(
        &self,
        limit: usize,
        partition: &str,
        [from, to]: [String; 2],
        items: &mut Vec<Item>,
    ) -> Result<(), PortError> {
        let mut after = None;
        loop {
            let left = limit.saturating_sub(items.len());
            if left == 0 {
                return Ok(());
            }
            let answer = self
                .reader
                .query()
                .table_name(&self.table)
                .key_condition_expression("#pk = :pk AND #sk BETWEEN :from AND :to")
                .expression_attribute_names("#pk", PK)
                .expression_attribute_names("#sk", SK)
                .expression_attribute_values(":pk", text(partition))
                .expression_attribute_values(":from", text(&from))
                .expression_attribute_values(":to", text(&to))
                .scan_index_forward(false)
                .limit(i32::try_from(left).unwrap_or(i32::MAX))
                .set_exclusive_start_key(after)
                .send()
                .await
                .map_err(|error| port_error(READ, &error))?;
            items.extend(answer.items.unwrap_or_default());
            match answer.last_evaluated_key {
                Some(key) if !key.is_empty() => after = Some(key),
                _ => return Ok(()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days(from_ms: i64, to_ms: i64) -> Result<Vec<i64>, ReadRangeError> {
        let range = ReadRange {
            from_ms,
            to_ms,
            limit: 10,
        };
        Ok(range.days()?.map(|at_ms| at_ms / MS_PER_DAY).collect())
    }

    #[test]
    fn a_range_covers_the_days_that_it_touches() {
        assert_eq!(days(0, MS_PER_DAY), Ok(vec![0]));
        assert_eq!(days(5, MS_PER_DAY + 1), Ok(vec![1, 0]));
        assert_eq!(days(MS_PER_DAY, MS_PER_DAY), Ok(vec![]));
        assert_eq!(days(MS_PER_DAY * 9, 0), Ok(vec![]));
        assert_eq!(days(7, 7), Ok(vec![]), "an empty range needs no query");
        assert_eq!(
            days(0, MS_PER_DAY * DAYS_MAX + 1),
            Err(ReadRangeError::TooLong(DAYS_MAX + 1))
        );
        assert!(days(i64::MIN, i64::MAX).is_err());
    }

    #[test]
    fn an_unbounded_result_is_refused() {
        let range = ReadRange {
            from_ms: 0,
            to_ms: 1,
            limit: LIMIT_MAX + 1,
        };
        assert!(
            range
                .days()
                .is_err_and(|it| it.to_string().contains("at most 10000"))
        );
    }
}
