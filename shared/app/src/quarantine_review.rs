//! Reviews the quarantine: finds entries, delivers them again once their cause is fixed, and records what became
//! of each.
//!
//! An entry is delivered to the parser of its source as it was received. It gives the ticks that the sender's own
//! retry would give, with the same ids: so a tick that is stored already is a duplicate, and changes nothing.

use async_trait::async_trait;
use domain::{Malformed, Reason};
use serde::{Deserialize, Serialize};
use sources::{Entry, ParseContext, Source};

use crate::ingest::{Delivered, Ingest, IngestError};
use crate::ports::{PortError, Quarantined};
use crate::quarantine::Line;

/// The header of a delivery to a webhook of an entry that is in the quarantine. If it is still malformed, it is neither
/// counted nor quarantined a second time.
pub const QUARANTINED_HEADER: &str = "tickstream-quarantined";

/// Which entries are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuarantineFilter {
    /// Received at this time or later, epoch milliseconds.
    pub from_ms: i64,
    /// Received before this time, epoch milliseconds.
    pub to_ms: i64,
    /// Only with this reason.
    pub reason: Option<Reason>,
    /// Only of this source.
    pub source: Option<String>,
}

impl QuarantineFilter {
    /// All entries.
    pub const ALL: Self = Self {
        from_ms: 0,
        to_ms: i64::MAX,
        reason: None,
        source: None,
    };

    /// Whether an entry is meant.
    #[must_use]
    pub fn matches(&self, entry: &Quarantined) -> bool {
        (self.from_ms..self.to_ms).contains(&entry.received_at_ms)
            && self.reason.is_none_or(|it| it == entry.entry.reason)
            && self.source.as_ref().is_none_or(|it| *it == entry.source)
    }
}

/// An entry of the quarantine, with what became of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "ReviewedLine", into = "ReviewedLine")]
pub struct ReviewedEntry {
    /// Its name, for [`QuarantineReview::entry`].
    pub id: String,
    /// The entry.
    pub kept: Quarantined,
    /// The last time that it was replayed, if it was.
    pub replayed: Option<ReplayRecord>,
}

/// A [`ReviewedEntry`] as the read API and `tickctl` have it.
#[derive(Serialize, Deserialize)]
struct ReviewedLine {
    id: String,
    #[serde(flatten)]
    line: Line<'static>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    replayed: Option<ReplayRecord>,
}

impl From<ReviewedEntry> for ReviewedLine {
    fn from(entry: ReviewedEntry) -> Self {
        let ReviewedEntry { id, kept, replayed } = entry;
        let line = kept.into();
        Self { id, line, replayed }
    }
}

impl From<ReviewedLine> for ReviewedEntry {
    fn from(reviewed: ReviewedLine) -> Self {
        let ReviewedLine { id, line, replayed } = reviewed;
        let kept = line.into();
        Self { id, kept, replayed }
    }
}

/// What became of an entry that was replayed, and who did that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayRecord {
    /// When, epoch milliseconds.
    #[serde(rename = "at")]
    pub at_ms: i64,
    /// Who.
    pub who: String,
    /// What became of it.
    #[serde(flatten)]
    pub outcome: EntryOutcome,
}

impl ReplayRecord {
    /// What became of an entry that was replayed before as well: the later of the two, except that the repeat of a replay
    /// that stored its ticks, which finds them stored, changes nothing.
    #[must_use]
    pub fn after(self, earlier: Option<Self>) -> Self {
        let is_stored = |it: &Self| matches!(it.outcome, EntryOutcome::Stored { .. });
        let is_repeat = matches!(self.outcome, EntryOutcome::Duplicate { .. });
        match earlier {
            Some(earlier) if is_stored(&earlier) && is_repeat => earlier,
            Some(earlier) if earlier.at_ms > self.at_ms => earlier,
            Some(_) | None => self,
        }
    }
}

/// What became of an entry that was replayed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum EntryOutcome {
    /// Ticks of it are stored now.
    Stored {
        /// How many are new.
        ticks: u64,
    },
    /// All of its ticks had been stored before.
    Duplicate {
        /// How many.
        ticks: u64,
    },
    /// It can be read, and has no price.
    Ignored {
        /// What it is.
        what: String,
    },
    /// It is still malformed.
    StillMalformed {
        /// The rule that it breaks now.
        reason: String,
        /// The rule in words.
        message: String,
    },
    /// It cannot be replayed.
    NotReplayable {
        /// Why.
        why: String,
    },
}

