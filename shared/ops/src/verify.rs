//! Compares the store with the stream and with the archive, tick by tick.
//!
//! Compared are the ticks that were received in a range of time and whose first decision was to go to the stream, by
//! identity and content. Each place is read once. The records are divided by identity into parts on disk, of which
//! each fits into memory, so the range may have any number of ticks, and any number of them may differ.
//!
//! The stream's copies must have the same content; the archive's the same after rounding to doubles. A tick that is in
//! one of the two without belonging there is found as well, if it was received in the range; in the archive, only the
//! days that the store's ticks of the range have, and the days of the range itself, are read.

mod compare;
mod estimate;
mod names;
mod places;
mod proof;
mod put_back;
mod read;
mod record;
mod request;
mod runs;
mod sample;
mod stored_ids;
mod stream_replay;
#[cfg(test)]
mod tests;

use domain::count_of;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use app::ports::PortError;
use app::read_back::ReceiptRange;
use app::time_text::time_text;
use tokio::sync::mpsc;

use crate::text::duration;
use compare::{Lacking, Rules, Tally};
use names::Names;
use put_back::put_back;
use read::{Divided, Unseen, divide};
use runs::{Room, Runs};
use sample::Sample;

pub use estimate::{EstimateLine, ReadPlan, estimate};
pub use places::{PendingTicks, Phase, Place, Places, Progress, Repair, Watch};
pub use proof::{
    Counts, EXAMPLES_MAX, Example, Finding, OTHER_TOKENS, PlaceCounts, Proof, Repaired, Scope,
    TOKENS_MAX, Verdict,
};
pub use record::FieldDifference;
pub use request::{DueAfter, VerifyRequest, days_of};
pub use stream_replay::StreamReplayRequest;

/// Pages that wait for the thread that divides them.
const PAGES_WAITING_MAX: usize = 4;

/// What a comparison works with.
pub struct Verify<'a> {
    /// The places.
    pub places: Places<'a>,
    /// Repairs what is missing, if that is requested.
    pub repair: &'a dyn Repair,
    /// When ticks are due as the places' writers are set, unless the request says otherwise.
    pub due_after: DueAfter,
    /// Our clock, epoch milliseconds.
    pub now_ms: i64,
    /// A folder on a disk with room: about 80 bytes for each tick and place.
    pub temp_folder: PathBuf,
    /// Hears of the progress.
    pub watch: &'a dyn Watch,
}

