//! The comparison of the stores on AWS: the list of the days of ticks, and the readers of table, stream and archive, on the
//! emulator, and the table on dynalite as well.

use std::sync::Arc;

use app::ports::{Clock, CohortTick, TickStore as _, TickStream as _};
use app::read_back::{Page, ReceiptRange, StoredTicks as _};
use archive::{ArchiveReader, add_missing};
use async_trait::async_trait;
use aws::archive::S3Objects;
use aws::dynamodb::{Find, ListedTicks, StoreTimeout, TickTable, TickTableConfig, TickTableReader};
use aws::kinesis::KinesisStream;
use aws::kinesis::streamed_ticks::StreamReader;
use aws_sdk_dynamodb::Client;
use domain::Tick;
use futures_util::StreamExt as _;
use integration::emulator;
use integration::faults::{Fault, FaultyEndpoint, Times};
use ops::verify::{
    DueAfter, Places, Progress, Proof, Repair, Verdict, Verify, VerifyError, VerifyRequest, Watch,
};
use testkit::ticks::{in_cohort, ticks};

use crate::dynamodb::{RETENTION_DAYS, STORE_TIMEOUT, new_table, new_tables};
use crate::kinesis::{DEADLINE, new_stream};

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// Ticks that were received now, half of them of events of yesterday.
pub(crate) fn received(tokens: &[&str], count: u32, now_ms: i64) -> Vec<Tick> {
    let mut made = ticks(tokens, count);
    for (n, tick) in (0..).zip(&mut made) {
        tick.ingested_at_ms = now_ms - 1_000 + n % 500;
        tick.timestamp_ms = tick.ingested_at_ms - if n % 2 == 0 { 50 } else { DAY_MS };
    }
    made
}

fn reader(client: &Client, name: &str, find: Find) -> TickTableReader {
    let clock: Arc<dyn Clock> = Arc::new(runtime::clock::now_ms);
    TickTableReader::new(client.clone(), name.to_owned(), find, RETENTION_DAYS, clock)
}

fn table(client: &Client, name: &str) -> Arc<TickTable> {
    let config = TickTableConfig {
        table: name.to_owned(),
        retention_days: RETENTION_DAYS,
        timeout: StoreTimeout {
            base: STORE_TIMEOUT,
            max: STORE_TIMEOUT,
        },
        new_ids_from_ms: 0,
    };
    let clock: Arc<dyn Clock> = Arc::new(runtime::clock::now_ms);
    Arc::new(TickTable::new(client.clone(), config, clock))
}

pub(crate) fn listed(client: &Client, name: &str) -> ListedTicks {
    ListedTicks::new(table(client, name), client, name.to_owned(), RETENTION_DAYS)
}

async fn stored(client: &Client, name: &str, find: Find, range: ReceiptRange) -> Vec<Tick> {
    let reader = reader(client, name, find);
    let mut pages = reader.stored(range);
    let mut found = Vec::new();
    while let Some(page) = pages.next().await {
        match page.unwrap() {
            Page::Ticks(ticks) => found.extend(ticks.into_iter().map(|it| it.tick)),
            Page::Unseen(unseen) => panic!("{unseen:?}"),
        }
    }
    found.sort_by_key(|tick| tick.tick_id);
    found
}

/// Ticks are found by the time of their receipt, whatever their event time, by the list as by a scan.
#[tokio::test]
async fn ticks_of_a_range_of_receipt_times_are_found_without_a_scan() {
    for (client, name) in new_tables(["pk", "sk"]).await {
        let now_ms = runtime::clock::now_ms();
        let mut made = received(&["BTC", "ETH", "SOL"], 40, now_ms);
        listed(&client, &name).put(&in_cohort(&made)).await.unwrap();
        // Another process, and the same ticks again.
        listed(&client, &name).put(&in_cohort(&made)).await.unwrap();
        made.sort_by_key(|tick| tick.tick_id);
        let range = ReceiptRange {
            from_ms: now_ms - 900,
            to_ms: now_ms - 600,
        };
        let expected: Vec<Tick> = made
            .iter()
            .filter(|tick| range.contains(tick.ingested_at_ms))
            .cloned()
            .collect();
        assert!(!expected.is_empty());
        for find in [Find::Listed, Find::Scan] {
            assert_eq!(
                stored(&client, &name, find, range).await,
                expected,
                "{find:?}"
            );
        }
        let reader = reader(&client, &name, Find::Listed);
        // Each token, today and yesterday.
        assert_eq!(reader.partitions(range).await.unwrap().len(), 6);
        let ticks = reader.ticks_to_read(range).await.unwrap();
        assert!(ticks >= 0.0, "{ticks}");

        // What is not listed, as by a release before, is only found by a scan.
        let others = received(&["OTHER"], 1, now_ms);
        table(&client, &name)
            .put(&in_cohort(&others))
            .await
            .unwrap();
        let all = ReceiptRange {
            from_ms: now_ms - 1_000,
            to_ms: now_ms,
        };
        assert_eq!(
            stored(&client, &name, Find::Listed, all).await.len(),
            made.len()
        );
        assert_eq!(
            stored(&client, &name, Find::Scan, all).await.len(),
            made.len() + 1
        );
    }
}

