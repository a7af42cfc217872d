//! Which event days the rows of a day have. A lookup of a tick or a candle, whose event time is known, then
//! reads only those days, mostly one or two, and not all that are kept.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{PoisonError, RwLock};

use crate::error::StorageError;
use crate::keys::day::Day;
use crate::keys::event_day::{Kind, event_key, rows_key};
use crate::keys::number_of;
use crate::keyspaces::Keyspaces;

/// The days of one kind of rows.
pub(crate) struct DayIndex {
    kind: Kind,
    days: RwLock<BTreeMap<Day, RowsOfDay>>,
}

#[derive(Default)]
struct RowsOfDay {
    event_days: BTreeSet<Day>,
    rows: u64,
}

impl DayIndex {
    /// Reads the index.
    pub(crate) fn open(kind: Kind, spaces: &Keyspaces) -> Result<Self, StorageError> {
        let mut days: BTreeMap<Day, RowsOfDay> = BTreeMap::new();
        for guard in spaces.days.prefix([kind.byte()]) {
            let (key, value) = guard.into_inner()?;
            match *key {
                [_, high, low, event_high, event_low] => {
                    let day = days.entry(Day::from_be_bytes([high, low])).or_default();
                    let event_day = Day::from_be_bytes([event_high, event_low]);
                    day.event_days.insert(event_day);
                }
                [_, high, low] => {
                    let day = days.entry(Day::from_be_bytes([high, low])).or_default();
                    day.rows = number_of(&value)?;
                }
                _ => return Err(StorageError::corrupt("day", "its key has another length")),
            }
        }
        Ok(Self {
            kind,
            days: RwLock::new(days),
        })
    }

    /// What is indexed.
    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether a day has rows of an event day.
    pub(crate) fn has(&self, day: Day, event_day: Day) -> bool {
        self.read(|days| {
            let of_day = days.get(&day);
            of_day.is_some_and(|of_day| of_day.event_days.contains(&event_day))
        })
    }

    /// The kept days that have rows of some of these event days (both ends included), latest first.
    pub(crate) fn days_with(&self, first_day: Day, from: Day, to: Day) -> Vec<Day> {
        if from > to {
            return Vec::new();
        }
        self.read(|days| {
            let kept = days.range(first_day..).rev();
            let with = kept.filter(|(_, of_day)| of_day.event_days.range(from..=to).any(|_| true));
            with.map(|(day, _)| *day).collect()
        })
    }

    /// The kept days within a range, latest first, each with the last event day of its rows.
    pub(crate) fn last_event_days(&self, from: Day, to: Day) -> Vec<(Day, Day)> {
        if from > to {
            return Vec::new();
        }
        self.read(|days| {
            let within = days.range(from..=to).rev();
            let last = |(day, of_day): (&Day, &RowsOfDay)| Some((*day, *of_day.event_days.last()?));
            within.filter_map(last).collect()
        })
    }

    /// The event days of the rows of the kept days.
    pub(crate) fn event_days(&self, first_day: Day) -> BTreeSet<Day> {
        self.read(|days| {
            let kept = days.range(first_day..);
            kept.flat_map(|(_, of_day)| of_day.event_days.iter().copied())
                .collect()
        })
    }

    /// The last day that has rows.
    pub(crate) fn last_day(&self) -> Option<Day> {
        self.read(|days| days.last_key_value().map(|(day, _)| *day))
    }

    /// The number of rows of a day.
    pub(crate) fn rows(&self, day: Day) -> u64 {
        self.read(|days| days.get(&day).map_or(0, |of_day| of_day.rows))
    }

    /// The keys and the number of rows of all days before one.
    pub(crate) fn before(&self, first_day: Day) -> (Vec<Vec<u8>>, u64) {
        self.read(|days| {
            let (mut keys, mut rows) = (Vec::new(), 0);
            for (day, of_day) in days.range(..first_day) {
                keys.push(rows_key(self.kind, *day).to_vec());
                let of_events = of_day.event_days.iter();
                keys.extend(of_events.map(|event| event_key(self.kind, *day, *event).to_vec()));
                rows += of_day.rows;
            }
            (keys, rows)
        })
    }

    /// Adds what a commit stored.
    pub(crate) fn add(&self, added: &DaysAdded) {
        if added.events.is_empty() && added.rows.is_empty() {
            return;
        }
        self.write(|days| {
            for (day, event_day) in &added.events {
                days.entry(*day).or_default().event_days.insert(*event_day);
            }
            for (day, rows) in &added.rows {
                days.entry(*day).or_default().rows += rows;
            }
        });
    }

    /// Forgets all days before one.
    pub(crate) fn drop_before(&self, first_day: Day) {
        self.write(|days| *days = days.split_off(&first_day));
    }

    fn read<R>(&self, look: impl FnOnce(&BTreeMap<Day, RowsOfDay>) -> R) -> R {
        look(&self.days.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<R>(&self, change: impl FnOnce(&mut BTreeMap<Day, RowsOfDay>) -> R) -> R {
        change(&mut self.days.write().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What a commit adds to an index.
#[derive(Debug, Default)]
pub(crate) struct DaysAdded {
    /// Days with event days that they did not have.
    pub(crate) events: BTreeSet<(Day, Day)>,
    /// Rows by day.
    pub(crate) rows: BTreeMap<Day, u64>,
}
