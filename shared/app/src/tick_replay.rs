//! Replays a range of ticks: reads them from the store or from the archive, and sends them again, with the ids that they
//! have. Where they were counted, they are repeats, and change nothing; where they were not, they are counted.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::NaiveDate;
use domain::{MS_PER_DAY, Price, Tick, Token, Volume};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::pace::{Stopped, WasStopped, at_once, next_or_stopped, wait_for_turn};
use crate::ports::{PortError, TickStream};
use crate::read_back::{ArchivedTick, ArchivedTicks, Page, Pages, ReceiptRange, StoredTicks};
use crate::utc_days::days;

/// The most ticks that are sent at once; at a lower rate, those of a second.
const BATCH_TICKS_MAX: usize = 500;

/// Which ticks are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TickSelection {
    /// Received in this range.
    pub range: ReceiptRange,
    /// Only of these tokens; none means all.
    pub tokens: BTreeSet<Token>,
}

/// Where ticks are read.
#[derive(Clone, Copy)]
pub enum ReplayOrigin<'a> {
    /// The store: exact, and with the decision whether a tick belongs to the stream.
    Store(&'a dyn StoredTicks),
    /// The archive: amounts are doubles, and all of its ticks belong to the stream.
    Archive(&'a dyn ArchivedTicks),
}

/// What became of ticks that were sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// Accepted for the first time, as far as the destination knows.
    pub new: u64,
    /// Repeats of what it has, or will have without this.
    pub duplicate: u64,
    /// Refused for good.
    pub rejected: u64,
}

/// Accepts ticks again.
#[async_trait]
pub trait ReplayDestination: Send + Sync {
    /// Whether it only takes ticks that belong to the stream.
    fn only_cohort(&self) -> bool;

    /// Accepts ticks durably. A failure may have accepted some of them: sending all again is safe.
    async fn send(&self, ticks: Vec<Tick>) -> Result<Sent, PortError>;
}

/// The stream. It does not know which ticks it has: all count as new, and consumers count a tick once.
pub struct IntoStream(pub Arc<dyn TickStream>);

#[async_trait]
impl ReplayDestination for IntoStream {
    fn only_cohort(&self) -> bool {
        true
    }

    async fn send(&self, ticks: Vec<Tick>) -> Result<Sent, PortError> {
        let all: Vec<&Tick> = ticks.iter().collect();
        let refused = self.0.append(&all, None).await?;
        match refused.first() {
            None => Ok(Sent {
                new: ticks.len() as u64,
                ..Sent::default()
            }),
            Some(first) => Err(PortError {
                operation: "append ticks again",
                retryable: true,
                source: format!(
                    "{} of {} were refused: {}",
                    refused.len(),
                    ticks.len(),
                    first.reason
                )
                .into(),
            }),
        }
    }
}

/// What is done with the ticks that are meant.
#[derive(Clone, Copy)]
pub enum ReplayAction<'a> {
    /// They are counted, as for a destination that takes those of the cohort only, or all.
    Count {
        /// Whether only those of the cohort count.
        only_cohort: bool,
    },
    /// They are sent.
    Send {
        /// The destination.
        to: &'a dyn ReplayDestination,
        /// The most ticks a second.
        per_second_max: u32,
    },
}

/// What was found, and what became of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TickReplayReport {
    /// Ticks that are meant and that the destination takes.
    pub selected: u64,
    /// Of the selected, those that were sent, and what became of them.
    pub sent: Sent,
    /// Ticks that are meant, but do not belong to the stream.
    pub outside_cohort: u64,
    /// Ticks that are meant, of which nobody knows whether they belong to the stream, since a release before 1.1 stored
    /// them.
    pub undecided: u64,
    /// Ticks of the archive whose amounts are not those of a tick.
    pub unreadable: u64,
    /// What of the range could not be seen.
    pub unseen: Vec<String>,
    /// Of the tokens that are meant, those of which no tick was seen.
    pub tokens_without_ticks: BTreeSet<Token>,
    /// Whether it was stopped before the end.
    pub stopped: bool,
}

impl TickReplayReport {
    /// Whether there was no tick that is meant, wherever it belongs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.selected + self.outside_cohort + self.undecided + self.unreadable == 0
    }
}

/// The UTC days of event times whose folders may have ticks that were received in a range: so many days before it, since
/// trades may be sent late, and one after it, for senders whose clock is ahead. `None` is every earlier day.
#[must_use]
pub fn event_days(range: ReceiptRange, late_days: Option<u32>) -> BTreeSet<NaiveDate> {
    let late_ms = late_days.map_or(i64::MAX, |days| i64::from(days) * MS_PER_DAY);
    days(
        range.from_ms.saturating_sub(late_ms),
        range.to_ms.saturating_add(MS_PER_DAY),
    )
}

