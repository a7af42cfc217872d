//! The tables and views that a statement can read. All are in folders by day.

/// The table of ticks.
pub(crate) const ARCHIVE: &str = "price_archive";

/// The table of the quarantine, and its folder beside the archive's.
pub(crate) const QUARANTINE: &str = "quarantine";

/// The views over the table of ticks, from the files that create them on Athena.
pub(crate) const VIEWS: [(&str, &str); 2] = [
    (
        "price_history",
        include_str!("../../../sql/views/price_history.sql"),
    ),
    ("ticks", include_str!("../../../sql/views/ticks.sql")),
];

/// The names of all.
pub fn table_names() -> impl Iterator<Item = &'static str> {
    let views = VIEWS.iter().map(|(name, _)| *name);
    [ARCHIVE, QUARANTINE].into_iter().chain(views)
}

/// Whether a name, in any case, is one of them.
pub(crate) fn is_table(name: &str) -> bool {
    table_names().any(|table| table.eq_ignore_ascii_case(name))
}
