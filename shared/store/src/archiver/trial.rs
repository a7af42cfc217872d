//! Tries which ticks can be written to the archive.

use std::sync::Arc;

use app::bisect::{Attempt, Failed, Suspect};
use app::ports::StreamRecord;
use archive::{Archive, ArchiveError, Written};
use async_trait::async_trait;
use domain::Tick;

use super::Intent;

/// Writes ranges of the stream to an archive. Its calls block.
pub trait RangeWriter: Send + Sync {
    /// See [`Archive::write_range`].
    ///
    /// # Errors
    /// [`ArchiveError`].
    fn write_range(
        &self,
        shard: u8,
        first: u64,
        last: u64,
        ticks: &[Tick],
    ) -> Result<Written, ArchiveError>;

    /// See [`Archive::try_ticks`].
    ///
    /// # Errors
    /// [`ArchiveError`].
    fn try_ticks(
        &self,
        shard: u8,
        first: u64,
        last: u64,
        ticks: &[Tick],
    ) -> Result<(), ArchiveError>;
}

impl RangeWriter for Archive {
    fn write_range(
        &self,
        shard: u8,
        first: u64,
        last: u64,
        ticks: &[Tick],
    ) -> Result<Written, ArchiveError> {
        self.write_range(shard, first, last, ticks)
    }

    fn try_ticks(
        &self,
        shard: u8,
        first: u64,
        last: u64,
        ticks: &[Tick],
    ) -> Result<(), ArchiveError> {
        self.try_ticks(shard, first, last, ticks)
    }
}

/// Runs a call of the archive with the ticks of records on a thread that may block.
pub(super) async fn run<R: Send + 'static>(
    archive: &Arc<dyn RangeWriter>,
    records: &[StreamRecord],
    call: impl FnOnce(&dyn RangeWriter, &[Tick]) -> Result<R, ArchiveError> + Send + 'static,
) -> Result<R, Failed> {
    let archive = Arc::clone(archive);
    let ticks: Vec<Tick> = records.iter().map(|record| record.tick.clone()).collect();
    let called = tokio::task::spawn_blocking(move || call(archive.as_ref(), &ticks)).await;
    match called {
        Ok(Ok(result)) => Ok(result),
        Ok(Err(error)) if error.may_be_in_a_tick() => Err(Failed::Suspected(error.into())),
        Ok(Err(error)) => Err(Failed::Transient(error.into())),
        Err(error) => match error.try_into_panic() {
            Ok(payload) => Err(Failed::panicked(payload.as_ref())),
            Err(stopped) => Err(Failed::Transient(stopped.into())),
        },
    }
}

/// Writes parts of a range without publishing them, and remembers which ticks failed.
pub(super) struct Trial {
    archive: Arc<dyn RangeWriter>,
    shard: u8,
    range: Intent,
    found: Vec<Suspect<StreamRecord>>,
}

impl Trial {
    pub(super) fn new(archive: Arc<dyn RangeWriter>, shard: u8, range: Intent) -> Self {
        Self {
            archive,
            shard,
            range,
            found: Vec::new(),
        }
    }

    /// The ticks that failed by themselves.
    pub(super) fn found(&self) -> &[Suspect<StreamRecord>] {
        &self.found
    }
}

#[async_trait]
impl Attempt<StreamRecord> for Trial {
    async fn process(
        &mut self,
        records: &[StreamRecord],
        suspects: &Arc<Vec<Suspect<StreamRecord>>>,
    ) -> Result<(), Failed> {
        let (shard, range) = (self.shard, self.range);
        let call = move |archive: &dyn RangeWriter, ticks: &[Tick]| {
            archive.try_ticks(shard, range.first, range.last, ticks)
        };
        run(&self.archive, records, call).await?;
        self.found.extend_from_slice(suspects);
        Ok(())
    }
}