/// Replays ticks. `days` are the folders of the archive, see [`event_days`]; the store needs none. `progress` is called
/// with the report after each step.
///
/// # Errors
/// [`PortError`], beside what was done before it. To repeat it from the start is safe.
pub async fn replay_ticks(
    origin: ReplayOrigin<'_>,
    selection: &TickSelection,
    days: BTreeSet<NaiveDate>,
    action: ReplayAction<'_>,
    stopped: Stopped<'_>,
    progress: &(dyn Fn(&TickReplayReport) + Send + Sync),
) -> (TickReplayReport, Result<(), PortError>) {
    let mut replay = Replay {
        selection,
        action,
        stopped,
        progress,
        started: Instant::now(),
        report: TickReplayReport {
            tokens_without_ticks: selection.tokens.clone(),
            ..TickReplayReport::default()
        },
    };
    let done = match origin {
        ReplayOrigin::Store(store) => {
            let pages = store.stored(selection.range);
            replay.all(pages, |row| Ok((row.tick, row.in_cohort))).await
        }
        ReplayOrigin::Archive(archive) => {
            let pages = archive.archived(Some(selection.range), days);
            replay
                .all(pages, |row| Ok((tick_of(row)?, Some(true))))
                .await
        }
    };
    (replay.report, done)
}

struct Replay<'a> {
    selection: &'a TickSelection,
    action: ReplayAction<'a>,
    stopped: Stopped<'a>,
    progress: &'a (dyn Fn(&TickReplayReport) + Send + Sync),
    started: Instant,
    report: TickReplayReport,
}

/// A row of the archive is not a tick.
struct NotATick;

impl Replay<'_> {
    async fn all<T>(
        &mut self,
        mut pages: Pages<'_, T>,
        read: impl Fn(T) -> Result<(Tick, Option<bool>), NotATick>,
    ) -> Result<(), PortError> {
        loop {
            let page = match next_or_stopped(&mut pages, self.stopped).await {
                Ok(Some(page)) => page,
                Ok(None) => return Ok(()),
                Err(WasStopped) => {
                    self.report.stopped = true;
                    return Ok(());
                }
            };
            let rows = match page? {
                Page::Ticks(rows) => rows,
                Page::Unseen(unseen) => {
                    self.report.unseen.push(unseen.what);
                    continue;
                }
            };
            let mut ticks = Vec::with_capacity(rows.len());
            for row in rows {
                match read(row) {
                    Ok((tick, in_cohort)) => ticks.extend(self.select(tick, in_cohort)),
                    Err(NotATick) => self.report.unreadable += 1,
                }
            }
            // Within a page, as they happened: fewer of them are late for the analysis.
            ticks.sort_unstable_by_key(Tick::order);
            self.report.selected += ticks.len() as u64;
            if let ReplayAction::Send { to, per_second_max } = self.action {
                self.send(ticks, to, per_second_max).await?;
            }
            (self.progress)(&self.report);
            if self.report.stopped {
                return Ok(());
            }
        }
    }

    /// The tick, if it is meant and the destination takes it.
    fn select(&mut self, tick: Tick, in_cohort: Option<bool>) -> Option<Tick> {
        let tokens = &self.selection.tokens;
        if !(tokens.is_empty() || tokens.contains(&tick.token)) {
            return None;
        }
        self.report.tokens_without_ticks.remove(&tick.token);
        let only_cohort = match self.action {
            ReplayAction::Count { only_cohort } => only_cohort,
            ReplayAction::Send { to, .. } => to.only_cohort(),
        };
        match in_cohort {
            Some(false) if only_cohort => self.report.outside_cohort += 1,
            None if only_cohort => self.report.undecided += 1,
            Some(_) | None => return Some(tick),
        }
        None
    }

    /// Sends ticks in batches, each in its turn, until it is stopped.
    async fn send(
        &mut self,
        mut ticks: Vec<Tick>,
        to: &dyn ReplayDestination,
        per_second_max: u32,
    ) -> Result<(), PortError> {
        let batch = at_once(per_second_max, BATCH_TICKS_MAX);
        while !ticks.is_empty() {
            let Sent {
                new,
                duplicate,
                rejected,
            } = self.report.sent;
            let done = new + duplicate + rejected;
            let turn = wait_for_turn(self.started, done, per_second_max, self.stopped).await;
            if turn.is_err() {
                self.report.stopped = true;
                return Ok(());
            }
            let rest = ticks.split_off(ticks.len().min(batch));
            let sent = to.send(std::mem::replace(&mut ticks, rest)).await?;
            let total = &mut self.report.sent;
            total.new += sent.new;
            total.duplicate += sent.duplicate;
            total.rejected += sent.rejected;
            (self.progress)(&self.report);
        }
        Ok(())
    }
}

/// A tick of the archive, whose amounts are the shortest decimals of its doubles.
fn tick_of(archived: ArchivedTick) -> Result<Tick, NotATick> {
    let price = Price::parse_rounded(&archived.price.to_string()).map_err(|_| NotATick)?;
    let volume = archived
        .volume
        .map(|volume| Volume::parse(&volume.to_string()));
    Ok(Tick {
        tick_id: archived.tick_id,
        token: archived.pair.token,
        quote: archived.pair.quote,
        price,
        volume: volume.transpose().map_err(|_| NotATick)?,
        timestamp_ms: archived.timestamp_ms,
        ingested_at_ms: archived.ingested_at_ms.ok_or(NotATick)?,
        source: archived.source,
        slot: archived.slot,
        method: archived.method,
        sequence: archived.sequence,
        quality: archived.quality,
    })
}
