//! SQL for analysts on the engine under Athena, with the real `ticksql`: it reads the files of Firehose, of the archive's
//! writer, of `tickctl compact` and of tickstream from the emulator's S3, and the local engine reads the same files here.

pub(crate) mod athena_engine;
mod compared;
mod every_column;
mod reads;
mod requests;
mod tickstream_files;

use app::ports::Quarantined;
use domain::{Malformed, Price, Quality, Reason, SEQUENCE_MAX, Tick, Token, Volume};
use integration::bootstraps;
use integration::emulator::{self, Emulator};
use testkit::golden;
use tokio::process::Command;

use crate::flow::at_full;
use crate::project::{CommandOutput, Project, until};
use crate::sql::analyst::Analyst;
use crate::sql::files::{self, Bucket};
use athena_engine::AthenaEngine;
use every_column::{agree, rows_of_anomalies, rows_of_entries, rows_of_ticks};
use reads::{Both, arguments};

/// One golden tick in this many goes through Firehose, since the emulator writes a file for each.
const THROUGH_FIREHOSE: usize = 9;

/// Every tick of [`awkward`] and of the golden market.
const ALL_DAYS: &str = "year = 2026 AND month BETWEEN 2 AND 4";

/// A user of the engine, whose tables are made over an archive.
async fn analyst_on(engine: &AthenaEngine, emulator: &Emulator, bucket: &Bucket) -> Analyst {
    analyst_of(engine, emulator, bucket, &emulator.unique_project()).await
}

/// The same for a project, whose name workgroup and database have.
async fn analyst_of(
    engine: &AthenaEngine,
    emulator: &Emulator,
    bucket: &Bucket,
    name: &str,
) -> Analyst {
    let analyst = Analyst::of(emulator, name, name).on(engine);
    let created = analyst.run(&["init", "--archive", &bucket.archive()]).await;
    let created = created.ok_status();
    for part in [
        format!(
            "{name}: created; results go to s3://{}/athena-results/",
            bucket.name()
        ),
        format!("{name}: created\n"),
        "price_archive: created".to_owned(),
        "quarantine: created".to_owned(),
        "anomalies: created".to_owned(),
        "price_history: created".to_owned(),
        "ticks: created".to_owned(),
    ] {
        assert!(created.contains(&part), "{part} in\n{created}");
    }
    analyst
}

/// Ticks with values at the limits of their columns, on days of their own: golden results do not have them.
fn awkward() -> Vec<Tick> {
    let first = golden::ticks().into_iter().next().unwrap();
    let at = |hours: i64| {
        let timestamp_ms = first.timestamp_ms + (hours - 57 * 24) * 3_600_000;
        Tick {
            timestamp_ms,
            ingested_at_ms: timestamp_ms - 1,
            ..first.clone()
        }
    };
    vec![
        Tick {
            sequence: Some(SEQUENCE_MAX),
            quality: Some(Quality::LowPrecision),
            slot: Some(SEQUENCE_MAX),
            price: Price::new("0.000000000000000001".parse().unwrap()).unwrap(),
            volume: Some(Volume::new("123456789012345678.901234567".parse().unwrap()).unwrap()),
            ..at(1)
        },
        Tick {
            sequence: Some(0),
            quality: Some(Quality::WideConfidence),
            slot: Some(0),
            volume: Some(Volume::new("0".parse().unwrap()).unwrap()),
            token: Token::new("a.b_c:d-e+f").unwrap(),
            ..at(2)
        },
        Tick {
            sequence: None,
            quality: None,
            slot: None,
            volume: None,
            ..at(25)
        },
    ]
}

/// Fills a deployed project's archive, quarantine and anomalies with the golden ticks, entries and anomalies, and with awkward ticks, half of
/// them by each way.
async fn fill(project: &Project) -> Bucket {
    let bucket = Bucket::of(project).await;
    let mut ranges = golden::ranges();
    let all = ranges.remove(0);
    let (mut streamed, mut written) = (ranges.pop().unwrap(), Vec::new());
    for (number, tick) in all.into_iter().enumerate() {
        if number % THROUGH_FIREHOSE == 0 {
            streamed.push(tick);
        } else {
            written.push(tick);
        }
    }
    assert!(streamed.len() > 30 && written.len() > 200);
    // They have ids of golden ticks, but not their times.
    streamed.extend(awkward());
    written.extend(awkward().into_iter().map(|tick| Tick {
        token: Token::new("written").unwrap(),
        ..tick
    }));
    files::stream(project, &streamed).await;
    bucket.put_archived(&[written, ranges.remove(0)]).await;
    bucket.quarantine(&quarantined()).await;
    bucket.anomalies(&golden::anomalies()).await;
    until("Firehose has written its ticks", async || {
        bucket.rows_of_firehose().await.len() >= streamed.len()
    })
    .await;
    bucket.file_by_day_of_event().await;
    bucket
}

/// The golden entries, and one on a day of its own with text that a JSON reader could get wrong.
fn quarantined() -> Vec<Quarantined> {
    let mut entries = golden::quarantined();
    let first = entries.first().unwrap();
    entries.push(Quarantined {
        received_at_ms: first.received_at_ms - 50 * 24 * 3_600_000,
        source: String::new(),
        entry: Malformed::new(
            usize::MAX >> 1,
            Reason::InvalidPrice,
            "price \"ä\": give\ta number\nabove 0 \\ 日本",
            b"{\"price\": \"\xff\", \"cut\": [\"\\u0000\", null, {",
        ),
    });
    entries
}

