//! The rollout controller: steps up and down, and the rollback. After each, it watches what really
//! arrives in the stream.
//!
//! Lowering the share needs only the flag's record: the flag is written first, and the report says
//! what could not be checked afterwards.

use std::time::Duration;

use domain::{Percentage, Rollout, RolloutKey};
use tokio::time::Instant;

use crate::ports::{Alarms, Arrival, Arrivals, Poll};
use crate::stage_gate::{Stage, StepRefused, check_step};
use crate::stage_proof::StageProof;
use crate::verify::Proof;
use app::flag_editor::{RolloutError, WHO_CHARS_MAX, WHY_CHARS_MAX, signed};
use app::ports::{Clock, PortError};

use crate::flag_record::{
    FLAG_CACHED_MS, FlagChange, FlagContent, FlagRead, FlagRecord, FlagValue,
};

/// How long nothing new must arrive after that for the stream to count as drained, in milliseconds.
const QUIET_MS: i64 = 1_500;

/// How often the stream is polled; a shard allows five reads a second across all its readers, and has two already.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// How long a rollback waits for the stream to drain, in milliseconds.
const DRAIN_TIMEOUT_MS: u64 = 60_000;

/// The largest expected difference between our clock and the stream's, in milliseconds. The stream
/// is read from that much earlier than needed, since a position in the future is refused.
const CLOCK_SKEW_MS_MAX: i64 = 10_000;

/// How long a read that only informs the operator may delay a change.
const PRECHECK_TIMEOUT: Duration = Duration::from_secs(3);

/// How long a single poll of the stream may take.
const POLL_TIMEOUT: Duration = Duration::from_secs(15);

/// How long a step up waits for alarms that have not been evaluated yet: five periods of a minute, and a margin.
const ALARMS_UNDECIDED_TIMEOUT: Duration = Duration::from_secs(420);

/// How often their states are read meanwhile.
const ALARMS_POLL_INTERVAL: Duration = Duration::from_secs(10);

/// How often a change is attempted when somebody else changes the flag at the same time.
const WRITES_MAX: usize = 5;

/// How many changes are read to find what others wrote in between. SSM keeps 100.
const HISTORY_READ_MAX: usize = 100;

/// Why a step was not taken, or its effect could not be confirmed.
#[derive(Debug, thiserror::Error)]
pub enum RolloutControllerError {
    /// The stage rules do not allow the step; the flag is unchanged.
    #[error(transparent)]
    Refused(#[from] StepRefused),
    /// The change could not be made; the flag is unchanged.
    #[error(transparent)]
    Change(#[from] RolloutError),
    /// A port failed. If the flag had been changed before, the change holds.
    #[error("{}: {}", .0, .0.source)]
    Port(PortError),
    /// The flag is not valid, so up and down cannot be distinguished.
    #[error("the flag is not valid: it holds {0}")]
    Unreadable(String),
    /// There is no flag.
    #[error("there is no flag: is this project deployed in this account and region?")]
    Missing,
    /// Others keep changing the flag.
    #[error(
        "somebody else keeps changing the flag at the same time, so it may now hold any of these \
         shares: agree with them, then check the status"
    )]
    Contended,
    /// The flag is at 0, but ticks still arrive.
    #[error(
        "the flag is at 0, but after {} s ticks ingested after the change still arrive: does some \
         process not read the flag?", DRAIN_TIMEOUT_MS / 1_000
    )]
    NotDrained,
    /// The flag is at 0, but the stream could not be read to its end.
    #[error(
        "the flag is at 0, but the stream could not be read to its end within {} s, so ticks may \
         still arrive; check its metric IncomingRecords", DRAIN_TIMEOUT_MS / 1_000
    )]
    Behind,
}

impl From<PortError> for RolloutControllerError {
    fn from(error: PortError) -> Self {
        Self::Port(error)
    }
}

