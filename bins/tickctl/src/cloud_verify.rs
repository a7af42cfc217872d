//! The comparison of the stores of a project on AWS.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use app::objects::Objects;
use app::ports::{Clock, PortError, TickStream as _};
use archive::{ArchiveReader, add_missing};
use async_trait::async_trait;
use aws::archive::S3Objects;
use aws::dynamodb::{Find, TickTableReader};
use aws::kinesis::KinesisStream;
use aws::kinesis::streamed_ticks::StreamReader;
use domain::Tick;
use ops::stage_proof::Prover;
use ops::verify::{
    DueAfter, Places, Proof, Repair, Verify, VerifyError, VerifyRequest, Watch,
};
use tempfile::TempDir;

/// How long appending missing ticks to the stream may take, for each batch of them.
const APPEND_WITHIN: Duration = Duration::from_secs(30);

/// The stores of a project.
pub(crate) struct CloudVerify {
    store: TickTableReader,
    stream: StreamReader,
    appender: KinesisStream,
    archive: Arc<dyn Objects>,
    work: TempDir,
    now_ms: fn() -> i64,
}

impl CloudVerify {
    /// Prepares the comparison of a project in the account and region of the environment, with its archive, such as
    /// `s3://bucket/price-archive`. Nothing is read yet. Temporary files are in `temp_dir`.
    ///
    /// # Errors
    /// Without credentials, with an invalid archive, or if the folder cannot be used.
    pub(crate) async fn open(
        project: &str,
        archive: &str,
        find: Find,
        temp_dir: &std::path::Path,
        now_ms: fn() -> i64,
    ) -> anyhow::Result<Self> {
        let config = aws::client::config(aws::client::BATCH).await;
        aws::client::check(&config).await?;
        let stream = format!("{project}-ticks");
        let streams = aws::clients::kinesis(&config);
        let tables = aws::clients::dynamodb(&config);
        let clock: Arc<dyn Clock> = Arc::new(now_ms);
        let work = TempDir::with_prefix_in("tickctl-verify-", temp_dir);
        Ok(Self {
            store: TickTableReader::new(tables, format!("{project}-ticks"), find),
            stream: StreamReader::new(&streams, stream.as_str(), clock),
            appender: KinesisStream::new(&streams, stream, APPEND_WITHIN),
            archive: Arc::new(S3Objects::at(&config, archive)?),
            work: work.with_context(|| format!("{} cannot be used", temp_dir.display()))?,
            now_ms,
        })
    }

    /// Compares, and repairs if requested.
    ///
    /// # Errors
    /// [`VerifyError`].
    pub(crate) async fn run(
        &self,
        request: &VerifyRequest,
        watch: &dyn Watch,
    ) -> Result<Proof, VerifyError> {
        let work = self.work.path().to_owned();
        let archive = ArchiveReader::new(Arc::clone(&self.archive), work.clone());
        let verify = Verify {
            places: Places {
                store: &self.store,
                stream: &self.stream,
                archive: &archive,
            },
            repair: self,
            now_ms: (self.now_ms)(),
            temp_folder: work,
            watch,
        };
        verify.run(request).await
    }
}

#[async_trait]
impl Repair for CloudVerify {
    async fn append(&self, ticks: &[Tick]) -> Result<(), PortError> {
        let ticks: Vec<&Tick> = ticks.iter().collect();
        let refused = self.appender.append(&ticks, None).await?;
        match refused.first() {
            None => Ok(()),
            Some(first) => Err(PortError {
                operation: "append to the stream",
                retryable: true,
                source: format!("{} ticks were refused: {}", refused.len(), first.reason).into(),
            }),
        }
    }

    async fn archive(&self, ticks: &[Tick]) -> Result<(), PortError> {
        add_missing(self.archive.as_ref(), self.work.path(), ticks).await
    }
}

/// The proof of a stage: everything since it began, and nothing is repaired.
pub(crate) struct StageProver<'a> {
    pub(crate) verify: &'a CloudVerify,
    pub(crate) due_after: DueAfter,
    pub(crate) repeats_max: u64,
    pub(crate) watch: &'a dyn Watch,
}

#[async_trait]
impl Prover for StageProver<'_> {
    async fn prove(&self, from_ms: i64) -> Result<Proof, VerifyError> {
        let request = VerifyRequest {
            from_ms,
            to_ms: (self.verify.now_ms)(),
            one_in: 1,
            repeats_max: self.repeats_max,
            due_after: self.due_after,
            repair: false,
        };
        self.verify.run(&request, self.watch).await
    }
}

/// Where temporary files are unless a folder is named.
pub(crate) fn temp_dir() -> PathBuf {
    std::env::temp_dir()
}