/// Every tick of [`fill`].
fn filled() -> Vec<Tick> {
    let mut ticks = golden::ticks();
    for tick in awkward() {
        ticks.push(Tick {
            token: Token::new("written").unwrap(),
            ..tick.clone()
        });
        ticks.push(tick);
    }
    ticks
}

#[tokio::test(flavor = "multi_thread")]
async fn named_queries_read_the_same_files_and_have_the_golden_results_on_both_engines() {
    let project = at_full().await;
    let bucket = fill(&project).await;
    assert_eq!(
        bucket.columns_of_firehose().await,
        files::columns_of_the_codec(),
        "Firehose writes the columns of the archive"
    );
    let here = tempfile::tempdir().unwrap();
    bucket.download(here.path()).await;
    let analyst = Analyst::of(project.emulator, &project.name, &project.name);
    for case in golden::cases() {
        let arguments = arguments("run", &case.query, &case);
        let (columns, rows) = analyst.here(here.path(), &arguments).await.csv();
        case.check(&columns, &rows).unwrap();
    }

    let unshown = "named queries, and the files of the archive, on Athena's engine";
    let Some(engine) = athena_engine::start(project.emulator, unshown).await else {
        return;
    };
    let analyst = &analyst_on(engine, project.emulator, &bucket).await;
    let both = Both {
        engine,
        analyst,
        bucket: &bucket,
        here: here.path(),
    };
    for case in golden::cases() {
        both.agree_on(&case).await;
    }

    let given = rows_of_ticks(&filled());
    let read = agree(analyst, here.path(), "price_archive", ALL_DAYS, &given).await;
    let entries = rows_of_entries(&quarantined());
    agree(analyst, here.path(), "quarantine", ALL_DAYS, &entries).await;
    let found = rows_of_anomalies(&golden::anomalies());
    agree(analyst, here.path(), "anomalies", ALL_DAYS, &found).await;

    // Compaction keeps every tick once.
    compact(project.emulator, &bucket).await.ok();
    let after = tempfile::tempdir().unwrap();
    bucket.download(after.path()).await;
    let mut once = filled();
    once.sort_by_key(|tick| tick.ingested_at_ms);
    let mut seen = std::collections::BTreeSet::new();
    once.retain(|tick| seen.insert(tick.identity()));
    let given = rows_of_ticks(&once);
    let compacted = agree(analyst, after.path(), "price_archive", ALL_DAYS, &given).await;
    assert!(compacted < read, "{compacted} of {read} rows");
}

async fn compact(emulator: &Emulator, bucket: &Bucket) -> CommandOutput {
    let output = Command::new(bootstraps::program("tickctl").unwrap())
        .args(["compact", "--archive", &bucket.archive()])
        .envs(emulator.environment())
        .output()
        .await
        .unwrap();
    CommandOutput::of(&output)
}

/// Files with fewer or more columns than the table are read together.
#[tokio::test(flavor = "multi_thread")]
async fn files_with_and_without_a_new_column_are_read_together() {
    let emulator = emulator::start().await.unwrap();
    let bucket = Bucket::make(emulator, &format!("{}-archive", emulator.unique_project())).await;
    let ticks = golden::ticks();
    let [first, second, third, ..] = &ticks[..] else {
        panic!()
    };
    bucket.put_archived(&[vec![first.clone()]]).await;
    let lacks = files::without(&["slot", "method", "sequence", "quality"]);
    bucket.put(second, lacks).await;
    bucket.put(third, files::with_a_column("fee")).await;
    let here = tempfile::tempdir().unwrap();
    bucket.download(here.path()).await;

    let query = "SELECT tick_id, price, method, slot, sequence, quality, version FROM price_archive \
                 WHERE year = 2026 AND month = 3 AND day = 30 ORDER BY ts";
    let counted = "SELECT count(*) AS n, count(method) AS methods FROM price_archive \
                   WHERE year = 2026 AND month = 3";
    let name = emulator.unique_project();
    let analyst = Analyst::of(emulator, &name, &name);
    let (columns, rows) = analyst.here(here.path(), &["run", query]).await.csv();
    assert_eq!(columns[..3], ["tick_id", "price", "method"]);
    let ids: Vec<_> = rows.iter().map(|row| row[0].clone()).collect();
    let expected = [first, second, third].map(|tick| Some(tick.tick_id.to_string()));
    assert_eq!(ids, expected);
    let methods: Vec<bool> = rows.iter().map(|row| row[2].is_some()).collect();
    assert_eq!(methods, [true, false, true], "{rows:?}");
    let (_, counts) = analyst.here(here.path(), &["run", counted]).await.csv();
    assert_eq!(counts, [[Some("3".to_owned()), Some("2".to_owned())]]);

    let unshown = "files of other versions on Athena's engine";
    if let Some(engine) = athena_engine::start(emulator, unshown).await {
        let analyst = analyst_on(engine, emulator, &bucket).await;
        assert_eq!(analyst.ask(query, &[]).await.csv(), (columns, rows));
        assert_eq!(analyst.ask(counted, &[]).await.csv().1, counts);
    }
}
