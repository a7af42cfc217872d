//! The queries of before: a file of those that ran here, and Athena's own list.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray, UInt64Array};
use chrono::{DateTime, SecondsFormat};

use crate::engine::{EngineName, PastQuery};
use crate::money::Bill;
use crate::problem::Problem;

/// The file's size from which its older half is dropped.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Characters of a statement that are kept.
const SQL_CHARS_MAX: usize = 2_000;

/// Characters of a statement that are shown in a list.
const SQL_CHARS_SHOWN: usize = 60;

/// Queries that ran in this user's processes, a line of JSON each.
#[derive(Debug, Clone)]
pub(crate) struct Journal {
    file: PathBuf,
}

impl Journal {
    /// The journal in a folder, which may not be there yet.
    pub(crate) fn below(folder: PathBuf) -> Self {
        Self {
            file: folder.join("history.jsonl"),
        }
    }

    /// Adds a query.
    pub(crate) fn add(&self, query: &PastQuery) -> io::Result<()> {
        let cut = PastQuery {
            sql: query.sql.chars().take(SQL_CHARS_MAX).collect(),
            ..query.clone()
        };
        let mut line = serde_json::to_vec(&cut)?;
        line.push(b'\n');
        private_folder(self.file.parent())?;
        if fs::metadata(&self.file).is_ok_and(|file| file.len() > FILE_BYTES_MAX) {
            self.drop_older_half()?;
        }
        // One write, so that the lines of processes that end together do not mix.
        let mut options = OpenOptions::new();
        let mut file = options
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&self.file)?;
        file.write_all(&line)
    }

    fn drop_older_half(&self) -> io::Result<()> {
        let text = fs::read_to_string(&self.file)?;
        let newer = text.get(text.len() / 2..).unwrap_or_default();
        let newer = newer.split_once('\n').map_or("", |(_, lines)| lines);
        let aside = self.file.with_extension("jsonl.new");
        let mut options = OpenOptions::new();
        let mut file: File = options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&aside)?;
        file.write_all(newer.as_bytes())?;
        fs::rename(&aside, &self.file)
    }

    /// The last queries that ran here, the newest first. What cannot be read is no history.
    pub(crate) fn newest_local(&self, count_max: usize) -> Vec<PastQuery> {
        let mut queries = self.newest();
        queries.retain(|query| query.engine == EngineName::Local);
        queries.truncate(count_max);
        queries
    }

    /// Gives queries of a service the names that they were run by, where they were run by this user.
    pub(crate) fn name(&self, queries: &mut [PastQuery]) {
        let named = self.newest().into_iter();
        let names: BTreeMap<String, String> = named
            .filter_map(|query| Some((query.id, query.name?)))
            .collect();
        for query in queries {
            query.name = names.get(&query.id).cloned();
        }
    }

    /// All that is kept, the newest first.
    fn newest(&self) -> Vec<PastQuery> {
        let text = fs::read_to_string(&self.file).unwrap_or_default();
        let lines = text.lines().rev();
        lines
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }
}

/// A folder that only its user looks into.
pub(crate) fn private_folder(folder: Option<&Path>) -> io::Result<()> {
    match folder {
        Some(folder) => fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder),
        None => Ok(()),
    }
}

/// Queries as rows.
pub(crate) fn rows(queries: &[PastQuery]) -> Result<RecordBatch, Problem> {
    let texts = |text: &dyn Fn(&PastQuery) -> String| -> ArrayRef {
        Arc::new(
            queries
                .iter()
                .map(|query| Some(text(query)))
                .collect::<StringArray>(),
        )
    };
    let bytes = queries.iter().map(|query| Some(query.scanned_bytes));
    let ran = queries.iter().map(|query| Some(query.ran_ms));
    let dollars = queries.iter().map(dollars);
    Ok(RecordBatch::try_from_iter_with_nullable([
        ("id", texts(&|query| query.id.clone()), false),
        ("engine", texts(&|query| query.engine.to_string()), false),
        ("when", texts(&|query| moment(query.at_ms)), false),
        ("state", texts(&|query| query.state.clone()), false),
        (
            "ran_ms",
            Arc::new(ran.collect::<UInt64Array>()) as ArrayRef,
            false,
        ),
        (
            "bytes",
            Arc::new(bytes.collect::<UInt64Array>()) as ArrayRef,
            false,
        ),
        (
            "usd",
            Arc::new(dollars.collect::<Float64Array>()) as ArrayRef,
            true,
        ),
        ("query", texts(&shown), false),
    ])?)
}

