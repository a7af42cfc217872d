//! The tables and views that a statement can read. All are in folders by day.

use std::path::{Path, PathBuf};

/// The table of ticks.
pub const PRICE_ARCHIVE: &str = "price_archive";

/// The table of anomalies, and its folder beside the archive's.
pub const ANOMALIES: &str = "anomalies";

/// The table of the quarantine, and its folder beside the archive's.
pub const QUARANTINE: &str = "quarantine";

/// A view over the table of ticks.
#[derive(Debug)]
pub struct View {
    /// Its name.
    pub name: &'static str,
    /// The file with the statement that creates it on Athena.
    pub file: &'static str,
}

impl View {
    /// The query that it stands for.
    #[must_use]
    pub fn query(&self) -> &'static str {
        let (_, query) = self.file.split_once(" AS\n").unwrap_or(("", self.file));
        query.trim_end()
    }
}

/// The views, each over tables alone.
pub const VIEWS: [View; 2] = [
    View {
        name: "price_history",
        file: include_str!("../../../sql/views/price_history.sql"),
    },
    View {
        name: "ticks",
        file: include_str!("../../../sql/views/ticks.sql"),
    },
];

/// The names of the tables and views.
pub fn table_names() -> impl Iterator<Item = &'static str> {
    let views = VIEWS.iter().map(|view| view.name);
    [PRICE_ARCHIVE, QUARANTINE, ANOMALIES]
        .into_iter()
        .chain(views)
}

/// The table that has the files of a table or view: of ticks, unless it is one of the others.
pub(crate) fn table_of(name: &str) -> &'static str {
    let is = |table: &&str| table.eq_ignore_ascii_case(name);
    let others = [QUARANTINE, ANOMALIES];
    others.into_iter().find(is).unwrap_or(PRICE_ARCHIVE)
}

/// The folder of a table's files: the archive's, or beside it.
pub(crate) fn folder_of(table: &str, archive_folder: &Path) -> PathBuf {
    match table {
        PRICE_ARCHIVE => archive_folder.to_owned(),
        other => archive_folder.with_file_name(other),
    }
}

/// Whether a name, in any case, is one of them.
pub(crate) fn is_table(name: &str) -> bool {
    table_names().any(|table| table.eq_ignore_ascii_case(name))
}