/// A change that was made.
#[derive(Debug, Clone, PartialEq)]
pub struct Changed {
    /// The share before; `None` if it was not known.
    pub before: Option<Percentage>,
    /// What the flag holds now.
    pub value: FlagValue,
    /// When the change began, epoch milliseconds.
    pub began_ms: i64,
    /// How long storing the flag took, in milliseconds.
    pub stored_after_ms: i64,
    /// The proof of the stage before, if the step needed one.
    pub proof: Option<Proof>,
    /// Remarks for the operator, one sentence each.
    pub notes: Vec<String>,
}

/// What arrived in the stream after a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepReport {
    /// How long the stream was watched after every process had the flag, in milliseconds.
    pub watched_ms: i64,
    /// Ticks that arrived in that time.
    pub arrived: u64,
    /// Those of them outside the cohort. If the flag does not name the cohort's key, the key that
    /// fits best is used.
    pub outside_cohort: u64,
    /// Whether everything that had arrived could be read.
    pub caught_up: bool,
}

/// How the stream drained after a rollback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DrainReport {
    /// When the last tick ingested after the change arrived, in milliseconds after the change
    /// began; `None` if there was none.
    pub last_arrival_after_ms: Option<i64>,
    /// Ticks ingested after the change that still arrived.
    pub arrived: u64,
}

/// Who requests a change, and why.
#[derive(Debug, Clone)]
pub struct Signature {
    /// Who (1 to 100 characters).
    pub who: String,
    /// Why (1 to 500 characters).
    pub why: String,
}

impl Signature {
    fn checked(self) -> Result<Self, RolloutError> {
        Ok(Self {
            who: signed("who", &self.who, WHO_CHARS_MAX)?,
            why: signed("why", &self.why, WHY_CHARS_MAX)?,
        })
    }

    /// Truncated to the lengths that are kept: a rollback is never refused because of its text.
    fn truncated(self) -> Self {
        let fit = |text: &str, chars_max, otherwise: &str| match text.trim() {
            "" => otherwise.to_owned(),
            text => text.chars().take(chars_max).collect(),
        };
        Self {
            who: fit(&self.who, WHO_CHARS_MAX, "unknown"),
            why: fit(&self.why, WHY_CHARS_MAX, "no reason given"),
        }
    }
}

/// Moves the rollout for an operator.
pub struct RolloutController<'a> {
    /// The flag.
    pub flag: &'a dyn FlagRecord,
    /// The alarms.
    pub alarms: &'a dyn Alarms,
    /// Our clock.
    pub clock: &'a dyn Clock,
}

