//! The quarantine as objects: JSON lines by the UTC day of receipt, an object for each delivery with malformed
//! entries. What became of entries is beside it, in objects of their own, since many may have the same day.
//!
//! ```text
//! quarantine/year=2026/month=01/day=02/1767312000000-2d711642b726b044.jsonl
//! quarantine-outcomes/year=2026/month=01/day=02/1767398400000-9f86d081884c7d65.jsonl
//! ```
//!
//! The first has the time of receipt and a digest in its name. The second has the time of the replay and a random number,
//! and is in the folder of the day on which its entries were received. An entry's name is that of its object without the ending,
//! and its line, from 0: `1767312000000-2d711642b726b044-0`.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Days, NaiveDate};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::{Deserialize, Serialize};

use crate::day_folder::{day_folder, day_of_folder};
use crate::objects::{Condition, Objects};
use crate::ports::{PortError, Quarantined};
use crate::quarantine_review::{QuarantineFilter, QuarantineReview, ReplayRecord, ReviewedEntry};
use crate::utc_days::day_of;

/// The folder of the entries; the table `quarantine` reads it.
pub const ENTRIES: &str = "quarantine";

/// The folder of what became of them. It is not inside the other, which has a table's files only.
pub const OUTCOMES: &str = "quarantine-outcomes";

/// The most objects that are read at the same time.
const READS_AT_ONCE_MAX: usize = 16;

/// Up to so many days, each is listed by itself; for more, one listing shows which days there are.
const DAYS_LISTED_MAX: u64 = 40;

/// One line of what became of entries.
#[derive(Debug, Serialize, Deserialize)]
struct OutcomeLine {
    id: String,
    #[serde(flatten)]
    record: ReplayRecord,
}

/// The quarantine in a bucket.
pub struct QuarantineObjects {
    objects: Arc<dyn Objects>,
}

impl QuarantineObjects {
    /// The quarantine under the root of a bucket.
    #[must_use]
    pub fn new(objects: Arc<dyn Objects>) -> Self {
        Self { objects }
    }

    /// The days of a filter that have entries, newest first.
    async fn days(&self, filter: &QuarantineFilter) -> Result<Vec<NaiveDate>, PortError> {
        let first = day_of(filter.from_ms);
        let last = day_of(filter.to_ms.saturating_sub(1));
        let days = (0..=DAYS_LISTED_MAX).map_while(|n| last.checked_sub_days(Days::new(n)));
        let days: Vec<_> = days.take_while(|day| *day >= first).collect();
        if days.len() as u64 <= DAYS_LISTED_MAX {
            return Ok(days);
        }
        let mut days: Vec<NaiveDate> = Vec::new();
        for object in self.objects.list(&format!("{ENTRIES}/")).await? {
            if let Some(day) = day_of_object(&object.name)
                && (first..=last).contains(&day)
                && days.last() != Some(&day)
            {
                days.push(day);
            }
        }
        days.reverse();
        Ok(days)
    }

    /// What became of the entries of a day, whose objects are in the order of the replays.
    async fn outcomes(&self, day: NaiveDate) -> Result<HashMap<String, ReplayRecord>, PortError> {
        let mut newest: HashMap<String, ReplayRecord> = HashMap::new();
        let listed = self.objects.list(&folder(OUTCOMES, day)).await?;
        let mut reads = Vec::with_capacity(listed.len());
        for object in &listed {
            reads.push(self.objects.read(&object.name));
        }
        let read: Vec<_> = stream::iter(reads)
            .buffered(READS_AT_ONCE_MAX)
            .try_collect()
            .await?;
        for (content, _) in read.into_iter().flatten() {
            for line in lines(&content) {
                let line: OutcomeLine = serde_json::from_slice(line).map_err(unreadable)?;
                let earlier = newest.remove(&line.id);
                newest.insert(line.id, line.record.after(earlier));
            }
        }
        Ok(newest)
    }

    /// The entries of an object, with their names.
    async fn read(&self, name: &str) -> Result<Vec<(String, Quarantined)>, PortError> {
        let Some((content, _)) = self.objects.read(name).await? else {
            return Ok(Vec::new());
        };
        let stem = stem(name);
        let entry = |(at, line): (usize, &[u8])| {
            let kept = Quarantined::from_line(line).map_err(unreadable)?;
            Ok((format!("{stem}-{at}"), kept))
        };
        lines(&content).enumerate().map(entry).collect()
    }
}

