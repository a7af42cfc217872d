//! What a statement would read: the files below the folders of its tables, of the days that its
//! conditions leave. The size of other tables is unknown, which is not the same as zero.

use athena::folder::{Folder, Location};
use chrono::NaiveDate;
use query::ArchiveScan;

use super::Athena;
use super::athena_errors::engine_error;
use super::folder_address::location;
use crate::ddl::{ANOMALIES, ARCHIVE, QUARANTINE, TableFile};
use crate::engine::{DayTable, EngineError, Estimate};
use crate::statement::Statement;

/// The schema that describes a database's tables: it has no files.
const INFORMATION: &str = "information_schema";

const UPPER_BOUND: &str = "an upper bound: Athena reads only the columns that the statement names, and skips \
                           parts of files by their statistics";

impl Athena {
    pub(super) async fn estimated(&self, statement: &Statement) -> Result<Estimate, EngineError> {
        let noted = |note: &str| Some(note.to_owned());
        if !statement.runs {
            return Ok(Estimate {
                note: noted("it describes and reads no data"),
                ..Estimate::default()
            });
        }
        let database = self.athena.database();
        let mut estimate = Estimate {
            unknown: unknown(statement, database),
            ..Estimate::default()
        };
        let ours = |scan: &&ArchiveScan| is_of(database, scan);
        for table in DayTable::ALL {
            let scans = statement.scans.iter().filter(ours);
            let scans: Vec<&ArchiveScan> = scans.filter(|scan| table.is_read_by(scan)).collect();
            if !scans.is_empty() {
                self.add(file_of(table), &scans, &mut estimate).await?;
            }
        }
        estimate.days.sort_unstable();
        estimate.days.dedup();
        estimate.note = if !statement.scans.is_empty() {
            noted(UPPER_BOUND)
        } else if estimate.unknown.is_none() {
            noted("it reads no table")
        } else {
            None
        };
        Ok(estimate)
    }

    /// Adds what some scans of a table read.
    async fn add(
        &self,
        table: &TableFile,
        scans: &[&ArchiveScan],
        estimate: &mut Estimate,
    ) -> Result<(), EngineError> {
        let folder = self.folder(table).await?;
        let all = folder.days().await.map_err(|error| engine_error(&error))?;
        let reads_of = |day| scans.iter().filter(|scan| scan.keeps(day)).count();
        let read: Vec<(NaiveDate, usize)> = all
            .into_iter()
            .map(|day| (day, reads_of(day)))
            .filter(|(_, reads)| *reads > 0)
            .collect();
        let days: Vec<NaiveDate> = read.iter().map(|(day, _)| *day).collect();
        let files = folder
            .files(&days)
            .await
            .map_err(|error| engine_error(&error))?;
        for (files, (_, reads)) in files.iter().zip(&read) {
            estimate.files += files.count;
            let reads = u64::try_from(*reads).unwrap_or(u64::MAX);
            let bytes = files.bytes.saturating_mul(reads);
            estimate.bytes = estimate.bytes.saturating_add(bytes);
        }
        estimate.days.extend(days);
        Ok(())
    }

    /// A table's folder on S3: as the table has it, since that is what its queries read; if it has
    /// none, the folder that was named.
    pub(super) async fn folder(&self, file: &TableFile) -> Result<Folder, EngineError> {
        let name = file.name;
        let found = self.athena.find_table(name).await;
        let table = found.map_err(|error| engine_error(&error))?.ok_or_else(|| {
            EngineError::Usage(format!(
                "there is no table {name} in the database {}: run `ticksql init`, or pass --database",
                self.athena.database()
            ))
        })?;
        let named = self.settings.archive.as_deref().map(location).transpose()?;
        let at = match (table.location, named) {
            (Some(at), Some(named)) if file.name == ARCHIVE.name => {
                match other_archive(&at, &named) {
                    Some(how) => return Err(EngineError::Usage(how)),
                    None => at,
                }
            }
            (Some(at), _) => at,
            (None, Some(named)) => file.location(&named),
            (None, None) => {
                return Err(EngineError::Usage(format!(
                    "the table {name} does not say where its files are: pass --archive s3://BUCKET/PREFIX/"
                )));
            }
        };
        Ok(self.athena.folder(at))
    }
}

