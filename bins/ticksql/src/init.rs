//! Creates what queries on Athena need: workgroup, database, tables, views. What exists stays as it is,
//! except the views, which hold no data and are always replaced by those of this program.

use std::io::Write;

use athena::catalog::{ENGINE, NewWorkgroup, Table};
use athena::error::AthenaError;
use athena::folder::Location;
use athena::{Athena, Query};

use crate::ddl::{self, ANOMALIES, ARCHIVE, ARCHIVE_FOLDER, QUARANTINE, RESULTS_FOLDER, TableFile};
use crate::engine::EngineError;
use crate::engine::athena::{engine_error, location, other_archive};
use crate::options::{AthenaSettings, InitArgs};

/// Creates what is missing, and reports for each thing whether it existed.
pub(crate) async fn run(
    args: &InitArgs,
    settings: &AthenaSettings,
    status: &mut (dyn Write + Send),
) -> Result<(), EngineError> {
    let athena = Athena::connect(&settings.workgroup, &settings.database)
        .await
        .map_err(|error| engine_error(&error))?;
    let mut init = Init {
        athena,
        args,
        settings,
        status,
    };
    init.compare().await?;
    let group = init.workgroup().await?;
    init.database().await?;
    init.table(&ARCHIVE, group.as_ref()).await?;
    init.table(&QUARANTINE, group.as_ref()).await?;
    init.table(&ANOMALIES, group.as_ref()).await?;
    init.views().await?;
    init.report(
        "next",
        "ticksql run last_price    (`ticksql list` shows the other queries)",
    );
    Ok(())
}

struct Init<'a> {
    athena: Athena,
    args: &'a InitArgs,
    settings: &'a AthenaSettings,
    status: &'a mut (dyn Write + Send),
}