/// Why the comparison could not be completed.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The range is empty.
    #[error(
        "the range is empty: it begins at {}, and is compared up to {}; ticks of the last {settle_s} s are left out, \
         since they may still be on their way", time_text(*from_ms), time_text(*to_ms)
    )]
    Empty {
        /// Its start.
        from_ms: i64,
        /// Its end, at most our clock less the time until a tick is stored.
        to_ms: i64,
        /// That time.
        settle_s: i64,
    },
    /// The range is not over.
    #[error(
        "the range ends in the future, {} from now, so nobody can know its ticks: end it now, or earlier",
        duration(ahead_s.saturating_mul(1_000))
    )]
    Future {
        /// How far ahead of our clock it ends.
        ahead_s: i64,
    },
    /// The store could not be read, without which nothing can be compared.
    #[error("the store could not be read")]
    Store(#[source] PortError),
    /// What is missing could not be put back; what was put back before stays.
    #[error("putting back what is missing failed after {}", count_of(*done, "tick"))]
    Repair {
        /// How many ticks were repaired.
        done: u64,
        /// The cause.
        #[source]
        source: PortError,
    },
    /// The records could not be written to or read from the folder for temporary files.
    #[error("cannot use {} for the comparison's temporary files", folder.display())]
    Disk {
        /// The folder.
        folder: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// It was stopped.
    #[error("stopped")]
    Stopped,
}

impl Verify<'_> {
    /// Compares, and repairs if requested.
    ///
    /// # Errors
    /// [`VerifyError`]. If the stream or the archive cannot be read, the proof says so.
    pub async fn run(&self, request: &VerifyRequest) -> Result<Proof, VerifyError> {
        let due_after = request.due_after(self.due_after);
        let range = request.range(self.now_ms, due_after)?;
        let sample = Sample::one_in(request.one_in);
        let (divided, rules, unseen) = self.read_and_divide(range, due_after, sample).await?;
        let mut unseen = unseen.all();
        let repair = request.repair.then_some(self.repair);
        let (tally, names, repaired) = self.compare(divided, rules, repair).await?;
        let groups = tally.groups(&names);
        let removed = tally.counts.stream.unseen;
        if removed > 0 && unseen.is_empty() {
            unseen.push(format!(
                "the stream no longer has {} that the archive has: it has removed its oldest records",
                count_of(removed, "tick")
            ));
        }
        Ok(Proof {
            scope: Scope {
                from_ms: range.from_ms,
                to_ms: range.to_ms,
                one_in: request.one_in.max(1),
            },
            made_at_ms: self.now_ms,
            repeats_max: request.repeats_max,
            due_after: request.due_after,
            counts: tally.counts,
            by_hour: groups.by_hour,
            by_source: groups.by_source,
            by_token: groups.by_token,
            examples: tally.examples,
            unseen,
            repaired,
        })
    }

    /// Reads the places, and divides their records into parts on disk.
    async fn read_and_divide(
        &self,
        range: ReceiptRange,
        due_after: DueAfter,
        sample: Sample,
    ) -> Result<(Divided, Rules, Unseen), VerifyError> {
        let runs = Runs::new(&self.temp_folder).map_err(|source| self.disk_error(source))?;
        let (pages, received) = mpsc::channel(PAGES_WAITING_MAX);
        let divider = tokio::task::spawn_blocking(move || divide(received, runs, range, sample));
        let read = self.read(range, due_after, pages).await;
        let divided = divider.await.map_err(io::Error::other).flatten();
        let divided = divided.map_err(|source| self.disk_error(source))?;
        let (rules, unseen) = read?;
        Ok((divided, rules, unseen))
    }

    /// Compares the parts, one after the other, and repairs what each lacks, if there is a repair.
    async fn compare(
        &self,
        divided: Divided,
        rules: Rules,
        repair: Option<&dyn Repair>,
    ) -> Result<(Tally, Arc<Names>, Option<Repaired>), VerifyError> {
        let Divided {
            folder,
            parts,
            names,
        } = divided;
        let (names, mut tally) = (Arc::new(names), Tally::default());
        let is_repair = repair.is_some();
        let mut repaired = Repaired::default();
        let mut lacking = Lacking::default();
        let of = parts.len() as u64;
        // One after the other, in the same room: two at once would be somewhat faster, and take twice the memory or more.
        let (sender, mut compared) = mpsc::channel(1);
        let of_task = Arc::clone(&names);
        tokio::task::spawn_blocking(move || {
            let mut room = Room::default();
            for part in parts {
                let (mut tally, mut lacking) = (Tally::default(), Lacking::default());
                let sorted = part.sorted(folder.path(), &mut room, &mut |records| {
                    let lacking = is_repair.then_some(&mut lacking);
                    tally.compare(records, &of_task, &rules, lacking);
                    Ok(())
                });
                let compared = sorted.map(|()| (tally, lacking));
                if sender.blocking_send(compared).is_err() {
                    return;
                }
            }
        });
        let mut done = 0;
        while let Some(part) = compared.recv().await {
            let (of_part, lacking_of_part) = part.map_err(|source| self.disk_error(source))?;
            tally.merge(of_part);
            lacking.extend(lacking_of_part);
            done += 1;
            if let Some(repair) = repair
                && (lacking.is_large() || done == of)
            {
                put_back(repair, &std::mem::take(&mut lacking), &mut repaired).await?;
            }
            let phase = Phase::Compare;
            let of = Some(of);
            self.watch.progress(Progress { phase, done, of });
            if self.watch.stopped() {
                return Err(VerifyError::Stopped);
            }
        }
        if done < of {
            let ended = io::Error::other("comparing ended before its last part");
            return Err(self.disk_error(ended));
        }
        repaired.left_out = tally.counts.stream.missing - tally.never_streamed;
        Ok((tally, names, is_repair.then_some(repaired)))
    }

    fn disk_error(&self, source: io::Error) -> VerifyError {
        VerifyError::Disk {
            folder: self.temp_folder.clone(),
            source,
        }
    }
}