/// The file that creates a table.
pub(super) fn file_of(table: DayTable) -> &'static TableFile {
    match table {
        DayTable::Archive => &ARCHIVE,
        DayTable::Quarantine => &QUARANTINE,
        DayTable::Anomalies => &ANOMALIES,
    }
}

/// Reports if a folder that was named is not the one that the archive's table reads.
pub(crate) fn other_archive(of_table: &Location, named: &Location) -> Option<String> {
    let folder = |at: &Location| at.key.trim_end_matches('/').to_owned();
    let same = of_table.bucket == named.bucket && folder(of_table) == folder(named);
    (!same).then(|| {
        format!(
            "the table {} reads {of_table}, and --archive (TICKSQL_ARCHIVE) says {named}: omit it, \
             or pass the --database whose table reads that folder",
            ARCHIVE.name
        )
    })
}

/// Why it is not known how much a statement reads.
fn unknown(statement: &Statement, database: &str) -> Option<String> {
    let Some(others) = &statement.others else {
        return Some(
            "only Athena can parse this statement, so what it reads is unknown".to_owned(),
        );
    };
    let informs = |name: &&String| {
        let mut parts = name.split('.').rev().skip(1);
        parts.any(|part| part.trim_matches('"').eq_ignore_ascii_case(INFORMATION))
    };
    let others = others.iter().filter(|name| !informs(name)).cloned();
    let elsewhere = statement.scans.iter().filter(|scan| !is_of(database, scan));
    let elsewhere = elsewhere.map(|scan| {
        let database = scan.database.as_deref().unwrap_or_default();
        format!("{database}.{}", scan.table)
    });
    let names = others.chain(elsewhere).map(|name| format!("`{name}`"));
    let mut names: Vec<String> = names.collect();
    names.sort_unstable();
    names.dedup();
    (!names.is_empty()).then(|| format!("the size of {} is unknown", names.join(", ")))
}

fn is_of(database: &str, scan: &ArchiveScan) -> bool {
    let named = scan.database.as_deref();
    named.is_none_or(|named| named.eq_ignore_ascii_case(database))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::named::Query;

    fn at(text: &str) -> Location {
        Location::parse(text).unwrap()
    }

    #[test]
    fn another_folder_than_the_tables_is_reported() {
        let table = at("s3://a/price-archive/");
        assert_eq!(other_archive(&table, &at("s3://a/price-archive/")), None);
        assert_eq!(other_archive(&table, &at("s3://a/price-archive")), None);
        for other in ["s3://b/price-archive/", "s3://a/other/", "s3://a/"] {
            let message = other_archive(&table, &at(other)).unwrap();
            assert!(
                message.contains("s3://a/price-archive/") && message.contains(other),
                "{message}"
            );
        }
    }

    #[test]
    fn an_unknown_size_is_not_zero() {
        let check = |sql: &str, expected: Option<&str>| {
            let bound = Query::parse(sql).unwrap().bind(&[], 0).unwrap();
            let statement = Statement::of(&bound).unwrap();
            let found = unknown(&statement, "tickstream");
            assert_eq!(found.as_deref(), expected, "{sql}");
        };
        check("SELECT 1", None);
        check(
            "SELECT 1 FROM ticks, quarantine, Tickstream.price_history",
            None,
        );
        check("SELECT 1 FROM information_schema.tables", None);
        check(
            "SELECT 1 FROM awsdatacatalog.\"information_schema\".columns",
            None,
        );
        check(
            "SELECT 1 FROM other.big_table",
            Some("the size of `other.big_table` is unknown"),
        );
        check(
            "SELECT 1 FROM other.ticks JOIN mine USING (token) JOIN mine AS b USING (token)",
            Some("the size of `mine`, `other.ticks` is unknown"),
        );
        let bound = Query::parse("SELECT no SQL of ours").unwrap();
        let statement = Statement::unparsed(&bound.bind(&[], 0).unwrap());
        assert!(unknown(&statement, "tickstream").is_some());
    }
}
