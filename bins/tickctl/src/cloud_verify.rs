//! The comparison of the stores of a project on AWS.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use app::objects::Objects;
use app::ports::{Clock, PortError, TickStream as _};
use app::read_back::{ArchivedTicks, ReceiptRange};
use archive::{ArchiveReader, add_missing};
use async_trait::async_trait;
use aws::archive::S3Objects;
use aws::dynamodb::{Find, TickTableReader};
use aws::kinesis::KinesisStream;
use aws::kinesis::streamed_ticks::StreamReader;
use aws::sqs::redrive_check::RedriveCheck;
use clap::Args;
use domain::{Tick, count_of};
use ops::bill::prices::PriceTable;
use ops::stage_proof::Prover;
use ops::verify::{
    DueAfter, EstimateLine, Places, Proof, ReadPlan, Repair, Verify, VerifyError, VerifyRequest,
    Watch, days_of, estimate,
};
use tempfile::TempDir;

use crate::archive_by_sql::ArchiveBySql;
use crate::observe::sql_probe;
use crate::process::BadInput;
use crate::project_options::ON_AWS;

/// How long appending missing ticks to the stream may take, for each batch of them.
const APPEND_WITHIN: Duration = Duration::from_secs(30);

/// The stores of a project.
pub(crate) struct CloudVerify {
    store: TickTableReader,
    stream: StreamReader,
    appender: KinesisStream,
    redrive: RedriveCheck,
    archive: Arc<dyn Objects>,
    /// Reads the archive through Athena, if that is requested.
    by_sql: Option<ArchiveBySql>,
    work: TempDir,
    now_ms: fn() -> i64,
}

