//! Replays stored or archived ticks into the stream of one machine.
//!
//! The consumers of that stream count each record, and know a record by its sequence number alone: a repeat would be counted
//! again. So the ticks are compared with the stream first, and only those are appended that it lacks and that are not on
//! their way to it. What it has removed since, the archive has.

use std::collections::BTreeSet;

use app::pace::{at_once, wait_for_turn};
use app::ports::PortError;
use app::read_back::ReceiptRange;
use app::tick_replay::{Sent, TickReplayReport};
use async_trait::async_trait;
use domain::{Tick, Token, count_of};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::compare::{Sight, Tally};
use super::names::Names;
use super::put_back::REPAIR_TICKS_MAX;
use super::read::Unseen;
use super::sample::Sample;
use super::{Repair, Verify, VerifyError, VerifyRequest, Watch};

/// Which ticks are meant, and what is done with them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamReplayRequest {
    /// Ticks received from this time on, epoch milliseconds.
    pub from_ms: i64,
    /// And before this time. What was received in the last seconds is left out, since it may be on its way.
    pub to_ms: i64,
    /// Only of these tokens, as they are stored; none means all.
    #[serde(default)]
    pub tokens: BTreeSet<Token>,
    /// Only ticks that the archive has, instead of those of the store that belong to the stream.
    #[serde(default)]
    pub only_archived: bool,
    /// The most ticks that are appended a second.
    pub per_second_max: u32,
    /// Whether they are only counted.
    #[serde(default)]
    pub dry_run: bool,
}

impl StreamReplayRequest {
    /// The range that is compared if it begins now.
    ///
    /// # Errors
    /// As [`VerifyRequest::range`].
    pub fn range(
        &self,
        now_ms: i64,
        due_after: super::DueAfter,
    ) -> Result<ReceiptRange, VerifyError> {
        let request = VerifyRequest {
            from_ms: self.from_ms,
            to_ms: self.to_ms,
            one_in: 1,
            repeats_max: 0,
            due_after: None,
            repair: false,
        };
        request.range(now_ms, due_after)
    }
}

impl Verify<'_> {
    /// Appends what the stream lacks. In the report, `new` ticks were appended (in a dry run: would be), and the stream has
    /// or had the `duplicate` ones, or they are on their way to it. That needs to be known: see `Places::pending`.
    ///
    /// # Errors
    /// [`VerifyError`]. To repeat it is safe.
    pub async fn replay_into_stream(
        &self,
        request: &StreamReplayRequest,
    ) -> Result<TickReplayReport, VerifyError> {
        let range = request.range(self.now_ms, self.due_after)?;
        let sample = Sample::of_tokens(request.tokens.clone());
        let read = self.read_and_divide(range, self.due_after, sample);
        let (divided, mut rules, unseen) = read.await?;
        if request.only_archived {
            // Of the archive's ticks, also those count that the store has removed.
            (rules.only_archived, rules.store) = (true, Sight::CLEAR);
        }
        let paced = Paced {
            repair: self.repair,
            per_second_max: request.per_second_max,
            watch: self.watch,
            started: Instant::now(),
            appended: Mutex::default(),
        };
        let repair = (!request.dry_run).then_some(&paced as &dyn Repair);
        let (tally, names, repaired) = self.compare(divided, rules, repair).await?;
        let appended = repaired.map(|it| it.appended);
        Ok(report(request, &tally, &names, unseen, appended))
    }
}

fn report(
    request: &StreamReplayRequest,
    tally: &Tally,
    names: &Names,
    mut unseen: Unseen,
    appended: Option<u64>,
) -> TickReplayReport {
    let counts = &tally.counts;
    let not_known = tally.maybe_streamed;
    let mut report = TickReplayReport::default();
    if request.only_archived {
        report.selected = counts.cohort + counts.undecided + counts.archive.extra;
        report.unseen.append(&mut unseen.archive);
    } else {
        report.selected = counts.cohort;
        report.undecided = counts.undecided;
        report.outside_cohort = counts.stored - counts.cohort - counts.undecided;
        report.unseen.append(&mut unseen.store);
    }
    if not_known > 0 {
        report.unseen.append(&mut unseen.stream);
        report.unseen.append(&mut unseen.archive);
        report.unseen.push(format!(
            "it is not known whether the stream had {}, which the archive lacks: not appended",
            count_of(not_known, "tick")
        ));
    }
    let new = appended.unwrap_or(counts.stream.missing);
    report.sent = Sent {
        new,
        duplicate: report.selected.saturating_sub(new + not_known),
        rejected: 0,
    };
    let by_token = tally.groups(names).by_token;
    let has_ticks = |token: &Token| {
        let counts = by_token.get(token.as_str());
        counts.is_some_and(|counts| request.only_archived || counts.stored > 0)
    };
    let tokens = request.tokens.iter().filter(|token| !has_ticks(token));
    report.tokens_without_ticks = tokens.cloned().collect();
    report
}

/// Appends to the stream, so many ticks a second, and leaves the archive alone: it follows the stream.
struct Paced<'a> {
    repair: &'a dyn Repair,
    per_second_max: u32,
    watch: &'a dyn Watch,
    started: Instant,
    appended: Mutex<u64>,
}

#[async_trait]
impl Repair for Paced<'_> {
    async fn append(&self, ticks: &[Tick]) -> Result<u64, PortError> {
        let mut done = self.appended.lock().await;
        let before = *done;
        let batch = at_once(self.per_second_max, REPAIR_TICKS_MAX);
        let stopped = || self.watch.stopped();
        for ticks in ticks.chunks(batch) {
            let turn = wait_for_turn(self.started, *done, self.per_second_max, &stopped);
            // The comparison ends with what it has done when it sees the same.
            if turn.await.is_err() {
                break;
            }
            *done += self.repair.append(ticks).await?;
        }
        Ok(*done - before)
    }

    async fn archive(&self, _: &[Tick]) -> Result<(), PortError> {
        Ok(())
    }
}
