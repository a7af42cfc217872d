//! The rollout controller: a step up or down, and the rollback, each followed by watching what
//! really arrives in the stream.
//!
//! What lowers the share needs nothing but the flag's record to answer: it is written first, and
//! what cannot be seen afterwards is said.

use std::time::Duration;

use domain::{Percentage, Rollout, RolloutKey};
use tokio::time::Instant;

use crate::ports::{Alarms, Arrival, Arrivals, Poll};
use crate::stages::{Stage, StepRefused, check_step};
use app::ports::{Clock, PortError};
use app::rollout::{RolloutError, WHO_CHARS_MAX, WHY_CHARS_MAX, signed};

use crate::flag_record::{FlagChange, FlagContent, FlagRead, FlagRecord, FlagValue};

/// How long a process may go on with the flag as it read it last, in milliseconds.
pub const FLAG_CACHED_MS: i64 = 5_000;

/// After that, how long nothing new may arrive before the stream counts as quiet, in milliseconds.
const QUIET_MS: i64 = 1_500;

/// How often the stream is looked at; a shard answers five reads a second to all its readers.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// When a way back that does not come to rest is given up, in milliseconds.
const REST_WITHIN_MS: u64 = 60_000;

/// How far our clock and the stream's may be apart, in milliseconds: so much earlier than needed
/// the stream is read. A place in the future is refused.
const CLOCKS_APART_MS: i64 = 10_000;

/// How long what is only good to know is waited for before a change.
const ASK_WITHIN: Duration = Duration::from_secs(3);

/// How long a single look at the stream may take.
const LOOK_WITHIN: Duration = Duration::from_secs(15);

/// How often a change is made anew because somebody else changes the flag at the same time.
const WRITES_MAX: usize = 5;

/// How many changes are read to find what others wrote in between; SSM keeps 100.
const HISTORY_READ: usize = 100;

/// Why a step was not taken, or its end not seen.
#[derive(Debug, thiserror::Error)]
pub enum RolloutControllerError {
    /// The rules speak against it; the flag is as it was.
    #[error(transparent)]
    Refused(#[from] StepRefused),
    /// The change could not be made; the flag is as it was.
    #[error(transparent)]
    Change(#[from] RolloutError),
    /// A port failed. Where the flag was changed before, the change holds.
    #[error("{}: {}", .0, .0.source)]
    Port(PortError),
    /// The flag is not understood, so that up and down cannot be told apart.
    #[error("the flag holds {0}")]
    Unreadable(String),
    /// There is no flag.
    #[error("there is no flag: is this project deployed in this account and region?")]
    Missing,
    /// Others change the flag all the time.
    #[error(
        "somebody else changes the flag at the same time, again and again; it may stand at any of \
         the shares: agree with them, and look at the status"
    )]
    Contended,
    /// The flag is at 0, but ticks still arrive.
    #[error(
        "the flag is at 0, but after {} s ticks taken in after the change still arrive: is there a \
         process that does not read the flag?", REST_WITHIN_MS / 1_000
    )]
    NoRest,
    /// The flag is at 0, but the stream holds more than could be read.
    #[error(
        "the flag is at 0, but in {} s the stream could not be read to its end, so that it is not \
         known whether ticks still arrive; look at its metric IncomingRecords", REST_WITHIN_MS / 1_000
    )]
    Behind,
}

impl From<PortError> for RolloutControllerError {
    fn from(error: PortError) -> Self {
        Self::Port(error)
    }
}

/// A change that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// The share before; `None` where it was not known.
    pub before: Option<Percentage>,
    /// What the flag holds since.
    pub value: FlagValue,
    /// When the change was begun, epoch milliseconds.
    pub began_ms: i64,
    /// How long storing the flag took, in milliseconds.
    pub stored_after_ms: i64,
    /// What people should know: sentences.
    pub notes: Vec<String>,
}

/// What arrived in the stream after a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepReport {
    /// How long the stream was watched after every process had the flag, in milliseconds.
    pub watched_ms: i64,
    /// Ticks that arrived in that time.
    pub arrived: u64,
    /// Those of them that do not belong to the cohort. Where the flag does not say what the cohort
    /// is drawn by, it is the key that fits best.
    pub outside_cohort: u64,
    /// Whether all that had arrived could be read.
    pub caught_up: bool,
}

/// How a way back came to rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DrainReport {
    /// When the last tick taken in after the change arrived, in milliseconds after the change was
    /// begun; `None` where there was none.
    pub last_arrival_after_ms: Option<i64>,
    /// Ticks taken in after the change that still arrived.
    pub arrived: u64,
}