impl CloudVerify {
    /// Prepares the comparison of a project in the account and region of the environment, with its archive, such as
    /// `s3://bucket/price-archive`. Nothing is read yet. Temporary files are in `temp_dir`.
    ///
    /// # Errors
    /// Without credentials, with an invalid archive, or if the folder cannot be used.
    async fn open(
        project: &str,
        archive: &str,
        find: Find,
        retention_days: u32,
        by_athena: bool,
        temp_dir: &Path,
        now_ms: fn() -> i64,
    ) -> anyhow::Result<Self> {
        let config = aws::client::config(aws::client::BATCH).await;
        let archive = S3Objects::at(&config, archive);
        let archive = archive.map_err(|error| BadInput(format!("--archive: {error}")))?;
        aws::client::check(&config).await?;
        let stream = format!("{project}-ticks");
        let streams = aws::clients::kinesis(&config);
        let tables = aws::clients::dynamodb(&config);
        let clock: Arc<dyn Clock> = Arc::new(now_ms);
        let work = TempDir::with_prefix_in("tickctl-verify-", temp_dir);
        let work = work.with_context(|| format!("{} cannot be used", temp_dir.display()))?;
        Ok(Self {
            by_sql: by_athena.then(|| ArchiveBySql {
                program: sql_probe::find(),
                project: project.to_owned(),
                work: work.path().to_owned(),
            }),
            store: TickTableReader::new(
                tables,
                format!("{project}-ticks"),
                find,
                retention_days,
                Arc::clone(&clock),
            ),
            stream: StreamReader::new(&streams, stream.as_str(), clock),
            appender: KinesisStream::new(&streams, stream, APPEND_WITHIN),
            redrive: RedriveCheck::new(&aws::clients::sqs(&config), project),
            archive: Arc::new(archive),
            work,
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
        let files = ArchiveReader::new(Arc::clone(&self.archive), work.clone());
        let archive: &dyn ArchivedTicks = match &self.by_sql {
            Some(by_sql) => by_sql,
            None => &files,
        };
        let verify = Verify {
            places: Places {
                store: &self.store,
                stream: &self.stream,
                archive,
                // Which ticks the redrive queue and Firehose hold is not known.
                pending: None,
            },
            repair: self,
            due_after: DueAfter::AWS,
            now_ms: (self.now_ms)(),
            temp_folder: work,
            watch,
        };
        let mut proof = verify.run(request).await?;
        if self.by_sql.is_none() {
            explain_missing(&mut proof, self.archive.as_ref()).await;
        }
        Ok(proof)
    }
}

/// Adds why the archive may lack its ticks: the address may be wrong.
async fn explain_missing(proof: &mut Proof, archive: &dyn Objects) {
    if proof.counts.archive.missing > 0
        && let Err(error) = check_archive(archive).await
    {
        proof.unseen.push(error.source.to_string());
    }
}

impl CloudVerify {
    /// Checks that a repair appends nothing that the redrive queue will append, too, and writes nothing to a place that is
    /// not the archive.
    ///
    /// # Errors
    /// As [`RedriveCheck::check_empty`]; or if there is no file where the archive is said to be.
    pub(crate) async fn check_repairable(&self) -> Result<(), PortError> {
        self.redrive.check_empty().await?;
        check_archive(self.archive.as_ref()).await
    }

    /// What a comparison of a range costs at most.
    ///
    /// # Errors
    /// If the table or the archive cannot be looked at.
    pub(crate) async fn estimate(&self, range: ReceiptRange) -> anyhow::Result<Vec<EstimateLine>> {
        let archive = ArchiveReader::new(Arc::clone(&self.archive), self.work.path().to_owned());
        let days = days_of(range);
        let (ticks, size) = tokio::join!(self.store.ticks_to_read(range), archive.size(&days));
        let (objects, bytes) = size?;
        let plan = ReadPlan {
            by_athena: self.by_sql.is_some(),
            ..ReadPlan::of_ticks(ticks?, objects, bytes)
        };
        Ok(estimate(&plan, &PriceTable::us_east_1()?.prices))
    }
}

/// Under a wrong address, all ticks would be missing: a repair would write them there, and the next comparison would find
/// them.
async fn check_archive(archive: &dyn Objects) -> Result<(), PortError> {
    let folders = archive.folders("").await?;
    if !folders.is_empty() {
        return Ok(());
    }
    Err(PortError {
        operation: "check that the archive is there",
        retryable: false,
        source: format!(
            "{} has no folders, so it may not be the archive: compare --archive with what `just status` shows. If it is \
             the archive, Firehose has written nothing yet: docs/runbooks/archive-silent.md",
            archive.place()
        )
        .into(),
    })
}

#[async_trait]
impl Repair for CloudVerify {
    async fn append(&self, ticks: &[Tick]) -> Result<u64, PortError> {
        // A comparison may take long enough for the queue to be filled again.
        self.redrive.check_empty().await?;
        let ticks: Vec<&Tick> = ticks.iter().collect();
        let refused = self.appender.append(&ticks, None).await?;
        match refused.first() {
            None => Ok(ticks.len() as u64),
            Some(first) => Err(PortError {
                operation: "append to the stream",
                retryable: true,
                source: format!(
                    "the stream refused {}: {}",
                    count_of(refused.len() as u64, "tick"),
                    first.reason
                )
                .into(),
            }),
        }
    }

    async fn archive(&self, ticks: &[Tick]) -> Result<(), PortError> {
        add_missing(self.archive.as_ref(), self.work.path(), ticks).await
    }
}

/// The options of a comparison on AWS.
#[derive(Debug, Clone, Args)]
pub(crate) struct CloudOptions {
    /// The project's archive: `s3://` with the output ArchiveBucketName of its data stack and /price-archive.
    #[arg(long, value_name = "S3-URL", help_heading = ON_AWS)]
    pub(crate) archive: Option<String>,
    /// Find the ticks by reading the whole table, instead of the partitions that the webhook has listed: slower, and
    /// it costs a read of everything.
    #[arg(long, help_heading = ON_AWS)]
    pub(crate) scan: bool,
    /// Read the archive through Athena, as an analyst does, instead of its files: `ticksql` is asked, beside this program or
    /// on the PATH, and each day costs what a scan of it costs.
    #[arg(long, help_heading = ON_AWS)]
    pub(crate) athena: bool,
    /// The days that the project keeps ticks (parameter RetentionDays of the service stack). What was received before cannot
    /// be seen in the table.
    #[arg(long, value_name = "DAYS", help_heading = ON_AWS, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=3_650))]
    pub(crate) retention_days: u32,
    /// Folder for temporary files, with room for the archive's files of a day and about 80 bytes for each tick and store;
    /// the default is the system's.
    #[arg(long, value_name = "DIR", help_heading = ON_AWS)]
    pub(crate) temp_dir: Option<PathBuf>,
}

impl CloudOptions {
    /// Prepares the comparison of a project.
    ///
    /// # Errors
    /// [`BadInput`] without an archive or with an invalid one, and as [`CloudVerify::open`].
    pub(crate) async fn open(
        &self,
        project: &str,
        now_ms: fn() -> i64,
    ) -> anyhow::Result<CloudVerify> {
        let Some(archive) = &self.archive else {
            return Err(BadInput(no_archive(project)).into());
        };
        let find = if self.scan { Find::Scan } else { Find::Listed };
        let temp_dir = self.temp_dir.clone().unwrap_or_else(std::env::temp_dir);
        CloudVerify::open(
            project,
            archive,
            find,
            self.retention_days,
            self.athena,
            &temp_dir,
            now_ms,
        )
        .await
    }
}

fn no_archive(project: &str) -> String {
    format!(
        "the comparison reads the archive, too: pass --archive s3://BUCKET/price-archive, which `PROJECT={project} just \
         status` shows; BUCKET is the output ArchiveBucketName of the stack {project}-data"
    )
}

/// Makes the proof of a stage, for which nothing is repaired.
pub(crate) struct StageProver<'a> {
    pub(crate) project: &'a str,
    pub(crate) options: &'a CloudOptions,
    pub(crate) due_after: DueAfter,
    pub(crate) repeats_max: u64,
    pub(crate) watch: &'a dyn Watch,
    pub(crate) now_ms: fn() -> i64,
}

#[async_trait]
impl Prover for StageProver<'_> {
    async fn prove(&self, from_ms: i64) -> Result<Proof, String> {
        let verify = self.options.open(self.project, self.now_ms).await;
        let verify = verify.map_err(|error| format!("{error:#}"))?;
        let request = VerifyRequest {
            from_ms,
            to_ms: (self.now_ms)(),
            one_in: 1,
            repeats_max: self.repeats_max,
            due_after: Some(self.due_after),
            repair: false,
        };
        let proof = verify.run(&request, self.watch).await;
        proof.map_err(|error| format!("{:#}", anyhow::Error::new(error)))
    }
}