impl Init<'_> {
    fn report(&mut self, what: &str, how: &str) {
        // If standard error is closed, the exit code still reports it.
        _ = writeln!(self.status, "{what:<10} {how}");
    }

    /// Refuses to continue if the named archive is not the one that queries would read.
    async fn compare(&self) -> Result<(), EngineError> {
        let Some(named) = &self.settings.archive else {
            return Ok(());
        };
        let named = location(named)?;
        let found = self.athena.find_table(ARCHIVE.name).await;
        let table = found.map_err(|error| engine_error(&error))?;
        let of_table = table.and_then(|table| table.location);
        match of_table.and_then(|of_table| other_archive(&of_table, &named)) {
            Some(how) => Err(EngineError::Usage(format!(
                "{how}; or drop the table, whose files stay, and run this again"
            ))),
            None => Ok(()),
        }
    }

    /// Returns where the results of queries go.
    async fn workgroup(&mut self) -> Result<Option<Location>, EngineError> {
        let name = self.athena.workgroup().to_owned();
        let found = self.athena.find_workgroup().await;
        let Some(group) = found.map_err(|error| engine_error(&error))? else {
            let results = self.results()?;
            let group = NewWorkgroup {
                description: "SQL on the archive of ticks, with a limit on what a query may read"
                    .to_owned(),
                results: results.to_string(),
                scan_bytes_max: self.args.scan_limit.0,
            };
            let created = self.athena.create_workgroup(&group).await;
            created.map_err(|error| engine_error(&error))?;
            let limit = self.args.scan_limit;
            self.report(
                "workgroup",
                &format!("{name}: created; results go to {results}, a query may read {limit}"),
            );
            return Ok(Some(results));
        };
        self.report("workgroup", &format!("{name}: exists"));
        if !group.is_enabled {
            self.report("", "it is disabled: enable it, or pass another --workgroup");
        }
        let Some(settings) = group.settings else {
            return Ok(None);
        };
        match &settings.results {
            Some(location) => self.report("", &format!("results go to {location}")),
            None => self.report("", "it has no query result location: set one"),
        }
        let other = |engine: &String| engine != ENGINE && engine != "AUTO";
        if let Some(engine) = settings.engine.filter(other) {
            self.report(
                "",
                &format!("it runs {engine}; the queries are written for {ENGINE}"),
            );
        }
        Ok(settings.results.as_deref().and_then(Location::parse))
    }

    /// Where the results of a new workgroup go.
    fn results(&self) -> Result<Location, EngineError> {
        if let Some(text) = &self.args.results {
            return location(text);
        }
        let Some(archive) = &self.settings.archive else {
            return Err(EngineError::Usage(format!(
                "there is no workgroup {} yet, and the archive's folder is unknown: deploy the stack \
                 (`just deploy infra`), or pass --archive s3://BUCKET/{ARCHIVE_FOLDER}",
                self.athena.workgroup()
            )));
        };
        Ok(Location {
            key: RESULTS_FOLDER.to_owned(),
            ..location(archive)?
        })
    }

    async fn database(&mut self) -> Result<(), EngineError> {
        let name = self.athena.database().to_owned();
        if self
            .athena
            .has_database()
            .await
            .map_err(|error| engine_error(&error))?
        {
            self.report("database", &format!("{name}: exists"));
            return Ok(());
        }
        let query = Query {
            without_database: true,
            ..Query::new(ddl::create_database(&name))
        };
        self.run(&query).await?;
        self.report("database", &format!("{name}: created"));
        Ok(())
    }

    async fn table(
        &mut self,
        file: &TableFile,
        results: Option<&Location>,
    ) -> Result<(), EngineError> {
        let name = file.name;
        let found = self.athena.find_table(name).await;
        if let Some(table) = found.map_err(|error| engine_error(&error))? {
            let at = table.location.as_ref();
            let over = at.map_or_else(String::new, |at| format!(", over {at}"));
            self.report("table", &format!("{name}: exists{over}"));
            let missing = missing(&table, file);
            if !missing.is_empty() {
                self.report(
                    "",
                    &format!(
                        "it lacks {}: deploy the stack again, or `ALTER TABLE {name} ADD COLUMNS`",
                        missing.join(", ")
                    ),
                );
            }
            return Ok(());
        }
        let folder = self.archive(results).await?;
        let sql = file.statement(&folder);
        self.run(&Query::new(sql)).await?;
        let at = file.location(&folder);
        self.report("table", &format!("{name}: created, over {at}"));
        Ok(())
    }

    /// Where the archive is: as passed, as in its table, or beside the results if those are where
    /// the stack puts them.
    async fn archive(&self, results: Option<&Location>) -> Result<Location, EngineError> {
        if let Some(text) = &self.settings.archive {
            return location(text);
        }
        let table = self.athena.find_table(ARCHIVE.name).await;
        let of_table = table
            .map_err(|error| engine_error(&error))?
            .and_then(|table| table.location);
        let beside = || {
            let results = results.filter(|results| results.key == RESULTS_FOLDER)?;
            Some(Location {
                key: ARCHIVE_FOLDER.to_owned(),
                ..results.clone()
            })
        };
        of_table.or_else(beside).ok_or_else(|| {
            EngineError::Usage(format!(
                "the archive's folder is unknown: pass --archive s3://BUCKET/{ARCHIVE_FOLDER}"
            ))
        })
    }

    async fn views(&mut self) -> Result<(), EngineError> {
        for view in &query::VIEWS {
            let name = view.name;
            if self.athena.is_emulated() {
                let how = "omitted: this service keeps no views, so they are sent with each query";
                self.report("view", &format!("{name}: {how}"));
                continue;
            }
            let found = self.athena.find_table(name).await;
            let was_there = found.map_err(|error| engine_error(&error))?.is_some();
            self.run(&Query::new(ddl::create_view(view))).await?;
            let how = if was_there {
                "exists, replaced"
            } else {
                "created"
            };
            self.report("view", &format!("{name}: {how}"));
        }
        Ok(())
    }

    async fn run(&self, query: &Query) -> Result<(), EngineError> {
        let converted = |error: AthenaError| engine_error(&error);
        self.athena.run(query).await.map_err(converted)?;
        Ok(())
    }
}

/// The columns that a table should have and does not.
fn missing<'a>(table: &Table, file: &'a TableFile) -> Vec<&'a str> {
    let has = |name: &&str| table.columns.iter().any(|(known, _)| known == name);
    file.columns().filter(|name| !has(name)).collect()
}
