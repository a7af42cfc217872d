//! Every named query of `sql/queries/` on the generated archive: the local engine, the golden
//! answer and the reference, a computation in plain Rust, must agree.

pub(crate) mod parameters;
mod reference;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use app::ports::Quarantined;
use archive::{AnomalyArchive, Archive, Folder};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use chrono::{DateTime, Datelike as _};
use domain::Method;
use domain::detection::AnomalyKind;
use parameters::Parameters;
use query::LocalSql;
use reference::Tables;
use testkit::golden::{self, Case, sql_folder};

use crate::answer::{answer, open};

/// The generated archive, its anomalies and its quarantine, as tickstream writes them.
async fn generated(data: &Path) -> LocalSql {
    let archive = Archive::open(data).unwrap();
    for (shard, ticks) in (0..).zip(golden::ranges()) {
        archive
            .write_range(shard, 0, ticks.len() as u64, &ticks)
            .unwrap();
    }
    write_quarantine(&data.join("quarantine"), &golden::quarantined());
    let anomalies = AnomalyArchive::new(Arc::new(Folder::of_anomalies(data).unwrap()));
    anomalies.add(&golden::anomalies()).await.unwrap();
    open(data).await
}

/// A file of each day of receipt.
fn write_quarantine(folder: &Path, entries: &[Quarantined]) {
    let mut files: BTreeMap<PathBuf, Vec<u8>> = BTreeMap::new();
    for entry in entries {
        let day = DateTime::from_timestamp_millis(entry.received_at_ms).unwrap();
        let (year, month, day) = (day.year(), day.month(), day.day());
        let day = folder.join(format!("year={year:04}/month={month:02}/day={day:02}"));
        entry.append_line(files.entry(day).or_default()).unwrap();
    }
    for (day, lines) in files {
        fs::create_dir_all(&day).unwrap();
        fs::write(day.join("1-9.jsonl"), lines).unwrap();
    }
}

fn query_file(name: &str) -> String {
    let path = sql_folder().join("queries").join(format!("{name}.sql"));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Columns, and rows of texts.
type Texts = (Vec<String>, Vec<Vec<Option<String>>>);

async fn engines_answer(sql: &LocalSql, query: &str) -> Texts {
    let answer = answer(sql, query).await;
    let names = answer.column_names().into_iter();
    let columns = names.map(str::to_owned).collect();
    let mut rows = Vec::new();
    for batch in &answer.batches {
        let options = FormatOptions::default();
        let shown: Vec<_> = batch
            .columns()
            .iter()
            .map(|column| (column, ArrayFormatter::try_new(column, &options).unwrap()))
            .collect();
        for row in 0..batch.num_rows() {
            let cell = |(column, shown): &(&arrow::array::ArrayRef, ArrayFormatter<'_>)| {
                column.is_valid(row).then(|| shown.value(row).to_string())
            };
            rows.push(shown.iter().map(cell).collect());
        }
    }
    (columns, rows)
}

fn reference_answer(case: &Case, given: &Parameters) -> Texts {
    let tables = Tables {
        ticks: golden::ticks(),
        anomalies: golden::anomalies(),
        quarantined: golden::quarantined(),
    };
    let (columns, rows) = reference::answer(&case.query, given, &tables);
    (
        columns.iter().map(|name| (*name).to_owned()).collect(),
        rows,
    )
}

/// The rows as the text of a golden file.
fn csv((columns, rows): &Texts) -> String {
    let quoted = |cell: &str| match cell.contains([',', '"', '\n']) {
        true => format!("\"{}\"", cell.replace('"', "\"\"")),
        false => cell.to_owned(),
    };
    let mut text = columns.join(",") + "\n";
    for row in rows {
        let cells = row
            .iter()
            .map(|cell| cell.as_deref().map(quoted).unwrap_or_default());
        text += &(cells.collect::<Vec<_>>().join(",") + "\n");
    }
    text
}

#[test]
fn the_golden_answers_are_those_of_the_reference() {
    let mut differences = String::new();
    for case in golden::cases() {
        let given = Parameters::of(&query_file(&case.query), &case.parameters);
        let answer = reference_answer(&case, &given);
        if let Err(difference) = case.check(&answer.0, &answer.1) {
            differences += &format!("{difference}; the reference:\n{}\n", csv(&answer));
        }
    }
    assert!(differences.is_empty(), "{differences}");
}

#[tokio::test]
async fn the_local_engine_gives_the_golden_answers() {
    let data = tempfile::tempdir().unwrap();
    let sql = generated(data.path()).await;
    let mut differences = String::new();
    for case in golden::cases() {
        let file = query_file(&case.query);
        let query = Parameters::of(&file, &case.parameters).rendered(&file);
        let answer = engines_answer(&sql, &query).await;
        if let Err(difference) = case.check(&answer.0, &answer.1) {
            differences += &format!("{difference}; the engine:\n{}\n", csv(&answer));
        }
    }
    assert!(differences.is_empty(), "{differences}");
}

/// `tools/athena-engine/record` asks Athena's engine the same: it finds the archive, and each case's statement, in
/// the build folder.
#[tokio::test]
async fn the_cases_are_written_for_athenas_engine() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("athena-golden");
    if folder.exists() {
        fs::remove_dir_all(&folder).unwrap();
    }
    let data = folder.join("archive");
    fs::create_dir_all(&data).unwrap();
    drop(generated(&data).await);
    let mut lines = String::new();
    for case in golden::cases() {
        let file = query_file(&case.query);
        let sql = Parameters::of(&file, &case.parameters).rendered(&file);
        lines += &format!("{}\n", serde_json::json!({"name": case.name, "sql": sql}));
    }
    fs::write(folder.join("statements.jsonl"), lines).unwrap();
}