#[cfg(test)]
mod tests {
    use app::objects::Condition;
    use ops::verify::{Counts, PlaceCounts, Scope};
    use testkit::memory_objects::MemoryObjects;

    use super::*;

    #[tokio::test]
    async fn a_place_without_days_is_not_taken_for_the_archive() {
        let objects = MemoryObjects::default();
        let refused = check_archive(&objects).await.unwrap_err();
        assert!(
            refused.source.to_string().contains("--archive"),
            "{}",
            refused.source
        );
        let lacking = Counts {
            archive: PlaceCounts {
                missing: 1,
                ..PlaceCounts::default()
            },
            ..Counts::default()
        };
        let mut proof = Proof {
            scope: Scope {
                from_ms: 0,
                to_ms: 1,
                one_in: 1,
            },
            made_at_ms: 1,
            repeats_max: 0,
            due_after: None,
            counts: lacking,
            by_hour: [].into(),
            by_source: [].into(),
            by_token: [].into(),
            examples: Vec::new(),
            unseen: Vec::new(),
            repaired: None,
        };
        explain_missing(&mut proof, &objects).await;
        assert!(proof.unseen[0].contains("has no folders"), "{proof:?}");
        let name = "year=2026/month=01/day=02/part.parquet";
        objects
            .replace(name, b"".to_vec(), Condition::Absent)
            .await
            .unwrap();
        check_archive(&objects).await.unwrap();
        proof.unseen.clear();
        explain_missing(&mut proof, &objects).await;
        assert!(proof.unseen.is_empty(), "{proof:?}");
    }
}
