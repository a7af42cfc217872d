//! The proof of a stage: what was stored since it began is in stream and archive, tick by tick.

use async_trait::async_trait;
use domain::count_of;

use crate::flag_record::FLAG_CACHED_MS;
use crate::stage_gate::StepRefused;
use crate::text::duration;
use crate::verify::{DueAfter, Place, PlaceCounts, Proof, Verdict};

const MS_PER_SECOND: i64 = 1_000;

/// The most of a stage that is compared, in milliseconds: a stream keeps 24 hours, and what it has removed cannot be seen, so
/// a longer stage could never be proven.
pub const COMPARED_MS_MAX: i64 = 23 * 60 * 60 * 1_000;

/// How much of a stage's traffic a proof needs, unless it is set otherwise, in milliseconds.
pub const TRAFFIC_MS: i64 = 10 * 60 * 1_000;

/// A kept proof that is older says too little about now, in milliseconds.
const KEPT_PROOF_MS_MAX: i64 = 60 * 60 * 1_000;

/// Why a step up cannot rest on a proof that was kept, or `None` if it can: it must be of all ticks of the stage that began
/// at a time (epoch milliseconds), without repeats, and with the places' own times until a tick is due, `due_after`.
#[must_use]
pub fn why_not_of_stage(
    proof: &Proof,
    began_ms: i64,
    now_ms: i64,
    due_after: DueAfter,
) -> Option<String> {
    let scope = proof.scope;
    let from_ms = (began_ms + FLAG_CACHED_MS).max(proof.made_at_ms - COMPARED_MS_MAX);
    let age_ms = now_ms - proof.made_at_ms;
    let is_longer = |it: DueAfter| it.archived_ms > due_after.archived_ms;
    let repeated = Place::ALL.map(|place| proof.counts.of(place).repeated);
    let why = if proof.verdict() != Verdict::Proven {
        "it is not proven".to_owned()
    } else if scope.one_in > 1 {
        "it is of a sample".to_owned()
    } else if scope.from_ms > from_ms {
        "it lacks the beginning of the stage".to_owned()
    } else if scope.to_ms - from_ms < TRAFFIC_MS {
        let covered = duration((scope.to_ms - from_ms).max(0));
        format!(
            "it has {covered} of the stage, and {} are needed",
            duration(TRAFFIC_MS)
        )
    } else if age_ms >= KEPT_PROOF_MS_MAX {
        format!("it is {} old", duration(age_ms))
    } else if proof.due_after.is_some_and(is_longer) {
        "its ticks had longer to come to the archive than usual".to_owned()
    } else if repeated != [0, 0] {
        "it allowed ticks that are there more than once".to_owned()
    } else {
        return None;
    };
    Some(why)
}

/// Compares store, stream and archive.
#[async_trait]
pub trait Prover: Send + Sync {
    /// A comparison of all ticks received from a time on (epoch milliseconds), never of a sample; or why there is none,
    /// in a sentence.
    async fn prove(&self, from_ms: i64) -> Result<Proof, String>;
}

/// What a step up needs of the stage before.
pub struct StageProof<'a> {
    /// Makes the proof.
    pub prover: &'a dyn Prover,
    /// How many milliseconds of the stage's traffic must be due everywhere.
    pub traffic_ms: i64,
    /// How long a tick may take to the archive, in milliseconds.
    pub due_ms: i64,
}

impl StageProof<'_> {
    /// The proof of a stage that began at a time (epoch milliseconds): of all of it, at most [`COMPARED_MS_MAX`].
    ///
    /// # Errors
    /// [`StepRefused`] if the stage is not proven, or the comparison could not be made.
    pub async fn of(&self, began_ms: i64, now_ms: i64) -> Result<Proof, StepRefused> {
        // Until then a process may use the flag of the stage before.
        let from_ms = began_ms + FLAG_CACHED_MS;
        let (ran_ms, needed_ms) = (now_ms - from_ms, self.traffic_ms + self.due_ms);
        if ran_ms < needed_ms {
            return Err(StepRefused::TooYoung {
                ran_s: ran_ms.max(0) / MS_PER_SECOND,
                needed_s: needed_ms.div_euclid(MS_PER_SECOND) + 1,
            });
        }
        let from_ms = from_ms.max(now_ms - COMPARED_MS_MAX);
        let proof = self.prover.prove(from_ms).await;
        let proof = proof.map_err(StepRefused::Unproven)?;
        match proof.verdict() {
            Verdict::Proven => Ok(proof),
            Verdict::Differences => Err(StepRefused::Unproven(differences(&proof))),
            Verdict::Incomplete => {
                let unseen = proof.unseen.iter().cloned();
                let all: Vec<String> = unseen.chain(proof.overdue()).collect();
                let what = format!("not everything could be seen: {}", all.join("; "));
                Err(StepRefused::Unproven(what))
            }
            Verdict::NoTicks => Err(StepRefused::Unproven(
                "it had no traffic: no tick of the cohort that is due was received".to_owned(),
            )),
        }
    }
}

/// Such as `3 missing in the stream, 1 different in the archive`.
fn differences(proof: &Proof) -> String {
    let of_place = |place: Place| {
        let PlaceCounts {
            missing,
            different,
            repeated,
            extra,
            ..
        } = *proof.counts.of(place);
        let counts = [
            (missing, "missing"),
            (different, "different"),
            (repeated, "more than once"),
            (extra, "that do not belong there"),
        ];
        let counts = counts.into_iter().filter(|(count, _)| *count > 0);
        counts.map(move |(count, what)| format!("{count} {what} in the {}", place.as_str()))
    };
    let all: Vec<String> = Place::ALL.into_iter().flat_map(of_place).collect();
    let first = proof.examples.first().map(|example| {
        format!(
            "; the first: tick {} of {}/{}",
            example.tick_id, example.token, example.quote
        )
    });
    let matched = proof.counts.matched;
    let advice = proof.advice_on_repeats().map(|it| format!(". {it}"));
    format!(
        "of {} of the cohort {matched} match, and {}{}{}",
        count_of(proof.counts.cohort, "tick"),
        all.join(", "),
        first.unwrap_or_default(),
        advice.unwrap_or_default()
    )
}