impl EntryOutcome {
    /// Whether there is nothing left to do for the entry.
    #[must_use]
    pub fn is_final(&self) -> bool {
        match self {
            Self::Stored { .. } | Self::Duplicate { .. } | Self::Ignored { .. } => true,
            Self::StillMalformed { .. } | Self::NotReplayable { .. } => false,
        }
    }

    /// The outcome of a delivery that was accepted.
    #[must_use]
    pub fn of(delivered: &Delivered) -> Self {
        let counts = &delivered.counts;
        if counts.stored > 0 {
            return Self::Stored {
                ticks: counts.stored,
            };
        }
        if counts.duplicate > 0 {
            return Self::Duplicate {
                ticks: counts.duplicate,
            };
        }
        let what = delivered.ignored_by_reason.keys().next();
        Self::Ignored {
            what: (*what.unwrap_or(&"nothing")).to_owned(),
        }
    }
}

impl Quarantined {
    /// Why the entry cannot be replayed, if it cannot, whatever was fixed.
    #[must_use]
    pub fn obstacle(&self) -> Option<String> {
        let Malformed {
            raw,
            raw_bytes,
            reason,
            ..
        } = &self.entry;
        if *reason == Reason::Unprocessable {
            return Some(format!(
                "its tick is stored, and {} failed for it: `tickctl rebuild` computes its candles from the stored ticks",
                self.source
            ));
        }
        // Bytes that are not UTF-8 were replaced by this character when it was kept.
        if raw.contains(char::REPLACEMENT_CHARACTER) {
            return Some("it was not text, and its bytes were not kept".to_owned());
        }
        if raw.len() < *raw_bytes {
            return Some(format!(
                "only {} of its {raw_bytes} bytes were kept: have its sender deliver that time again",
                raw.len()
            ));
        }
        None
    }
}

/// Reads the quarantine, and records what became of its entries.
#[async_trait]
pub trait QuarantineReview: Send + Sync {
    /// The entries that match, newest first, at most `limit`.
    async fn entries(
        &self,
        filter: &QuarantineFilter,
        limit: usize,
    ) -> Result<Vec<ReviewedEntry>, PortError>;

    /// The entry of that id; `None` if there is none, or it has been removed.
    async fn entry(&self, id: &str) -> Result<Option<ReviewedEntry>, PortError>;

    /// Records what became of entries, each by its name, as [`ReplayRecord::after`]. It is durable when the call returns. An entry that has
    /// expired meanwhile is passed over.
    async fn record(&self, outcomes: &[(String, ReplayRecord)]) -> Result<(), PortError>;
}

/// Delivers an entry again.
#[async_trait]
pub trait EntryDelivery: Send + Sync {
    /// Delivers what was received of a source.
    async fn deliver_again(&self, source: &str, raw: &str) -> Result<EntryOutcome, PortError>;
}

/// Replays one entry, if it can be. The caller records the outcome.
///
/// # Errors
/// [`PortError`] if it could not be delivered, which may have stored its ticks: replaying it again is safe.
pub async fn replay_entry(
    delivery: &dyn EntryDelivery,
    entry: &Quarantined,
) -> Result<EntryOutcome, PortError> {
    match entry.obstacle() {
        Some(why) => Ok(EntryOutcome::NotReplayable { why }),
        None => {
            delivery
                .deliver_again(&entry.source, &entry.entry.raw)
                .await
        }
    }
}

