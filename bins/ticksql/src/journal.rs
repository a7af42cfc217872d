//! The queries that this user ran: a file with one line of JSON per query.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::engine::PastQuery;
use crate::options::EngineName;

/// The file's size from which its older half is dropped.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Characters of a statement that are kept.
const SQL_CHARS_MAX: usize = 2_000;

/// Queries that ran in this user's processes, one line of JSON each.
#[derive(Debug, Clone)]
pub(crate) struct Journal {
    file: PathBuf,
}

impl Journal {
    /// The journal in a folder, which may not exist yet.
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
        let bytes = fs::read(&self.file)?;
        // The half may begin within a line, or within a character of one.
        let (_, newer) = bytes.split_at(bytes.len() / 2);
        let mut lines = newer.splitn(2, |byte| *byte == b'\n').skip(1);
        let folder = self.file.parent().unwrap_or(Path::new("."));
        // Only its user can read it: that is tempfile's default.
        let mut file = NamedTempFile::new_in(folder)?;
        file.write_all(lines.next().unwrap_or_default())?;
        file.persist(&self.file)?;
        Ok(())
    }

    /// The last queries that ran here, the newest first. Lines that cannot be parsed are skipped.
    pub(crate) fn newest_local(&self, count_max: usize) -> Vec<PastQuery> {
        let mut queries = self.newest();
        queries.retain(|query| query.engine == EngineName::Local);
        queries.truncate(count_max);
        queries
    }

    /// Adds the names under which this user ran queries of a service.
    pub(crate) fn add_names(&self, queries: &mut [PastQuery]) {
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
        let bytes = fs::read(&self.file).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let lines = text.lines().rev();
        lines
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }
}

/// Creates a folder that only its user can read.
pub(crate) fn private_folder(folder: Option<&Path>) -> io::Result<()> {
    match folder {
        Some(folder) => fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_newest_come_first_and_only_the_user_reads_them() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::below(folder.path().join("a/b"));
        assert_eq!(journal.newest_local(9), []);
        for number in 0..3 {
            journal.add(&PastQuery::example(number)).unwrap();
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
    fn a_query_of_a_service_gets_its_name_from_the_journal() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::below(folder.path().to_owned());
        let of_service = |number, name: Option<&str>| PastQuery {
            engine: EngineName::Athena,
            name: name.map(str::to_owned),
            ..PastQuery::example(number)
        };
        journal.add(&of_service(1, Some("candles"))).unwrap();
        // The service lists it itself.
        assert_eq!(journal.newest_local(9), []);
        let mut listed = [of_service(1, None), of_service(2, None)];
        journal.add_names(&mut listed);
        let names = listed.map(|query| query.name);
        assert_eq!(names, [Some("candles".to_owned()), None]);
    }

    #[test]
    fn a_long_journal_loses_its_older_half() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::below(folder.path().to_owned());
        for number in 0..700 {
            journal.add(&PastQuery::example(number)).unwrap();
        }
        let kept = journal.newest_local(usize::MAX);
        assert_eq!(kept[0].id, "id-699");
        assert!((200..600).contains(&kept.len()), "{}", kept.len());
        assert!(fs::metadata(&journal.file).unwrap().len() < 2 * FILE_BYTES_MAX);
    }

    /// The second half of a file begins at any byte: here mostly within a character.
    #[test]
    fn a_journal_that_is_cut_within_a_character_keeps_its_newer_half() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::below(folder.path().to_owned());
        let long = PastQuery {
            sql: "漢".repeat(SQL_CHARS_MAX),
            ..PastQuery::example(0)
        };
        let mut line = serde_json::to_vec(&long).unwrap();
        line.push(b'\n');
        let lines = usize::try_from(FILE_BYTES_MAX).unwrap() / line.len() + 2;
        for padding in 0..6 {
            let text = [b"\n".repeat(padding), line.repeat(lines)].concat();
            fs::write(&journal.file, &text).unwrap();
            journal.add(&PastQuery::example(7)).unwrap();
            let kept = journal.newest_local(usize::MAX);
            assert_eq!(kept[0].id, "id-7");
            let kept = kept.len();
            assert!(
                (lines / 2..=lines / 2 + 1).contains(&kept),
                "{padding}: {kept}"
            );
        }
    }
}
