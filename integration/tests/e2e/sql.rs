//! SQL for analysts, with the real `ticksql`: on the emulator's Athena with files from Firehose and from the
//! archive, and on the same files locally, with the same golden results.

mod analyst;
mod files;

use std::collections::BTreeSet;

use integration::emulator;
use testkit::golden;

use crate::flow::at_full;
use crate::project::{Project, until};
use analyst::Analyst;
use files::{Bucket, Glue};

/// Named queries that the emulator cannot run, each with the function that its DuckDB lacks. They are run
/// anyway and must fail because of it, so entries that are no longer needed are noticed.
const EMULATOR_GAPS: [(&str, &str); 8] = [
    // No form works in both: DuckDB hashes text to hexadecimal text, Trino hashes bytes to bytes.
    ("cohort_check", "from_base"),
    // The same applies to a timestamp from milliseconds.
    ("anomalies_around", "from_unixtime"),
    ("candles", "from_unixtime"),
    ("data_quality", "from_unixtime"),
    ("duplicates", "from_unixtime"),
    ("gaps", "from_unixtime"),
    ("last_price", "from_unixtime"),
    ("vwap", "from_unixtime"),
];

/// Views that the emulator cannot run.
const EMULATOR_GAPS_OF_VIEWS: [(&str, &str); 1] = [("ticks", "from_unixtime")];

/// One golden tick in this many goes through Firehose, since the emulator writes a file for each.
const THROUGH_FIREHOSE: usize = 9;