#[async_trait]
impl QuarantineReview for QuarantineObjects {
    async fn entries(
        &self,
        filter: &QuarantineFilter,
        limit: usize,
    ) -> Result<Vec<ReviewedEntry>, PortError> {
        let mut found: Vec<ReviewedEntry> = Vec::new();
        for day in self.days(filter).await? {
            let mut listed = self.objects.list(&folder(ENTRIES, day)).await?;
            listed.retain(|object| {
                let received_ms = received_ms(stem(&object.name));
                received_ms.is_none_or(|ms| (filter.from_ms..filter.to_ms).contains(&ms))
            });
            if listed.is_empty() {
                continue;
            }
            let outcomes = self.outcomes(day).await?;
            let mut reads = Vec::with_capacity(listed.len());
            for object in listed.iter().rev() {
                reads.push(self.read(&object.name));
            }
            let mut reads = stream::iter(reads).buffered(READS_AT_ONCE_MAX);
            while let Some(read) = reads.next().await {
                for (id, kept) in read? {
                    if filter.matches(&kept) && found.len() < limit {
                        let replayed = outcomes.get(&id).cloned();
                        found.push(ReviewedEntry { id, kept, replayed });
                    }
                }
                if found.len() >= limit {
                    return Ok(found);
                }
            }
        }
        Ok(found)
    }

    async fn entry(&self, id: &str) -> Result<Option<ReviewedEntry>, PortError> {
        let Some((object, day)) = place(id) else {
            return Ok(None);
        };
        let name = format!("{}{object}.jsonl", folder(ENTRIES, day));
        let entries = self.read(&name).await?;
        let Some((id, kept)) = entries.into_iter().find(|(name, _)| name == id) else {
            return Ok(None);
        };
        let replayed = self.outcomes(day).await?.remove(&id);
        Ok(Some(ReviewedEntry { id, kept, replayed }))
    }

    async fn record(&self, outcomes: &[(String, ReplayRecord)]) -> Result<(), PortError> {
        let mut days: BTreeMap<NaiveDate, (i64, Vec<u8>)> = BTreeMap::new();
        for (id, record) in outcomes {
            let Some((_, day)) = place(id) else {
                continue;
            };
            let (at_ms, content) = days.entry(day).or_insert((record.at_ms, Vec::new()));
            *at_ms = (*at_ms).max(record.at_ms);
            let line = OutcomeLine {
                id: id.clone(),
                record: record.clone(),
            };
            serde_json::to_writer(&mut *content, &line).map_err(unreadable)?;
            content.push(b'\n');
        }
        for (day, (at_ms, content)) in days {
            let random = fastrand::u64(..);
            let name = format!("{}{at_ms}-{random:016x}.jsonl", folder(OUTCOMES, day));
            self.objects
                .replace(&name, content, Condition::Always)
                .await?;
        }
        Ok(())
    }
}

fn unreadable(error: serde_json::Error) -> PortError {
    PortError {
        operation: "read the quarantine",
        retryable: false,
        source: Box::new(error),
    }
}

fn lines(content: &[u8]) -> impl Iterator<Item = &[u8]> {
    let lines = content.split(|byte| *byte == b'\n');
    lines.filter(|line| !line.is_empty())
}

fn folder(of: &str, day: NaiveDate) -> String {
    format!("{of}/{}/", day_folder(day))
}

/// The day of an object by its folder.
fn day_of_object(name: &str) -> Option<NaiveDate> {
    let (folder, _) = name.rsplit_once('/')?;
    day_of_folder(folder.split_once('/')?.1)
}

/// An object's name without its folder and ending.
fn stem(name: &str) -> &str {
    let name = name.rsplit('/').next().unwrap_or(name);
    name.strip_suffix(".jsonl").unwrap_or(name)
}

/// The time of receipt in a name.
fn received_ms(stem: &str) -> Option<i64> {
    stem.split('-').next()?.parse().ok()
}

/// The object of an entry's name, and its day. A name is refused unless it has the form of one.
fn place(id: &str) -> Option<(&str, NaiveDate)> {
    let (object, line) = id.rsplit_once('-')?;
    line.parse::<u32>().ok()?;
    let (time, digest) = object.split_once('-')?;
    let is_digest = !digest.is_empty() && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
    let time: i64 = time.parse().ok().filter(|_| is_digest)?;
    let day = DateTime::from_timestamp_millis(time)?.date_naive();
    Some((object, day))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_entries_are_looked_up() {
        let (object, day) = place("1767312000000-2d711642b726b044-3").unwrap();
        assert_eq!(object, "1767312000000-2d711642b726b044");
        assert_eq!(day, NaiveDate::from_ymd_opt(2026, 1, 2).unwrap());
        for other in [
            "",
            "7",
            "1-2",
            "x-2d-3",
            "1767312000000-../../x-3",
            "1--3",
            "1-2d-x",
        ] {
            assert_eq!(place(other), None, "{other}");
        }
    }

    #[test]
    fn the_day_of_an_object_is_that_of_its_folder() {
        let name = "quarantine/year=2026/month=01/day=02/1-2.jsonl";
        assert_eq!(day_of_object(name), NaiveDate::from_ymd_opt(2026, 1, 2));
        assert_eq!(day_of_object("quarantine/other.txt"), None);
    }
}