struct Quiet;

impl Watch for Quiet {
    fn progress(&self, _: Progress) {}
    fn stopped(&self) -> bool {
        false
    }
}

/// A project's stores.
pub(crate) struct Stores {
    pub(crate) tables: Client,
    pub(crate) table: String,
    stream: KinesisStream,
    reader: StreamReader,
    archive: Arc<S3Objects>,
    work: tempfile::TempDir,
}

#[async_trait]
impl Repair for Stores {
    async fn append(&self, ticks: &[Tick]) -> Result<u64, app::ports::PortError> {
        let all: Vec<&Tick> = ticks.iter().collect();
        assert_eq!(self.stream.append(&all, None).await?, []);
        Ok(ticks.len() as u64)
    }

    async fn archive(&self, ticks: &[Tick]) -> Result<(), app::ports::PortError> {
        add_missing(self.archive.as_ref(), self.work.path(), ticks).await
    }
}

impl Stores {
    pub(crate) async fn new() -> Self {
        let emulator = emulator::start().await.unwrap();
        let config = emulator.sdk_config();
        let tables = Client::new(&config);
        let (stream, reader, archive) = stream_and_archive().await;
        Self {
            table: new_table(&tables, ["pk", "sk"]).await,
            tables,
            stream,
            reader,
            archive,
            work: tempfile::tempdir().unwrap(),
        }
    }

    /// Takes others, which are empty, beside the same table.
    pub(crate) async fn empty_stream_and_archive(&mut self) {
        (self.stream, self.reader, self.archive) = stream_and_archive().await;
    }

    pub(crate) async fn verify(&self, from_ms: i64, repair: bool) -> Proof {
        let compared = self.compare(&self.tables, from_ms, repair).await;
        compared.unwrap()
    }

    /// Compares, with a client that reads the table.
    async fn compare(
        &self,
        tables: &Client,
        from_ms: i64,
        repair: bool,
    ) -> Result<Proof, VerifyError> {
        let store = reader(tables, &self.table, Find::Listed);
        let objects = Arc::clone(&self.archive);
        let archive = ArchiveReader::new(objects, self.work.path().to_owned());
        let verify = Verify {
            places: Places {
                store: &store,
                stream: &self.reader,
                archive: &archive,
                pending: None,
            },
            repair: self,
            due_after: DueAfter::AWS,
            now_ms: runtime::clock::now_ms(),
            temp_folder: self.work.path().to_owned(),
            watch: &Quiet,
        };
        let request = VerifyRequest {
            from_ms,
            to_ms: verify.now_ms,
            one_in: 1,
            repeats_max: 0,
            due_after: Some(DueAfter {
                stored_ms: 0,
                streamed_ms: 0,
                archived_ms: 0,
            }),
            repair,
        };
        verify.run(&request).await
    }
}

async fn stream_and_archive() -> (KinesisStream, StreamReader, Arc<S3Objects>) {
    let emulator = emulator::start().await.unwrap();
    let streams = aws_sdk_kinesis::Client::new(&emulator.sdk_config());
    let stream = new_stream(&streams, 2).await;
    let s3 = emulator.s3();
    let bucket = format!("{}-archive", emulator.unique_project());
    s3.create_bucket().bucket(&bucket).send().await.unwrap();
    let clock: Arc<dyn Clock> = Arc::new(runtime::clock::now_ms);
    (
        KinesisStream::new(&streams, stream.as_str(), DEADLINE),
        StreamReader::new(&streams, stream, clock),
        Arc::new(S3Objects::new(&s3, bucket, "price-archive/")),
    )
}