#[test]
fn every_named_query_has_a_golden_answer() {
    let queries: BTreeSet<String> = fs::read_dir(sql_folder().join("queries"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "sql"))
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    let cases = golden::cases();
    let answered: BTreeSet<String> = cases.iter().map(|case| case.query.clone()).collect();
    assert_eq!(queries, answered);
    for query in &queries {
        let rows = cases.iter().filter(|case| case.query == *query);
        let most = rows.map(|case| case.rows.len()).max();
        assert!(
            most > Some(0),
            "{query}: an answer without rows shows nothing"
        );
    }
}

/// A method that is added must be added to the queries, which list those that are not trades.
#[test]
fn queries_on_prices_tell_trades_from_quotes() {
    let quotes = Method::ALL.into_iter().filter(|method| !method.is_trade());
    let quotes: Vec<String> = quotes.map(|method| format!("'{method}'")).collect();
    let list = format!("IN ({})", quotes.join(", "));
    let mut series = BTreeSet::new();
    let cases = golden::cases();
    for case in &cases {
        let file = query_file(&case.query);
        assert_eq!(file.matches("method ").count(), file.matches(&list).count());
        if file.contains(&list) {
            series.insert(case.query.as_str());
        }
    }
    let expected = [
        "anomalies_around",
        "candles",
        "last_price",
        "monthly_prices",
        "top_movers",
        "volatility",
        "volume_by_source",
        "vwap",
    ];
    assert_eq!(series, expected.into());
    let kinds = AnomalyKind::ALL.map(AnomalyKind::as_str).join("|");
    let file = query_file("anomalies");
    assert!(file.contains(&format!("[all|{kinds}]")), "{kinds}");
}

/// The first and the last of an order are found without sorting, by the engine's own function.
#[tokio::test]
async fn extremes_of_named_queries_are_rewritten() {
    let data = tempfile::tempdir().unwrap();
    let sql = generated(data.path()).await;
    let mut rewritten = BTreeSet::new();
    for case in golden::cases() {
        let file = query_file(&case.query);
        if !file.contains("max_by(") {
            continue;
        }
        let query = Parameters::of(&file, &case.parameters).rendered(&file);
        let (_, plan) = engines_answer(&sql, &format!("EXPLAIN {query}")).await;
        let plan = format!("{plan:?}");
        assert!(plan.contains("first_value("), "{}: {plan}", case.name);
        rewritten.insert(case.query);
    }
    let expected = [
        "candles",
        "data_quality",
        "last_price",
        "top_movers",
        "volatility",
    ];
    assert_eq!(rewritten, expected.map(str::to_owned).into());
}

/// A query that reads more than the days of its parameters would cost more than it should.
#[tokio::test]
async fn a_named_query_reads_the_requested_days_and_no_others() {
    let data = tempfile::tempdir().unwrap();
    let sql = generated(data.path()).await;
    for case in golden::cases() {
        let file = query_file(&case.query);
        let mut parameters = case.parameters.clone();
        let begin = if file.contains("@days earliest to") {
            "earliest"
        } else {
            "from"
        };
        parameters.insert(begin.to_owned(), "2026-03-31T10:00:00Z".to_owned());
        let end = if file.contains("@days from at") {
            "at"
        } else {
            "to"
        };
        parameters.insert(end.to_owned(), "2026-03-31T11:00:00Z".to_owned());
        let query = Parameters::of(&file, &parameters).rendered(&file);
        let answer = answer(&sql, &query).await;
        // Three ranges wrote files of that day; the quarantine and the anomalies have one.
        let expected = match case.query.as_str() {
            "anomalies" | "data_quality" => 1,
            _ => 3,
        };
        assert_eq!(answer.files, expected, "{}", case.name);
        assert!(answer.bytes_read > 0, "{}", case.name);
    }
}