/// Who asks for a change, and why.
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

    /// Cut to what is kept: on the way back no text is worth a refusal.
    fn fitted(self) -> Self {
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
    /// Goes to a stage. Up it goes only where the rules allow it, and alarms and stream can be
    /// looked at; forced, it goes whatever they say.
    ///
    /// # Errors
    /// [`RolloutControllerError`]; the flag is then as it was, but for [`RolloutControllerError::Contended`].
    pub async fn step(
        &self,
        asked: Stage,
        forced: bool,
        signature: Signature,
        arrivals: &mut dyn Arrivals,
    ) -> Result<Changed, RolloutControllerError> {
        let signature = signature.checked()?;
        let read = match in_time(ASK_WITHIN, "read the flag", self.flag.read()).await {
            Ok(read) if read.content == FlagContent::Missing => {
                return Err(RolloutControllerError::Missing);
            }
            Err(error) if !forced => return Err(error.into()),
            read => read,
        };
        let mut draft = Draft::of(read);
        if let (Some(why), false) = (&draft.unreadable, forced) {
            return Err(RolloutControllerError::Unreadable(why.clone()));
        }
        let up = draft.before.is_none_or(|now| asked.percentage() > now);
        if up && forced {
            draft.notes.extend(self.overridden().await);
        } else if let (true, Some(now)) = (up, draft.before) {
            check_step(now, asked, &self.alarms.states().await?)?;
            let from_ms = self.clock.now_ms() - CLOCKS_APART_MS;
            in_time(LOOK_WITHIN, "open the stream", arrivals.watch_from(from_ms)).await?;
        }
        self.put(draft, asked.percentage(), signature).await
    }

    /// Sets the share to 0, whatever the flag held.
    ///
    /// # Errors
    /// [`RolloutControllerError::Change`] where it cannot be written.
    pub async fn back(&self, signature: Signature) -> Result<Changed, RolloutControllerError> {
        let read = in_time(ASK_WITHIN, "read the flag", self.flag.read()).await;
        let draft = Draft::of(read);
        self.put(draft, Percentage::ZERO, signature.fitted()).await
    }

    /// After a step: waits until every process has the flag, and watches the stream for `watch`.
    ///
    /// # Errors
    /// [`RolloutControllerError::Port`] where it cannot be watched; the change holds.
    pub async fn watch(
        &self,
        changed: &Changed,
        arrivals: &mut dyn Arrivals,
        watch: Duration,
    ) -> Result<StepReport, RolloutControllerError> {
        tokio::time::sleep(Duration::from_millis(FLAG_CACHED_MS.unsigned_abs())).await;
        let began_ms = self.clock.now_ms();
        let from_ms = began_ms - CLOCKS_APART_MS;
        in_time(LOOK_WITHIN, "open the stream", arrivals.watch_from(from_ms)).await?;
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
            tokio::time::sleep(LOOK_EVERY).await;
            let look = in_time(LOOK_WITHIN, "read the stream", arrivals.poll()).await?;
            seen.caught_up = look.caught_up;
            for Arrival { tick, .. } in look.arrivals {
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

    /// After the way back: waits until no tick that was taken in afterwards arrives any more, for a
    /// minute at most.
    ///
    /// # Errors
    /// [`RolloutControllerError`]; the flag is at 0 all the same.
    pub async fn rest(
        &self,
        changed: &Changed,
        arrivals: &mut dyn Arrivals,
    ) -> Result<DrainReport, RolloutControllerError> {
        let began_ms = changed.began_ms;
        let deadline = Instant::now() + Duration::from_millis(REST_WITHIN_MS);
        let from_ms = began_ms - CLOCKS_APART_MS;
        in_time(LOOK_WITHIN, "open the stream", arrivals.watch_from(from_ms)).await?;
        let mut seen = DrainReport {
            last_arrival_after_ms: None,
            arrived: 0,
        };
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let Ok(look) = tokio::time::timeout_at(deadline, arrivals.poll()).await else {
                return Err(RolloutControllerError::Behind);
            };
            let Poll {
                arrivals,
                caught_up,
            } = look?;
            for Arrival { tick, arrived_ms } in arrivals {
                if tick.ingested_at_ms >= began_ms {
                    seen.arrived += 1;
                    let after_ms = arrived_ms.max(tick.ingested_at_ms) - began_ms;
                    seen.last_arrival_after_ms = seen.last_arrival_after_ms.max(Some(after_ms));
                }
            }
            let passed_ms = self.clock.now_ms() - began_ms;
            let busy_ms = seen.last_arrival_after_ms.unwrap_or(0).max(FLAG_CACHED_MS);
            // Short of the tip, silence only says that older records came first.
            if caught_up && passed_ms >= busy_ms + QUIET_MS {
                return Ok(seen);
            }
            if Instant::now() >= deadline {
                return Err(if caught_up {
                    RolloutControllerError::NoRest
                } else {
                    RolloutControllerError::Behind
                });
            }
        }
    }

    /// What a forced step up goes against.
    async fn overridden(&self) -> Option<String> {
        match in_time(ASK_WITHIN, "read the alarms", self.alarms.states()).await {
            Ok(alarms) if alarms.watched == 0 => Some("forced without any alarm".to_owned()),
            Ok(alarms) if alarms.on.is_empty() => None,
            Ok(alarms) => Some(format!("forced while on: {}", alarms.on.join(", "))),
            Err(error) => Some(format!(
                "forced without a look at the alarms: {error}: {}",
                error.source
            )),
        }
    }

    /// Writes the share. Where somebody else wrote since the flag was read, the lowest of all
    /// shares is what stays.
    async fn put(
        &self,
        draft: Draft,
        share: Percentage,
        signature: Signature,
    ) -> Result<Changed, RolloutControllerError> {
        let began_ms = self.clock.now_ms();
        let mut notes = draft.notes;
        let mut change = FlagChange {
            at_ms: began_ms,
            who: signature.who,
            why: signature.why,
            value: FlagValue {
                use_kinesis: true,
                percentage: share,
                key: draft.key,
            },
        };
        let mut known = draft.version;
        for _ in 0..WRITES_MAX {
            let written = self.flag.write(&change).await.map_err(RolloutError::Port)?;
            let stored_after_ms = self.clock.now_ms() - began_ms;
            let lower = match known {
                Some(known) if written != known + 1 => {
                    let (lowest, told) = self.between(known, written, &change, draft.before).await;
                    notes.extend(told);
                    lowest.filter(|lowest| *lowest < change.value.percentage)
                }
                _ => None,
            };
            let Some(lower) = lower else {
                return Ok(Changed {
                    before: draft.before,
                    value: change.value,
                    began_ms,
                    stored_after_ms,
                    notes,
                });
            };
            notes.push(format!("the lower share stays: {lower} %"));
            change.value.percentage = lower;
            change.at_ms = self.clock.now_ms();
            known = Some(written);
        }
        Err(RolloutControllerError::Contended)
    }

    /// What others wrote between two versions: the lowest share among it, and a sentence about each.
    async fn between(
        &self,
        known: i64,
        written: i64,
        ours: &FlagChange,
        before: Option<Percentage>,
    ) -> (Option<Percentage>, Vec<String>) {
        let history = self.flag.history(HISTORY_READ).await.unwrap_or_default();
        let between = history
            .into_iter()
            .filter(|past| known < past.version && past.version < written);
        let (mut found, mut lowest, mut told) = (0_i64, None::<Percentage>, Vec::new());
        for past in between {
            found += 1;
            // A request that was answered late is sent twice.
            if past.change == *ours {
                continue;
            }
            let share = past.change.value.share();
            lowest = Some(lowest.map_or(share, |lowest| lowest.min(share)));
            let FlagChange { who, why, .. } = past.change;
            told.push(format!("meanwhile {who} had set {share} %: {why}"));
        }
        if found != written - known - 1 {
            told.push("meanwhile somebody had changed the flag; to what is not known".to_owned());
            lowest = [lowest, before].into_iter().flatten().min();
        }
        (lowest, told)
    }
}

/// What is known before a change.
struct Draft {
    before: Option<Percentage>,
    version: Option<i64>,
    key: Option<RolloutKey>,
    unreadable: Option<String>,
    notes: Vec<String>,
}

impl Draft {
    fn of(read: Result<FlagRead, PortError>) -> Self {
        let mut draft = Self {
            before: None,
            version: read.as_ref().ok().map(|read| read.version),
            key: None,
            unreadable: None,
            notes: Vec::new(),
        };
        match read.map(|read| read.content) {
            Ok(FlagContent::Value(value)) => {
                draft.before = Some(value.share());
                draft.key = value.key;
            }
            Ok(FlagContent::Unreadable(what)) => {
                draft.notes.push(format!("written over {what}"));
                draft.unreadable = Some(what);
            }
            Ok(FlagContent::Missing) => {
                let note = "there was no flag, and one was made: is the project's name right?";
                draft.notes.push(note.to_owned());
            }
            Err(error) => {
                let note = format!("the flag before is not known: {error}: {}", error.source);
                draft.notes.push(note);
            }
        }
        draft
    }
}

/// The cohorts that may be meant: one, or one for each key where the flag does not say which.
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
