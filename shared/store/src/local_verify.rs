//! Compares store, stream and archive of a data folder (`ops::verify`).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use app::ports::PortError;
use app::read_back::ReceiptRange;
use app::tick_replay::TickReplayReport;
use archive::{ArchiveReader, Folder, add_missing};
use async_trait::async_trait;
use domain::Tick;
use ops::stage_proof;
use ops::verify::{
    DueAfter, Places, Proof, Repair, StreamReplayRequest, Verify, VerifyError, VerifyRequest, Watch,
};

use crate::embedded::EmbeddedStore;
use crate::error::StorageError;
use crate::keys::meta;

/// The folder for temporary files inside the data folder, so that files of the archive are linked and not copied.
const WORK_FOLDER: &str = "verify";

/// The comparison on this machine.
#[derive(Clone)]
pub struct LocalVerify {
    store: EmbeddedStore,
    archive: Folder,
    work: PathBuf,
    due_after: DueAfter,
}

impl LocalVerify {
    /// The comparison of a data folder, whose store is open, with the times after which ticks are due there.
    #[must_use]
    pub fn new(store: EmbeddedStore, data_dir: &Path, due_after: DueAfter) -> Self {
        Self {
            store,
            archive: Folder::new(data_dir),
            work: data_dir.join(WORK_FOLDER),
            due_after,
        }
    }

    /// Why a step up from the stage that began at a time (epoch milliseconds) cannot rest on a kept proof.
    #[must_use]
    pub fn why_not_of_stage(&self, proof: &Proof, began_ms: i64, now_ms: i64) -> Option<String> {
        stage_proof::why_not_of_stage(proof, began_ms, now_ms, self.due_after)
    }

    /// The range that [`Self::run`] compares.
    ///
    /// # Errors
    /// As [`VerifyRequest::range`].
    pub fn range(&self, request: &VerifyRequest, now_ms: i64) -> Result<ReceiptRange, VerifyError> {
        request.range(now_ms, request.due_after(self.due_after))
    }

    /// The range that [`Self::replay_into_stream`] compares.
    ///
    /// # Errors
    /// As [`VerifyRequest::range`].
    pub fn replay_range(
        &self,
        request: &StreamReplayRequest,
        now_ms: i64,
    ) -> Result<ReceiptRange, VerifyError> {
        request.range(now_ms, self.due_after)
    }

    /// Compares, repairs if requested, and keeps the proof. Only one comparison of a data folder may run at a time.
    ///
    /// # Errors
    /// [`VerifyError`].
    pub async fn run(
        &self,
        request: &VerifyRequest,
        now_ms: i64,
        watch: &dyn Watch,
    ) -> Result<Proof, VerifyError> {
        let archive = self.begin()?;
        let proof = self.of(&archive, now_ms, watch).run(request).await;
        drop(std::fs::remove_dir_all(&self.work));
        let proof = proof?;
        if let Err(error) = self.store.keep_proof(&proof).await {
            tracing::warn!(error = %error, "the proof could not be kept");
        }
        Ok(proof)
    }

    /// Appends to the stream the ticks of a range that it lacks, see [`Verify::replay_into_stream`]. Only one comparison of
    /// a data folder may run at a time, with this one.
    ///
    /// # Errors
    /// [`VerifyError`].
    pub async fn replay_into_stream(
        &self,
        request: &StreamReplayRequest,
        now_ms: i64,
        watch: &dyn Watch,
    ) -> Result<TickReplayReport, VerifyError> {
        let archive = self.begin()?;
        let verify = self.of(&archive, now_ms, watch);
        let report = verify.replay_into_stream(request).await;
        drop(std::fs::remove_dir_all(&self.work));
        report
    }

    /// Makes the folder for temporary files.
    fn begin(&self) -> Result<ArchiveReader, VerifyError> {
        // What a comparison that was killed has left.
        match std::fs::remove_dir_all(&self.work) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(self.disk_error(error));
            }
            Ok(()) | Err(_) => {}
        }
        std::fs::create_dir_all(&self.work).map_err(|error| self.disk_error(error))?;
        let archive = Arc::new(self.archive.clone());
        Ok(ArchiveReader::new(archive, self.work.clone()))
    }

    fn of<'a>(
        &'a self,
        archive: &'a ArchiveReader,
        now_ms: i64,
        watch: &'a dyn Watch,
    ) -> Verify<'a> {
        Verify {
            places: Places {
                store: &self.store,
                stream: &self.store,
                archive,
                pending: Some(&self.store),
            },
            repair: self,
            due_after: self.due_after,
            now_ms,
            temp_folder: self.work.clone(),
            watch,
        }
    }

    fn disk_error(&self, source: std::io::Error) -> VerifyError {
        VerifyError::Disk {
            folder: self.work.clone(),
            source,
        }
    }
}

/// The most tokens that a kept proof counts by name.
const TOKENS_KEPT: usize = 100;

impl EmbeddedStore {
    async fn keep_proof(&self, proof: &Proof) -> Result<(), StorageError> {
        let proof = proof.clone().with_tokens_max(TOKENS_KEPT);
        let json =
            serde_json::to_vec(&proof).map_err(|error| StorageError::corrupt("proof", error))?;
        self.commit(move |commit| {
            commit.insert(&commit.spaces().meta, meta::PROOF.as_bytes(), json);
            Ok(())
        })
        .await
    }

    /// The last result of a comparison, with at most 100 tokens by name; `None` before the first one.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn last_proof(&self) -> Result<Option<Proof>, StorageError> {
        self.read(|inner| {
            let found = inner.spaces.meta.get(meta::PROOF)?;
            let read = found.map(|json| serde_json::from_slice(&json));
            read.transpose()
                .map_err(|error| StorageError::corrupt("proof", error))
        })
        .await
    }
}

#[async_trait]
impl Repair for LocalVerify {
    async fn append(&self, ticks: &[Tick]) -> Result<u64, PortError> {
        let appended = self.store.append_missing(ticks).await;
        appended.map_err(|error| error.at("append to the stream"))
    }

    async fn archive(&self, ticks: &[Tick]) -> Result<(), PortError> {
        add_missing(&self.archive, &self.work, ticks).await
    }
}