impl RolloutController<'_> {
    /// Moves to a stage. A step up needs the stage rules to allow it, a proof of the stage before unless that is 0, and
    /// alarms and stream to be readable; a forced step skips these checks.
    ///
    /// # Errors
    /// [`RolloutControllerError`]; the flag is then unchanged, except after [`RolloutControllerError::Contended`].
    pub async fn step(
        &self,
        stage: Stage,
        forced: bool,
        signature: Signature,
        proof: &StageProof<'_>,
        arrivals: &mut dyn Arrivals,
    ) -> Result<Changed, RolloutControllerError> {
        let signature = signature.checked()?;
        let read = match in_time(PRECHECK_TIMEOUT, "read the flag", self.flag.read()).await {
            Ok(read) if read.content == FlagContent::Missing => {
                return Err(RolloutControllerError::Missing);
            }
            Err(error) if !forced => return Err(error.into()),
            read => read,
        };
        let mut prior = PriorFlag::of(read);
        if let (Some(why), false) = (&prior.unreadable, forced) {
            return Err(RolloutControllerError::Unreadable(why.clone()));
        }
        let up = prior.before.is_none_or(|now| stage.percentage() > now);
        if up && forced {
            prior.notes.extend(self.what_force_overrides().await);
        } else if let (true, Some(now)) = (up, prior.before) {
            let unseen = self.wait_for_alarms(now, stage).await?;
            prior.notes.extend(unseen);
            if now > Percentage::ZERO {
                let began_ms = self.stage_began_ms().await?;
                prior.proof = Some(proof.of(began_ms, self.clock.now_ms()).await?);
                // A comparison takes minutes, in which an alarm may have risen.
                self.wait_for_alarms(now, stage).await?;
            }
            let from_ms = self.clock.now_ms() - CLOCK_SKEW_MS_MAX;
            in_time(
                POLL_TIMEOUT,
                "open the stream",
                arrivals.watch_from(from_ms),
            )
            .await?;
        }
        self.put(prior, stage.percentage(), signature).await
    }

    /// Sets the share to 0, whatever the flag held.
    ///
    /// # Errors
    /// [`RolloutControllerError::Change`] if the flag cannot be written.
    pub async fn rollback(&self, signature: Signature) -> Result<Changed, RolloutControllerError> {
        let read = in_time(PRECHECK_TIMEOUT, "read the flag", self.flag.read()).await;
        let prior = PriorFlag::of(read);
        self.put(prior, Percentage::ZERO, signature.truncated())
            .await
    }

    /// After a step: waits until every process has the flag, and watches the stream for `watch`.
    ///
    /// # Errors
    /// [`RolloutControllerError::Port`] if the stream cannot be watched; the change holds.
    pub async fn watch(
        &self,
        changed: &Changed,
        arrivals: &mut dyn Arrivals,
        watch: Duration,
    ) -> Result<StepReport, RolloutControllerError> {
        tokio::time::sleep(Duration::from_millis(FLAG_CACHED_MS.unsigned_abs())).await;
        let began_ms = self.clock.now_ms();
        let from_ms = began_ms - CLOCK_SKEW_MS_MAX;
        in_time(
            POLL_TIMEOUT,
            "open the stream",
            arrivals.watch_from(from_ms),
        )
        .await?;
        let cohorts = cohorts(&changed.value);
        let mut outside = vec![0_u64; cohorts.len()];
        let mut seen = StepReport {
            watched_ms: 0,
            arrived: 0,
            outside_cohort: 0,
            caught_up: true,
        };
        let watch_ms = i64::try_from(watch.as_millis()).unwrap_or(i64::MAX);
        while seen.watched_ms < watch_ms {
            tokio::time::sleep(POLL_INTERVAL).await;
            let poll = in_time(POLL_TIMEOUT, "read the stream", arrivals.poll()).await?;
            seen.caught_up = poll.caught_up;
            for Arrival { tick, .. } in poll.arrivals {
                if tick.ingested_at_ms >= began_ms {
                    seen.arrived += 1;
                    for (count, cohort) in outside.iter_mut().zip(&cohorts) {
                        *count += u64::from(!cohort.admits(&tick));
                    }
                }
            }
            seen.watched_ms = self.clock.now_ms() - began_ms;
        }
        seen.outside_cohort = outside.into_iter().min().unwrap_or(0);
        Ok(seen)
    }

    /// After a rollback: waits until no tick ingested after the change arrives any more, for a
    /// minute at most.
    ///
    /// # Errors
    /// [`RolloutControllerError`]; the flag is at 0 regardless.
    pub async fn watch_drained(
        &self,
        changed: &Changed,
        arrivals: &mut dyn Arrivals,
    ) -> Result<DrainReport, RolloutControllerError> {
        let began_ms = changed.began_ms;
        let deadline = Instant::now() + Duration::from_millis(DRAIN_TIMEOUT_MS);
        let from_ms = began_ms - CLOCK_SKEW_MS_MAX;
        in_time(
            POLL_TIMEOUT,
            "open the stream",
            arrivals.watch_from(from_ms),
        )
        .await?;
        let mut seen = DrainReport {
            last_arrival_after_ms: None,
            arrived: 0,
        };
        loop {
            tokio::time::sleep(POLL_INTERVAL).await;
            let Ok(poll) = tokio::time::timeout_at(deadline, arrivals.poll()).await else {
                return Err(RolloutControllerError::Behind);
            };
            let Poll {
                arrivals,
                caught_up,
            } = poll?;
            for Arrival { tick, arrived_ms } in arrivals {
                if tick.ingested_at_ms >= began_ms {
                    seen.arrived += 1;
                    let after_ms = arrived_ms.max(tick.ingested_at_ms) - began_ms;
                    seen.last_arrival_after_ms = seen.last_arrival_after_ms.max(Some(after_ms));
                }
            }
            let passed_ms = self.clock.now_ms() - began_ms;
            let busy_ms = seen.last_arrival_after_ms.unwrap_or(0).max(FLAG_CACHED_MS);
            // Before the end of the stream is reached, silence proves nothing.
            if caught_up && passed_ms >= busy_ms + QUIET_MS {
                return Ok(seen);
            }
            if Instant::now() >= deadline {
                return Err(if caught_up {
                    RolloutControllerError::NotDrained
                } else {
                    RolloutControllerError::Behind
                });
            }
        }
    }

    /// When the share that is in force was set, epoch milliseconds.
    async fn stage_began_ms(&self) -> Result<i64, RolloutControllerError> {
        let history = self.flag.history(HISTORY_READ_MAX).await?;
        let mut newest = history.iter();
        let Some(last) = newest.next() else {
            let unknown = "nobody knows when the stage began, since the flag has no history";
            return Err(StepRefused::Unproven(unknown.to_owned()).into());
        };
        // A change of who or why alone is not another stage.
        let share = last.change.value;
        let same = newest.take_while(|past| past.change.value == share).last();
        Ok(same.unwrap_or(last).change.at_ms)
    }

    /// Checks a step up against the alarms. Those that are new and not evaluated yet are waited for. Returns a remark
    /// about those that nobody can see.
    async fn wait_for_alarms(
        &self,
        now: Percentage,
        stage: Stage,
    ) -> Result<Option<String>, RolloutControllerError> {
        let deadline = Instant::now() + ALARMS_UNDECIDED_TIMEOUT;
        loop {
            let alarms = self.alarms.states().await?;
            match check_step(now, stage, &alarms) {
                Err(StepRefused::Undecided(_)) if Instant::now() < deadline => {
                    tokio::time::sleep(ALARMS_POLL_INTERVAL).await;
                }
                refused @ Err(_) => refused?,
                Ok(()) if alarms.unseen.is_empty() => return Ok(None),
                Ok(()) => {
                    return Ok(Some(format!(
                        "on an emulator, which evaluates no alarms, these could not be seen: {}",
                        alarms.unseen.join(", ")
                    )));
                }
            }
        }
    }

    /// The alarm state that a forced step up ignores.
    async fn what_force_overrides(&self) -> Option<String> {
        match in_time(PRECHECK_TIMEOUT, "read the alarms", self.alarms.states()).await {
            Ok(alarms) if alarms.watched == 0 => {
                Some("forced although the project has no alarms".to_owned())
            }
            Ok(alarms) if alarms.on.is_empty() => None,
            Ok(alarms) => Some(format!("forced despite alarms: {}", alarms.on.join(", "))),
            Err(error) => Some(format!(
                "forced although the alarms could not be read: {error}: {}",
                error.source
            )),
        }
    }

    /// Writes the share. If somebody else wrote since the flag was read, the lowest of all shares
    /// remains.
    async fn put(
        &self,
        prior: PriorFlag,
        share: Percentage,
        signature: Signature,
    ) -> Result<Changed, RolloutControllerError> {
        let began_ms = self.clock.now_ms();
        let mut notes = prior.notes;
        let mut change = FlagChange {
            at_ms: began_ms,
            who: signature.who,
            why: signature.why,
            value: FlagValue {
                use_kinesis: true,
                percentage: share,
                key: prior.key,
            },
        };
        let mut known = prior.version;
        for _ in 0..WRITES_MAX {
            let written = self.flag.write(&change).await.map_err(RolloutError::Port)?;
            let stored_after_ms = self.clock.now_ms() - began_ms;
            let lower = match known {
                Some(known) if written != known + 1 => {
                    let (lowest, remarks) = self
                        .written_between(known, written, &change, prior.before)
                        .await;
                    notes.extend(remarks);
                    lowest.filter(|lowest| *lowest < change.value.percentage)
                }
                _ => None,
            };
            let Some(lower) = lower else {
                return Ok(Changed {
                    before: prior.before,
                    value: change.value,
                    began_ms,
                    stored_after_ms,
                    proof: prior.proof,
                    notes,
                });
            };
            notes.push(format!("the lower share was kept: {lower} %"));
            change.value.percentage = lower;
            change.at_ms = self.clock.now_ms();
            known = Some(written);
        }
        Err(RolloutControllerError::Contended)
    }

    /// What others wrote between two versions: the lowest of their shares, and a remark on each.
    async fn written_between(
        &self,
        known: i64,
        written: i64,
        ours: &FlagChange,
        before: Option<Percentage>,
    ) -> (Option<Percentage>, Vec<String>) {
        let history = self
            .flag
            .history(HISTORY_READ_MAX)
            .await
            .unwrap_or_default();
        let between = history
            .into_iter()
            .filter(|past| known < past.version && past.version < written);
        let (mut found, mut lowest, mut remarks) = (0_i64, None::<Percentage>, Vec::new());
        for past in between {
            found += 1;
            // The SDK may have retried our own request after a late response.
            if past.change == *ours {
                continue;
            }
            let share = past.change.value.share();
            lowest = Some(lowest.map_or(share, |lowest| lowest.min(share)));
            let FlagChange { who, why, .. } = past.change;
            remarks.push(format!("meanwhile {who} had set {share} %: {why}"));
        }
        if found != written - known - 1 {
            remarks.push("meanwhile somebody had changed the flag to an unknown value".to_owned());
            lowest = [lowest, before].into_iter().flatten().min();
        }
        (lowest, remarks)
    }
}

