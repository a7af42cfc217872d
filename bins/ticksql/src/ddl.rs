//! The statements that create the tables and views of `sql/`.

use athena::folder::Location;
use query::View;

/// The archive's folder in its bucket, as the stack creates it.
pub(crate) const ARCHIVE_FOLDER: &str = "price-archive/";

/// The folder of results in the archive's bucket, as the stack creates it.
pub(crate) const RESULTS_FOLDER: &str = "athena-results/";

/// A table's file.
#[derive(Debug)]
pub(crate) struct TableFile {
    pub(crate) name: &'static str,
    text: &'static str,
    /// The placeholder of the folder in the text.
    placeholder: &'static str,
    /// The folder in the archive's bucket; `None` is the archive's own.
    folder: Option<&'static str>,
}

/// The ticks.
pub(crate) const ARCHIVE: TableFile = TableFile {
    name: query::PRICE_ARCHIVE,
    text: include_str!("../../../sql/tables/price_archive.sql"),
    placeholder: "{archive}",
    folder: None,
};

/// What could not become a tick.
pub(crate) const QUARANTINE: TableFile = TableFile {
    name: query::QUARANTINE,
    text: include_str!("../../../sql/tables/quarantine.sql"),
    placeholder: "{quarantine}",
    folder: Some("quarantine/"),
};

/// What the analysis of the stream found.
pub(crate) const ANOMALIES: TableFile = TableFile {
    name: query::ANOMALIES,
    text: include_str!("../../../sql/tables/anomalies.sql"),
    placeholder: "{anomalies}",
    folder: Some("anomalies/"),
};

impl TableFile {
    /// The statement that creates the table, for an archive in a folder.
    pub(crate) fn statement(&self, archive: &Location) -> String {
        let at = self.location(archive).to_string();
        without_comments(self.text).replace(self.placeholder, &at)
    }

    /// Where its files are, for an archive in a folder.
    pub(crate) fn location(&self, archive: &Location) -> Location {
        let key = match self.folder {
            None => archive.key.clone(),
            // Beside the archive's folder.
            Some(folder) => {
                let archive = archive.key.trim_end_matches('/');
                let above = archive.rsplit_once('/').map_or("", |(above, _)| above);
                let slash = if above.is_empty() { "" } else { "/" };
                format!("{above}{slash}{folder}")
            }
        };
        Location {
            bucket: archive.bucket.clone(),
            key,
        }
    }

    /// The names of its columns, those of the partitions last.
    pub(crate) fn columns(&self) -> impl Iterator<Item = &'static str> {
        let (columns, partitions) = self
            .text
            .split_once("PARTITIONED BY")
            .unwrap_or((self.text, ""));
        let named = columns.lines().filter_map(|line| {
            let rest = line.trim_start().strip_prefix('`')?;
            rest.split_once('`').map(|(name, _)| name)
        });
        let partitions = partitions.lines().next().unwrap_or_default();
        named.chain(partitions.split('`').skip(1).step_by(2))
    }
}

/// The statement that creates or replaces a view.
pub(crate) fn create_view(view: &View) -> String {
    without_comments(view.file)
}

/// The statement that creates a database.
pub(crate) fn create_database(name: &str) -> String {
    format!(
        "CREATE DATABASE IF NOT EXISTS `{}`",
        name.replace('`', "``")
    )
}

/// The service's DDL parser rejects comments at the start.
fn without_comments(text: &str) -> String {
    let lines = text.lines().skip_while(|line| line.starts_with("--"));
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_created_over_their_folders() {
        let archive = Location::parse("s3://b/price-archive/").unwrap();
        let sql = ARCHIVE.statement(&archive);
        assert!(
            sql.starts_with("CREATE EXTERNAL TABLE IF NOT EXISTS price_archive"),
            "{sql}"
        );
        assert!(sql.contains("LOCATION 's3://b/price-archive/'"), "{sql}");
        assert!(sql.contains("'s3://b/price-archive/year=${year}/"), "{sql}");
        let sql = QUARANTINE.statement(&archive);
        assert!(sql.contains("LOCATION 's3://b/quarantine/'"), "{sql}");
        let sql = ANOMALIES.statement(&archive);
        assert!(sql.contains("LOCATION 's3://b/anomalies/'"), "{sql}");
        for file in [&ARCHIVE, &QUARANTINE, &ANOMALIES] {
            let sql = file.statement(&archive);
            assert!(!sql.contains(file.placeholder), "{sql}");
            assert!(!sql.contains("--"), "{sql}");
        }
        let deeper = Location::parse("s3://b/a/c/ticks/").unwrap();
        assert_eq!(
            QUARANTINE.location(&deeper).to_string(),
            "s3://b/a/c/quarantine/"
        );
    }

    #[test]
    fn columns_are_parsed_from_the_statements() {
        let columns: Vec<_> = ARCHIVE.columns().collect();
        assert_eq!(columns.first(), Some(&"tick_id"));
        assert_eq!(columns[columns.len() - 3..], ["year", "month", "day"]);
        assert!(
            columns.contains(&"method") && columns.len() >= 14,
            "{columns:?}"
        );
        assert!(QUARANTINE.columns().any(|name| name == "reason"));
        assert!(ANOMALIES.columns().any(|name| name == "window_ms"));
    }

    #[test]
    fn views_are_statements_and_queries() {
        for view in &query::VIEWS {
            let expected = format!("CREATE OR REPLACE VIEW {} AS\n", view.name);
            assert!(create_view(view).starts_with(&expected));
            assert!(view.query().starts_with("SELECT"));
            assert!(
                view.query().ends_with("FROM price_archive"),
                "{}",
                view.query()
            );
        }
    }

    #[test]
    fn a_databases_name_cannot_break_out() {
        assert_eq!(
            create_database("a`b"),
            "CREATE DATABASE IF NOT EXISTS `a``b`"
        );
    }
}
