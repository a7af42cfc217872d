//! The folders and file names of the archive.

use std::io;
use std::path::{Path, PathBuf};

use app::day_folder::day_of_folder;
use chrono::NaiveDate;

use crate::identity_sum::IdentitySum;

/// The archive's folder inside the data folder, as on S3.
const TABLE_FOLDER: &str = "price-archive";

/// The extension of a file's name.
const EXTENSION: &str = ".parquet";

/// Digits of a shard in a file's name.
const SHARD_DIGITS: usize = 3;

/// Digits of a sequence number in a file's name: as many as a u64 needs, so names sort like
/// numbers.
const SEQUENCE_DIGITS: usize = 20;

/// The prefix of the name of a compacted file.
const COMPACTED: &str = "compacted-";

/// The prefix of the name of a file with ticks that the archive lacked.
const REPAIRED: &str = "repaired-";

/// Digits of the id checksum in the name of a compacted file.
const COMPACTED_ID_DIGITS: usize = 12;

/// The archive's folder inside a data folder.
#[must_use]
pub fn table_folder(data_dir: &Path) -> PathBuf {
    data_dir.join(TABLE_FOLDER)
}

/// Sequence numbers of one shard of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Range {
    /// The shard.
    pub(crate) shard: u8,
    /// The first sequence number in the range.
    pub(crate) first: u64,
    /// The last sequence number in the range.
    pub(crate) last: u64,
}

/// `SHARD-FIRST-LAST.parquet`, zero-padded, so names sort like the numbers.
pub(crate) fn file_name(range: Range) -> String {
    let Range { shard, first, last } = range;
    format!("{shard:0SHARD_DIGITS$}-{first:0SEQUENCE_DIGITS$}-{last:0SEQUENCE_DIGITS$}{EXTENSION}")
}

/// An alternative name for the range, if [`file_name`] cannot be used.
pub(crate) fn renamed(range: Range, ids: &IdentitySum) -> String {
    let ids: String = ids.to_string().chars().take(COMPACTED_ID_DIGITS).collect();
    file_name(range).replace(EXTENSION, &format!("-{ids}{EXTENSION}"))
}

/// The shard and the first sequence number in a file's name, if the archive's writer gave it.
pub(crate) fn range_of(name: &str) -> Option<(u8, u64)> {
    let mut parts = name.strip_suffix(EXTENSION)?.splitn(4, '-');
    let mut number = |digits: usize| {
        let part = parts.next().filter(|part| part.len() == digits)?;
        part.parse::<u64>().ok()
    };
    let shard = number(SHARD_DIGITS)?.try_into().ok()?;
    let (first, last) = (number(SEQUENCE_DIGITS)?, number(SEQUENCE_DIGITS)?);
    (first <= last).then_some((shard, first))
}

/// `compacted-GENERATION-PART-IDS.parquet`: the unique name of a compacted file.
pub(crate) fn compacted_name(generation: u64, part: usize, ids: &str) -> String {
    let ids: String = ids.chars().take(COMPACTED_ID_DIGITS).collect();
    format!("{COMPACTED}{generation:06}-{part:03}-{ids}{EXTENSION}")
}

/// `repaired-IDS.parquet`: the name of a file with ticks that the archive lacked; another `attempt` has another name.
pub(crate) fn repaired_name(ids: &str, attempt: usize) -> String {
    let ids: String = ids.chars().take(COMPACTED_ID_DIGITS).collect();
    match attempt {
        0 => format!("{REPAIRED}{ids}{EXTENSION}"),
        attempt => format!("{REPAIRED}{ids}-{attempt}{EXTENSION}"),
    }
}

/// The generation in a file's name, if a compaction gave it.
pub(crate) fn compacted_generation(name: &str) -> Option<u64> {
    let (generation, _) = name.strip_prefix(COMPACTED)?.split_once('-')?;
    name.ends_with(EXTENSION).then_some(())?;
    generation.parse().ok()
}

/// Splits the name of an object in a day's folder into day, folder and file name.
pub(crate) fn in_day(name: &str) -> Option<(NaiveDate, &str, &str)> {
    let (folder, rest) = name.rsplit_once('/')?;
    Some((day_of_folder(folder)?, folder, rest))
}

/// A folder of one day's files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Day {
    /// The year, a partition column.
    pub year: i32,
    /// The month, a partition column.
    pub month: i32,
    /// The day of the month, a partition column.
    pub day: i32,
    /// The folder.
    pub path: PathBuf,
}

/// The folders of days in an archive's folder, in order. A missing archive has none; folders of
/// other names are ignored.
///
/// # Errors
/// Those of listing a folder.
pub fn days(table: &Path) -> io::Result<Vec<Day>> {
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

/// Whether a name is that of a data file, of any writer. Names that start with a dot or an
/// underscore are hidden, as in Hive.
pub(crate) fn is_data_file(name: &str) -> bool {
    name.ends_with(EXTENSION) && !name.starts_with(['.', '_'])
}

/// The names in a folder. A missing folder has none: the writer creates folders and retention
/// removes them while readers run.
pub(crate) fn names(folder: &Path) -> io::Result<Vec<String>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut names = Vec::new();
    for entry in entries {
        // A name that is not UTF-8 is not one of ours.
        names.extend(entry?.file_name().into_string());
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_sort_like_their_ranges() {
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
    fn a_name_identifies_its_writer() {
        let range = Range {
            shard: 3,
            first: 41,
            last: 1_540,
        };
        assert_eq!(range_of(&file_name(range)), Some((3, 41)));
        let again = renamed(range, &IdentitySum::default());
        assert_eq!(range_of(&again), Some((3, 41)));
        let compacted = compacted_name(7, 0, "0123456789abcdef");
        assert_eq!(compacted, "compacted-000007-000-0123456789ab.parquet");
        assert_eq!(compacted_generation(&compacted), Some(7));
        let firehose = "tickstream-archive-1-2026-03-07-10-15-01-0a1b2c3d.parquet";
        for name in [firehose, "", "000-1-2.parquet", "compacted-x.parquet"] {
            assert_eq!((range_of(name), compacted_generation(name)), (None, None));
        }
    }

    #[test]
    fn an_object_of_a_day_is_recognized_by_its_name() {
        let day = NaiveDate::from_ymd_opt(2026, 3, 7).unwrap();
        let folder = "year=2026/month=03/day=07";
        let name = format!("{folder}/a.parquet");
        assert_eq!(in_day(&name), Some((day, folder, "a.parquet")));
        for other in [
            "a.parquet",
            "year=2026/a.parquet",
            "year=2026/month=13/day=07/a.parquet",
            "year=2026/month=03/day=07/x/a.parquet",
        ] {
            assert_eq!(in_day(other), None, "{other}");
        }
    }
}
