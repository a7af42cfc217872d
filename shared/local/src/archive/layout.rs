//! Where the archive's files are, and what their names say.

use std::io;
use std::path::{Path, PathBuf};

use chrono::{Datelike, NaiveDate};

/// The folder of the table inside the data folder, as on S3.
const TABLE_FOLDER: &str = "price-archive";

/// The end of a file's name.
const EXTENSION: &str = ".parquet";

/// Digits of a shard in a file's name.
const SHARD_DIGITS: usize = 3;

/// Digits of a sequence number in a file's name: as many as a u64 needs, so that names sort.
const SEQUENCE_DIGITS: usize = 20;

/// The folder of the archive's table inside a data folder.
#[must_use]
pub fn table_folder(data_dir: &Path) -> PathBuf {
    data_dir.join(TABLE_FOLDER)
}

/// Sequence numbers of one shard of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Range {
    /// The shard.
    pub(super) shard: u8,
    /// The first sequence number in the range.
    pub(super) first: u64,
    /// The last sequence number in the range.
    pub(super) last: u64,
}

/// `SHARD-FIRST-LAST.parquet`, zero-padded, so that names sort as the numbers do.
pub(super) fn file_name(range: Range) -> String {
    let Range { shard, first, last } = range;
    format!("{shard:0SHARD_DIGITS$}-{first:0SEQUENCE_DIGITS$}-{last:0SEQUENCE_DIGITS$}{EXTENSION}")
}

/// The folder of a day inside the table's folder.
pub(super) fn day_folder(day: NaiveDate) -> PathBuf {
    let (year, month, day) = (day.year(), day.month(), day.day());
    PathBuf::from(format!("year={year:04}/month={month:02}/day={day:02}"))
}

/// A folder of one day's files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Day {
    /// The partition columns.
    pub(crate) year: i32,
    pub(crate) month: i32,
    pub(crate) day: i32,
    /// The folder.
    pub(crate) path: PathBuf,
}

/// The folders of days below a table's folder, in order. A table that is not there has none;
/// folders of other names are passed over.
pub(crate) fn days(table: &Path) -> io::Result<Vec<Day>> {
    let mut days = Vec::new();
    for (year, path) in partitions(table, "year=")? {
        for (month, path) in partitions(&path, "month=")? {
            let of_month = partitions(&path, "day=")?;
            days.extend(of_month.into_iter().map(|(day, path)| Day {
                year,
                month,
                day,
                path,
            }));
        }
    }
    days.sort_by_key(|day| (day.year, day.month, day.day));
    Ok(days)
}

fn partitions(folder: &Path, prefix: &str) -> io::Result<Vec<(i32, PathBuf)>> {
    let mut found = Vec::new();
    for name in names(folder)? {
        if let Some(value) = name
            .strip_prefix(prefix)
            .and_then(|value| value.parse().ok())
        {
            found.push((value, folder.join(&name)));
        }
    }
    Ok(found)
}

/// Whether a name is that of a file of the table, of ours or of another writer; those that start
/// with a dot or an underscore are hidden, as in Hive.
pub(crate) fn is_data_file(name: &str) -> bool {
    name.ends_with(EXTENSION) && !name.starts_with(['.', '_'])
}

/// The names in a folder, of which a missing one has none: readers run beside a writer that
/// creates folders and beside retention that removes them.
pub(crate) fn names(folder: &Path) -> io::Result<Vec<String>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut names = Vec::new();
    for entry in entries {
        // A name that is no text is not ours.
        names.extend(entry?.file_name().into_string());
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_sort_as_their_ranges_do() {
        let range = |shard, first, last| Range { shard, first, last };
        let ranges = [
            range(0, 9, 9),
            range(0, 10, 99),
            range(2, 0, u64::MAX),
            range(10, 0, 0),
        ];
        let names = ranges.map(file_name);
        assert!(names.is_sorted(), "{names:?}");
        assert_eq!(
            names[0],
            "000-00000000000000000009-00000000000000000009.parquet"
        );
        assert_eq!(
            names[2],
            "002-00000000000000000000-18446744073709551615.parquet"
        );
    }

    #[test]
    fn a_day_has_its_folder() {
        let day = NaiveDate::from_ymd_opt(2026, 3, 7).unwrap();
        assert_eq!(day_folder(day), Path::new("year=2026/month=03/day=07"));
    }
}
