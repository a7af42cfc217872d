//! The tables and views that a statement can read. All are in folders by day.

/// The table of ticks.
pub const PRICE_ARCHIVE: &str = "price_archive";

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
    [PRICE_ARCHIVE, QUARANTINE].into_iter().chain(views)
}

/// Whether a name, in any case, is one of them.
pub(crate) fn is_table(name: &str) -> bool {
    table_names().any(|table| table.eq_ignore_ascii_case(name))
}