fn gap(gaps: &[(&str, &'static str)], name: &str) -> Option<&'static str> {
    let gap = gaps.iter().find(|(known, _)| *known == name);
    gap.map(|(_, lacks)| *lacks)
}

/// Fills a deployed project's archive and quarantine with the golden ticks and entries.
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
    files::stream(project, &streamed).await;
    bucket.put_archived(&[written, ranges.remove(0)]).await;
    bucket.quarantine(&golden::quarantined()).await;
    until("Firehose has written its ticks", async || {
        bucket.rows_of_firehose().await.len() >= streamed.len()
    })
    .await;
    bucket.file_by_day_of_event().await;
    bucket
}

#[tokio::test(flavor = "multi_thread")]
async fn named_queries_have_the_golden_results_on_athena_and_locally() {
    let project = at_full().await;
    let analyst = Analyst::of(project.emulator, &project.name, &project.name);

    // From a deployed project to a result: `ticksql init`, `ticksql run`.
    let created = analyst.run(&["init"]).await.ok_status();
    for line in [
        format!("{}: exists", project.name),
        "price_archive: exists".to_owned(),
        "quarantine: created".to_owned(),
    ] {
        assert!(created.contains(&line), "{line} in\n{created}");
    }
    let again = analyst.run(&["init"]).await.ok_status();
    assert!(again.contains("quarantine: exists"), "{again}");
    assert!(!again.contains(": created"), "{again}");
    assert!(!again.contains("lacks"), "{again}");

    let bucket = fill(&project).await;
    assert_eq!(
        bucket.columns_of_firehose().await,
        files::columns_of_the_codec(),
        "Firehose writes the columns of the archive"
    );
    let here = tempfile::tempdir().unwrap();
    bucket.download(here.path()).await;

    let mut queries = BTreeSet::new();
    for case in golden::cases() {
        queries.insert(case.query.clone());
        let parameters = case.parameters.iter();
        let parameters: Vec<String> = parameters.map(|(k, v)| format!("{k}={v}")).collect();
        let mut arguments = vec!["run", case.query.as_str()];
        arguments.extend(parameters.iter().flat_map(|pair| ["-p", pair.as_str()]));
        let (columns, rows) = analyst.here(here.path(), &arguments).await.csv();
        case.check(&columns, &rows).unwrap();
        let output = analyst.run(&arguments).await;
        match gap(&EMULATOR_GAPS, &case.query) {
            None => {
                let (columns, rows) = output.csv();
                case.check(&columns, &rows).unwrap();
            }
            Some(lacks) => {
                assert_eq!(
                    output.code, 1,
                    "{} is supported now: {output:?}",
                    case.query
                );
                assert!(output.err.contains(lacks), "{output:?}");
            }
        }
    }
    for (query, _) in EMULATOR_GAPS {
        assert!(queries.contains(query), "{query} has no golden result");
    }
    views_are_added_to_the_statement(&analyst).await;
    values_cannot_inject_sql(&analyst).await;
    estimates_use_the_bucket(&analyst).await;
    errors_say_what_to_do(&analyst).await;
    a_query_over_its_timeout_is_stopped(&analyst).await;
}

const TWO_DAYS: [&str; 4] = ["-p", "from=2026-03-30", "-p", "to=2026-04-01"];

const THREE_DAYS: [&str; 4] = ["-p", "from=2026-03-30", "-p", "to=2026-04-02"];

async fn views_are_added_to_the_statement(analyst: &Analyst) {
    let query = "SELECT min(\"timestamp\") AS first FROM price_history WHERE :days";
    let (_, rows) = analyst.ask(query, &TWO_DAYS).await.csv();
    assert_eq!(rows, [[Some("1774828801234".to_owned())]]);
    for (view, lacks) in EMULATOR_GAPS_OF_VIEWS {
        let output = analyst
            .ask(
                &format!("SELECT count(*) FROM {view} WHERE :days"),
                &TWO_DAYS,
            )
            .await;
        assert_eq!(output.code, 1, "{view} is supported now: {output:?}");
        assert!(output.err.contains(lacks), "{output:?}");
    }
}

/// A value cannot inject SQL.
async fn values_cannot_inject_sql(analyst: &Analyst) {
    let query = "SELECT count(*) AS n FROM price_archive WHERE :days AND token = :t";
    for (value, count) in [
        ("t=ETH", "32"),
        ("t=x' OR '1'='1", "0"),
        ("t=x'; SELECT 1 --", "0"),
    ] {
        let mut more = THREE_DAYS.to_vec();
        more.extend(["-p", value]);
        let (_, rows) = analyst.ask(query, &more).await.csv();
        assert_eq!(rows, [[Some(count.to_owned())]], "{value}");
    }
}

async fn estimates_use_the_bucket(analyst: &Analyst) {
    let query = "SELECT price FROM price_archive WHERE :days";
    let mut arguments = vec!["explain", query];
    arguments.extend(TWO_DAYS);
    let output = analyst.run(&arguments).await;
    let text = format!("{}{}", output.out, output.err);
    assert_eq!(output.code, 0, "{text}");
    for part in ["2026-03-30", "2026-03-31"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(!text.contains("2026-04-01"), "{text}");

    let mut small = TWO_DAYS.to_vec();
    small.extend(["--max-scan", "1kB"]);
    let refused = analyst.ask(query, &small).await;
    assert_eq!(refused.code, 3, "{refused:?}");
    let whole = analyst.ask("SELECT price FROM price_archive", &[]).await;
    assert_eq!(whole.code, 3, "{whole:?}");
}

async fn errors_say_what_to_do(analyst: &Analyst) {
    let check = async |query: &str, more: &[&str], code: i32, part: &str| {
        let output = analyst.ask(query, more).await;
        assert_eq!(output.code, code, "{query}: {output:?}");
        assert!(output.err.contains(part), "{part} in {output:?}");
        assert!(output.out.is_empty(), "{output:?}");
    };
    let day = "year = 2026 AND month = 3 AND day = 30";
    let failing = format!("SELECT CAST(token AS bigint) FROM price_archive WHERE {day}");
    check(&failing, &[], 1, "the query failed").await;
    check("SELECT 1 FROM nothing", &[], 1, "nothing").await;
    check("SELECT 1 FROM", &[], 1, "syntax").await;
    let one = "SELECT 1 AS one";
    check(one, &["--workgroup", "nobody"], 2, "ticksql init").await;
    let archive = format!("SELECT 1 FROM price_archive WHERE {day}");
    check(&archive, &["--database", "nowhere"], 2, "ticksql init").await;

    let bare = analyst.without(&["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]);
    let output = bare.ask(one, &[]).await;
    assert_eq!(output.code, 2, "{output:?}");
    assert!(output.err.contains("no AWS credentials"), "{output:?}");
    let nowhere = analyst.without(&["AWS_REGION", "AWS_DEFAULT_REGION"]);
    let output = nowhere.ask(one, &[]).await;
    assert_eq!(output.code, 2, "{output:?}");
    assert!(output.err.contains("AWS_REGION"), "{output:?}");

    let output = analyst.run(&["cancel", "no-such-query"]).await;
    assert_eq!(output.code, 2, "{output:?}");
    assert!(output.err.contains("no-such-query"), "{output:?}");
}

async fn a_query_over_its_timeout_is_stopped(analyst: &Analyst) {
    // It takes far longer than its timeout of a second: 390 ticks give 2.4 billion combinations.
    let query = "SELECT sum(ln(a.price * b.price * c.price * d.price)) AS s FROM price_archive a \
                 CROSS JOIN price_archive b CROSS JOIN price_archive c \
                 CROSS JOIN (SELECT price FROM price_archive LIMIT 40) d";
    let output = analyst.ask(query, &["--full-scan", "--timeout", "1"]).await;
    assert_eq!(output.code, 4, "{output:?}");
    assert!(output.err.contains("is cancelled"), "{output:?}");
    let past = analyst.run(&["history", "--count", "500"]).await.ok();
    assert!(
        past.contains("succeeded") && past.contains("failed"),
        "{past}"
    );
}

/// Files with fewer or more columns than the table are read together.
#[tokio::test(flavor = "multi_thread")]
async fn files_with_and_without_a_new_column_are_read_together() {
    let emulator = emulator::start().await.unwrap();
    let name = emulator.unique_project();
    let bucket = Bucket::make(emulator, &format!("{name}-archive")).await;
    Glue::of(emulator).create_database(&name).await;
    let analyst = Analyst::of(emulator, &name, &name);

    // Without a stack the program cannot know where the archive is.
    let lost = analyst.run(&["init"]).await;
    assert_eq!(lost.code, 2, "{lost:?}");
    assert!(lost.err.contains("--archive"), "{lost:?}");
    let archive = format!("s3://{}/price-archive/", bucket.name());
    let created = analyst.run(&["init", "--archive", &archive]).await;
    let created = created.ok_status();
    for part in [
        "a query may read",
        "price_archive: created",
        "quarantine: created",
    ] {
        assert!(created.contains(part), "{part} in {created}");
    }
    let again = analyst.run(&["init"]).await.ok_status();
    assert!(!again.contains(": created"), "{again}");

    let ticks = golden::ticks();
    let [first, second, third, ..] = &ticks[..] else {
        panic!()
    };
    bucket.put_archived(&[vec![first.clone()]]).await;
    bucket
        .put(second, files::without(&["slot", "method"]))
        .await;
    bucket.put(third, files::with_a_column("fee")).await;
    let here = tempfile::tempdir().unwrap();
    bucket.download(here.path()).await;

    let query = "SELECT tick_id, price, method, slot, version FROM price_archive \
                 WHERE year = 2026 AND month = 3 AND day = 30 ORDER BY ts";
    let (columns, on_athena) = analyst.ask(query, &[]).await.csv();
    let run = ["run", query];
    let (_, on_this_machine) = analyst.here(here.path(), &run).await.csv();
    assert_eq!(on_athena, on_this_machine);
    assert_eq!(columns, ["tick_id", "price", "method", "slot", "version"]);
    let ids: Vec<_> = on_athena.iter().map(|row| row[0].clone()).collect();
    let expected = [first, second, third].map(|tick| Some(tick.tick_id.to_string()));
    assert_eq!(ids, expected);
    let methods: Vec<bool> = on_athena.iter().map(|row| row[2].is_some()).collect();
    assert_eq!(methods, [true, false, true], "{on_athena:?}");
    let counted = "SELECT count(*) AS n, count(method) AS methods FROM price_archive \
                   WHERE year = 2026 AND month = 3";
    for output in [
        analyst.ask(counted, &[]).await,
        analyst.here(here.path(), &["run", counted]).await,
    ] {
        let (_, rows) = output.csv();
        assert_eq!(rows, [[Some("3".to_owned()), Some("2".to_owned())]]);
    }
}
