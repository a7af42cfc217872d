//! Replays stored or archived ticks into the stream of one machine.
//!
//! The consumers of that stream count each record, and know a record by its sequence number alone: a repeat would be counted
//! again. So the ticks are compared with the stream first. Appended are only those that it lacks, that are not on their way to
//! it, and that the archive does not have: what is there came from the stream.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

use app::pace::{at_once, wait_for_turn};
use app::ports::PortError;
use app::read_back::ReceiptRange;
use app::tick_replay::{Sent, TickReplayReport};
use async_trait::async_trait;
use domain::{Tick, Token, count_of};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::compare::{Sight, Tally};
use super::names::Names;
use super::put_back::REPAIR_TICKS_MAX;
use super::read::Unseen;
use super::request::settled_range;
use super::sample::Sample;
use super::{DueAfter, Phase, Progress, Repair, Verify, VerifyError, Watch};

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
    /// Only ticks that the archive has, too. The stream has had them all, so none is appended.
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
    /// As [`super::VerifyRequest::range`].
    pub fn range(&self, now_ms: i64, due_after: DueAfter) -> Result<ReceiptRange, VerifyError> {
        let wanted = ReceiptRange {
            from_ms: self.from_ms,
            to_ms: self.to_ms,
        };
        settled_range(wanted, now_ms, due_after)
    }
}

impl Verify<'_> {
    /// Appends what the stream lacks. In the report, `new` ticks were appended (in a dry run: would be), and the `duplicate`
    /// ones are in the stream, in the archive, or on their way to the stream. That needs to be known: see `Places::pending`.
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
            appended: AtomicU64::default(),
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
    unseen: Unseen,
    appended: Option<u64>,
) -> TickReplayReport {
    let counts = &tally.counts;
    let not_known = tally.maybe_streamed;
    let new = appended.unwrap_or(tally.never_streamed);
    let mut report = TickReplayReport {
        selected: counts.cohort,
        sent: Sent {
            new,
            duplicate: counts.cohort.saturating_sub(new + not_known),
            rejected: 0,
        },
        outside_cohort: counts.stored - counts.cohort - counts.undecided,
        undecided: counts.undecided,
        unseen: unseen.store,
        ..TickReplayReport::default()
    };
    if not_known > 0 {
        report.unseen.extend(unseen.stream);
    }
    if not_known > 0 || request.only_archived {
        report.unseen.extend(unseen.archive);
    }
    if not_known > 0 {
        report.unseen.push(format!(
            "not appended: {} that the stream may have had, and that the archive does not have",
            count_of(not_known, "tick")
        ));
    }
    let not_stored = counts.archive.extra.saturating_sub(report.outside_cohort);
    if request.only_archived && not_stored > 0 {
        report.unseen.push(format!(
            "not appended: {} of the archive that the store does not have; --into URL stores them",
            count_of(not_stored, "tick")
        ));
    }
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
    appended: AtomicU64,
}

#[async_trait]
impl Repair for Paced<'_> {
    async fn append(&self, ticks: &[Tick]) -> Result<u64, PortError> {
        let (started, mut done, mut appended) = (Instant::now(), 0, 0);
        let stopped = || self.watch.stopped();
        for ticks in ticks.chunks(at_once(self.per_second_max, REPAIR_TICKS_MAX)) {
            // The comparison sees it, too, and ends.
            if stopped() {
                break;
            }
            appended += self.repair.append(ticks).await?;
            done += ticks.len() as u64;
            let all = self.appended.load(Ordering::Relaxed) + appended;
            self.watch.progress(Progress {
                phase: Phase::Append,
                done: all,
                of: None,
            });
            // Also after the last: the next ones may come at once.
            let turn = wait_for_turn(started, done, self.per_second_max, &stopped);
            if turn.await.is_err() {
                break;
            }
        }
        self.appended.fetch_add(appended, Ordering::Relaxed);
        Ok(appended)
    }

    async fn archive(&self, _: &[Tick]) -> Result<(), PortError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use testkit::ticks::ticks;

    use super::*;

    struct Accepting;

    #[async_trait]
    impl Repair for Accepting {
        async fn append(&self, ticks: &[Tick]) -> Result<u64, PortError> {
            Ok(ticks.len() as u64)
        }
        async fn archive(&self, _: &[Tick]) -> Result<(), PortError> {
            panic!("the archive follows the stream")
        }
    }

    impl Watch for Accepting {
        fn progress(&self, _: Progress) {}
        fn stopped(&self) -> bool {
            false
        }
    }

    /// Neither the time of a comparison before it nor the end of a portion lets more ticks through.
    #[tokio::test(start_paused = true)]
    async fn portions_together_keep_to_the_rate() {
        let paced = Paced {
            repair: &Accepting,
            per_second_max: 10,
            watch: &Accepting,
            appended: AtomicU64::default(),
        };
        let (made, started) = (ticks(&["BTC"], 15), Instant::now());
        tokio::time::advance(Duration::from_secs(60)).await;
        for done_s in [61.5, 63.0] {
            assert_eq!(paced.append(&made).await.unwrap(), 15);
            let elapsed_s = started.elapsed().as_secs_f64();
            assert!((elapsed_s - done_s).abs() < 0.1, "{elapsed_s}");
        }
        paced.archive(&made).await.unwrap();
    }
}