/// What is known of the flag before a change.
struct PriorFlag {
    before: Option<Percentage>,
    version: Option<i64>,
    key: Option<RolloutKey>,
    unreadable: Option<String>,
    proof: Option<Proof>,
    notes: Vec<String>,
}

impl PriorFlag {
    fn of(read: Result<FlagRead, PortError>) -> Self {
        let mut prior = Self {
            before: None,
            version: read.as_ref().ok().map(|read| read.version),
            key: None,
            unreadable: None,
            proof: None,
            notes: Vec::new(),
        };
        match read.map(|read| read.content) {
            Ok(FlagContent::Value(value)) => {
                prior.before = Some(value.share());
                prior.key = value.key;
            }
            Ok(FlagContent::Unreadable(what)) => {
                prior
                    .notes
                    .push(format!("this replaced an invalid value: {what}"));
                prior.unreadable = Some(what);
            }
            Ok(FlagContent::Missing) => {
                let note = "there was no flag, so one was created: are the project's name, the account and the region right?";
                prior.notes.push(note.to_owned());
            }
            Err(error) => {
                let note = format!(
                    "the previous value of the flag is not known: {error}: {}",
                    error.source
                );
                prior.notes.push(note);
            }
        }
        prior
    }
}

/// The possible cohorts: one, or one for each key if the flag does not name it.
fn cohorts(value: &FlagValue) -> Vec<Rollout> {
    let keys = match value.key {
        Some(key) => vec![key],
        None => vec![RolloutKey::Tick, RolloutKey::Token],
    };
    let of = |key| Rollout {
        use_kinesis: value.use_kinesis,
        percentage: value.percentage,
        key,
    };
    keys.into_iter().map(of).collect()
}

async fn in_time<T>(
    within: Duration,
    operation: &'static str,
    work: impl Future<Output = Result<T, PortError>>,
) -> Result<T, PortError> {
    match tokio::time::timeout(within, work).await {
        Ok(done) => done,
        Err(_) => Err(PortError {
            operation,
            retryable: true,
            source: format!("no answer within {} s", within.as_secs()).into(),
        }),
    }
}