/// What Athena billed; local queries cost nothing, and so do failed ones and answers of before.
fn dollars(query: &PastQuery) -> Option<f64> {
    if query.engine == EngineName::Local {
        return None;
    }
    let bill = match query.state.as_str() {
        "failed" => Bill::NOTHING,
        _ if query.reused => Bill::NOTHING,
        _ => Bill::of_scanned(query.scanned_bytes),
    };
    Some(bill.dollars().0)
}

fn moment(ms: i64) -> String {
    DateTime::from_timestamp_millis(ms)
        .map(|time| time.to_rfc3339_opts(SecondsFormat::Secs, true))
        .unwrap_or_default()
}

/// A query by its name, where that is known, and the start of its statement.
fn shown(query: &PastQuery) -> String {
    let words = first_words(&query.sql);
    match &query.name {
        Some(name) => format!("{name}: {words}"),
        None => words,
    }
}

/// The start of a statement on one line, without its comments.
fn first_words(sql: &str) -> String {
    let lines = sql.lines().map(str::trim);
    let lines = lines.filter(|line| !line.starts_with("--"));
    let words: Vec<&str> = lines.flat_map(str::split_whitespace).collect();
    let text = words.join(" ");
    let mut shown: String = text.chars().take(SQL_CHARS_SHOWN).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn query(number: u64) -> PastQuery {
        PastQuery {
            engine: EngineName::Local,
            id: format!("id-{number}"),
            at_ms: 1_772_841_600_000,
            state: "succeeded".to_owned(),
            ran_ms: number,
            scanned_bytes: 5,
            reused: false,
            name: None,
            sql: format!("-- what\nSELECT {number}\n  FROM {}", "t".repeat(3_000)),
        }
    }

    #[test]
    fn the_newest_come_first_and_only_the_user_reads_them() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::below(folder.path().join("a/b"));
        assert_eq!(journal.newest_local(9), []);
        for number in 0..3 {
            journal.add(&query(number)).unwrap();
        }
        let ids: Vec<_> = journal
            .newest_local(2)
            .into_iter()
            .map(|query| query.id)
            .collect();
        assert_eq!(ids, ["id-2", "id-1"]);
        let mode = fs::metadata(&journal.file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_query_of_a_service_has_its_name_from_here() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::below(folder.path().to_owned());
        let of_service = |number, name: Option<&str>| PastQuery {
            engine: EngineName::Athena,
            name: name.map(str::to_owned),
            ..query(number)
        };
        journal.add(&of_service(1, Some("candles"))).unwrap();
        // The service lists it itself.
        assert_eq!(journal.newest_local(9), []);
        let mut listed = [of_service(1, None), of_service(2, None)];
        journal.name(&mut listed);
        let shown = listed.map(|query| shown(&query));
        assert!(shown[0].starts_with("candles: SELECT 1 FROM"), "{shown:?}");
        assert!(shown[1].starts_with("SELECT 2 FROM"), "{shown:?}");
    }

    #[test]
    fn a_long_journal_loses_its_older_half() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::below(folder.path().to_owned());
        for number in 0..700 {
            journal.add(&query(number)).unwrap();
        }
        let kept = journal.newest_local(usize::MAX);
        assert_eq!(kept[0].id, "id-699");
        assert!((200..600).contains(&kept.len()), "{}", kept.len());
        assert!(fs::metadata(&journal.file).unwrap().len() < 2 * FILE_BYTES_MAX);
    }

    #[test]
    fn a_row_tells_what_was_billed() {
        let athena = |state: &str, scanned_bytes, reused| PastQuery {
            engine: EngineName::Athena,
            state: state.to_owned(),
            scanned_bytes,
            reused,
            ..query(1)
        };
        let check = |query: PastQuery, expected: Option<f64>| assert_eq!(dollars(&query), expected);
        check(athena("succeeded", 1, false), Some(0.000_05));
        check(athena("cancelled", 20_000_000, false), Some(0.000_1));
        check(athena("succeeded", 0, true), Some(0.0));
        check(athena("succeeded", 0, false), Some(0.0));
        check(athena("succeeded", 7, true), Some(0.0));
        check(athena("failed", 500, false), Some(0.0));
        check(query(1), None);
        let shown = first_words(&query(1).sql);
        assert!(
            shown.starts_with("SELECT 1 FROM ttt") && shown.ends_with('…'),
            "{shown}"
        );
    }
}