impl Ingest {
    /// Accepts a delivery of an entry that is in the quarantine. If it is still malformed, nothing is stored or
    /// counted, and it is not quarantined a second time.
    ///
    /// Once started, this must run to its end, as [`Ingest::deliver`].
    ///
    /// # Errors
    /// [`IngestError::Unreadable`] if it is still malformed, or [`IngestError::NotStored`].
    pub async fn deliver_quarantined(
        &self,
        source: &dyn Source,
        body: &[u8],
    ) -> Result<Delivered, IngestError> {
        let context = ParseContext {
            now_ms: self.clock.now_ms(),
            new_ids_from_ms: self.new_ids_from_ms,
            settings: &self.settings,
        };
        let malformed = match source.parse(body, &context) {
            Err(unreadable) => {
                let (reason, message) = (unreadable.reason, unreadable.message);
                Some(Malformed::new(0, reason, message, body))
            }
            Ok(entries) => entries.into_iter().find_map(|entry| match entry {
                Entry::Malformed(malformed) => Some(malformed),
                Entry::Tick(_) | Entry::ArrivalStamped(_) | Entry::Ignored(_) => None,
            }),
        };
        match malformed {
            Some(malformed) => Err(IngestError::Unreadable(malformed)),
            None => self.deliver(source, body).await,
        }
    }
}

#[async_trait]
impl EntryDelivery for Ingest {
    async fn deliver_again(&self, source: &str, raw: &str) -> Result<EntryOutcome, PortError> {
        let still = |reason: Reason, message: String| EntryOutcome::StillMalformed {
            reason: reason.to_string(),
            message,
        };
        let Some(source) = sources::find(source) else {
            let message = "there is no source with this name".to_owned();
            return Ok(still(Reason::UnknownSource, message));
        };
        match self.deliver_quarantined(source, raw.as_bytes()).await {
            Ok(delivered) => Ok(EntryOutcome::of(&delivered)),
            Err(IngestError::Unreadable(entry)) => Ok(still(entry.reason, entry.message)),
            Err(IngestError::NotStored(error)) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(reason: Reason, raw: &[u8]) -> Quarantined {
        Quarantined {
            received_at_ms: 5,
            source: "ticks".to_owned(),
            entry: Malformed::new(0, reason, "no", raw),
        }
    }

    #[test]
    fn only_what_was_kept_as_it_was_received_can_be_replayed() {
        assert_eq!(entry(Reason::MissingField, b"{}").obstacle(), None);
        let cut = entry(Reason::InvalidPrice, &[b'x'; 5_000])
            .obstacle()
            .unwrap();
        assert!(cut.starts_with("only 4096 of its 5000 bytes"), "{cut}");
        // Three bytes that are replaced by one character of three bytes.
        for bytes in [&b"a\xff"[..], b"\xf0\x9f\x98"] {
            let why = entry(Reason::InvalidUtf8, bytes).obstacle().unwrap();
            assert!(why.contains("bytes were not kept"), "{why}");
        }
        let ours = entry(Reason::Unprocessable, b"{}").obstacle().unwrap();
        assert!(ours.contains("tickctl rebuild"), "{ours}");
    }

    #[test]
    fn a_repeat_does_not_hide_that_the_ticks_were_stored() {
        let record = |at_ms, outcome| ReplayRecord {
            at_ms,
            who: "ann".to_owned(),
            outcome,
        };
        let stored = record(5, EntryOutcome::Stored { ticks: 2 });
        let repeat = record(9, EntryOutcome::Duplicate { ticks: 2 });
        let left = record(
            1,
            EntryOutcome::NotReplayable {
                why: "cut".to_owned(),
            },
        );
        assert_eq!(repeat.clone().after(Some(stored.clone())), stored);
        assert_eq!(stored.clone().after(Some(left.clone())), stored);
        assert_eq!(left.after(Some(stored.clone())), stored, "it is older");
        assert_eq!(repeat.clone().after(None), repeat);
    }

    #[test]
    fn a_filter_selects_by_time_reason_and_source() {
        let kept = entry(Reason::MissingField, b"{}");
        let with = |change: fn(&mut QuarantineFilter)| {
            let mut filter = QuarantineFilter::ALL;
            change(&mut filter);
            filter.matches(&kept)
        };
        assert!(with(|_| {}));
        assert!(with(|it| it.from_ms = 5) && !with(|it| it.from_ms = 6));
        assert!(with(|it| it.to_ms = 6) && !with(|it| it.to_ms = 5));
        assert!(with(|it| it.reason = Some(Reason::MissingField)));
        assert!(!with(|it| it.reason = Some(Reason::WrongType)));
        assert!(with(|it| it.source = Some("ticks".to_owned())));
        assert!(!with(|it| it.source = Some("helius".to_owned())));
    }
}
