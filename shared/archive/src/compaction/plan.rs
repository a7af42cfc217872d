//! Decides which files of a day are rewritten, from names and sizes only.

use app::objects::Object;

use super::Files;
use crate::layout::{compacted_generation, range_of};

/// The visible files of a day, in two parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    /// Large files of earlier compactions: they are kept, and only their ids are read.
    pub(super) kept: Vec<Object>,
    /// All others: they are rewritten.
    pub(super) rewritten: Vec<Object>,
}

/// `None` if the day needs no compaction.
///
/// A file of an earlier compaction is large enough if it has at least half the target size. Files
/// of other writers are rewritten whatever their size, since their layout is not optimized for
/// readers.
pub(super) fn plan(files: &[Object], target_bytes: u64) -> Option<Plan> {
    let (kept, rewritten): (Vec<Object>, Vec<Object>) = files
        .iter()
        .cloned()
        .partition(|file| is_compacted(file) && file.bytes >= target_bytes / 2);
    match rewritten.as_slice() {
        [] => None,
        // A single small file of an earlier compaction cannot be improved.
        [one] if is_compacted(one) => None,
        // Sorted and without duplicates in itself, but not relative to the others.
        [one] if kept.is_empty() && range_of(file_name(one)).is_some() => None,
        _ => Some(Plan { kept, rewritten }),
    }
}

pub(super) fn file_totals(files: &[Object]) -> Files {
    Files {
        count: files.len(),
        bytes: files.iter().map(|file| file.bytes).sum(),
    }
}

/// The name of a file in the folder of its day.
pub(super) fn file_name(object: &Object) -> &str {
    let name = object.name.rsplit_once('/').map(|(_, name)| name);
    name.unwrap_or(&object.name)
}

fn is_compacted(object: &Object) -> bool {
    compacted_generation(file_name(object)).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRITTEN: &str = "000-00000000000000000000-00000000000000000009.parquet";
    const COMPACTED: &str = "compacted-000001-000-0123456789ab.parquet";
    const REST: &str = "compacted-000001-001-0123456789ab.parquet";
    const FIREHOSE: &str = "tickstream-archive-1-2026-03-07-00-00-00-x.parquet";

    fn file(name: &str, bytes: u64) -> Object {
        Object {
            name: format!("year=2026/month=03/day=07/{name}"),
            bytes,
            version: String::new(),
        }
    }

    fn split(files: &[Object]) -> Option<(usize, usize)> {
        plan(files, 100).map(|plan| (plan.kept.len(), plan.rewritten.len()))
    }

    #[test]
    fn a_day_that_cannot_be_improved_is_left_alone() {
        for files in [
            vec![],
            vec![file(WRITTEN, 10)],
            vec![file(COMPACTED, 10)],
            vec![file(COMPACTED, 500)],
            vec![file(COMPACTED, 500), file(REST, 10)],
        ] {
            assert_eq!(split(&files), None, "{files:?}");
        }
    }

    #[test]
    fn small_late_and_foreign_files_are_rewritten_and_large_compacted_ones_kept() {
        for (files, expected) in [
            (vec![file(WRITTEN, 10), file(FIREHOSE, 10)], (0, 2)),
            (vec![file(FIREHOSE, 10)], (0, 1)),
            (vec![file(FIREHOSE, 900)], (0, 1)),
            (vec![file(COMPACTED, 500), file(WRITTEN, 10)], (1, 1)),
            (
                vec![file(COMPACTED, 50), file(REST, 49), file(WRITTEN, 10)],
                (1, 2),
            ),
            (vec![file(COMPACTED, 10), file(REST, 49)], (0, 2)),
        ] {
            assert_eq!(split(&files), Some(expected), "{files:?}");
        }
    }
}