/// A table that is throttled is not taken for an empty one.
#[tokio::test]
async fn throttling_is_waited_for_and_without_end_it_is_an_error() {
    let stores = Stores::new().await;
    let now_ms = runtime::clock::now_ms();
    let made = received(&["BTC"], 10, now_ms);
    listed(&stores.tables, &stores.table)
        .put(&in_cohort(&made))
        .await
        .unwrap();
    stores.append(&made).await.unwrap();
    stores.archive(&made).await.unwrap();
    let emulator = emulator::start().await.unwrap();
    let faulty = FaultyEndpoint::start(emulator).await.unwrap();
    let tables = Client::new(&emulator.sdk_config_at(faulty.url()));
    let from_ms = now_ms - 2_000;
    faulty
        .fail("Query", Fault::Throttled, Times::Next(1))
        .unwrap();
    let proof = stores.compare(&tables, from_ms, false).await.unwrap();
    assert_eq!(proof.counts.matched, 10, "{proof:?}");
    assert_eq!(faulty.calls("Query").with_fault, 1);
    faulty
        .fail("Query", Fault::Throttled, Times::Always)
        .unwrap();
    let failed = stores.compare(&tables, from_ms, false).await;
    assert!(matches!(failed, Err(VerifyError::Store(_))), "{failed:?}");
}

#[tokio::test]
async fn table_stream_and_archive_are_compared_and_repaired() {
    let stores = Stores::new().await;
    let now_ms = runtime::clock::now_ms();
    let made = received(&["BTC", "ETH", "SOL"], 100, now_ms);
    let mut decided: Vec<CohortTick> = in_cohort(&made);
    decided
        .iter_mut()
        .skip(270)
        .for_each(|it| it.in_cohort = false);
    listed(&stores.tables, &stores.table)
        .put(&decided)
        .await
        .unwrap();
    // Of the cohort, the stream lacks two, and the archive three.
    let cohort = &made[..270];
    stores.append(&cohort[2..]).await.unwrap();
    stores.archive(&cohort[3..]).await.unwrap();
    let from_ms = now_ms - 2_000;
    let proof = stores.verify(from_ms, true).await;
    assert_eq!(proof.verdict(), Verdict::Differences, "{proof:?}");
    let counts = proof.counts;
    assert_eq!(
        (counts.stored, counts.cohort, counts.matched),
        (300, 270, 267)
    );
    assert_eq!((counts.stream.missing, counts.archive.missing), (2, 3));
    let repaired = proof.repaired.unwrap();
    assert_eq!((repaired.appended, repaired.archived), (2, 1));
    // Firehose would write what is in the stream again.
    stores.archive(&cohort[..2]).await.unwrap();
    let proof = stores.verify(from_ms, true).await;
    assert_eq!(proof.verdict(), Verdict::Proven, "{proof:?}");
    assert_eq!(proof.counts.matched, 270);
}

#[tokio::test]
async fn what_cannot_be_read_is_named() {
    let mut stores = Stores::new().await;
    let now_ms = runtime::clock::now_ms();
    let made = received(&["BTC"], 10, now_ms);
    listed(&stores.tables, &stores.table)
        .put(&in_cohort(&made))
        .await
        .unwrap();
    stores.append(&made).await.unwrap();
    stores.archive(&made).await.unwrap();
    // The table has removed one that the archive still has.
    let mut expired = made[0].clone();
    expired.ingested_at_ms = now_ms - (i64::from(RETENTION_DAYS) + 10) * DAY_MS;
    expired.timestamp_ms = expired.ingested_at_ms - 50;
    stores.archive(&[expired]).await.unwrap();
    // Longer ago than the table keeps its ticks, and the stream its records.
    let proof = stores.verify(now_ms - 400 * DAY_MS, false).await;
    assert_eq!((proof.counts.matched, proof.counts.archive.extra), (10, 0));
    assert_eq!(proof.verdict(), Verdict::Incomplete, "{proof:?}");
    let expected = format!("keeps ticks for {RETENTION_DAYS} days");
    let is_said = proof.unseen.iter().any(|it| it.contains(&expected));
    assert!(is_said, "{:?}", proof.unseen);
    let emulator = emulator::start().await.unwrap();
    stores.archive = Arc::new(S3Objects::new(&emulator.s3(), "no-such-bucket-here", ""));
    let proof = stores.verify(now_ms - 2_000, false).await;
    assert_eq!(proof.verdict(), Verdict::Incomplete);
    assert!(
        proof.unseen[0].contains("the archive could not be read"),
        "{:?}",
        proof.unseen
    );
    assert_eq!(proof.counts.archive.missing, 0);
}
