//! Makes what queries on Athena need: workgroup, database, tables, views. What is there stays as it
//! is, but for the views, which hold no data and are always those of this program.

pub(crate) mod statements;

use std::io::Write;

use athena::catalog::{ENGINE, NewWorkgroup, Table};
use athena::error::AthenaError;
use athena::folder::Location;
use athena::{Athena, Query};
use clap::Args;

use crate::engine::athena::{failure, location, other_archive};
use crate::engine::{AthenaSettings, EngineError};
use crate::size::Size;
use statements::{ARCHIVE, ARCHIVE_FOLDER, QUARANTINE, RESULTS_FOLDER, TableFile, VIEWS};

/// What `ticksql init` takes besides workgroup, database and archive.
#[derive(Debug, Clone, Args)]
pub struct InitArgs {
    /// Where a new workgroup's answers go; without it, athena-results/ in the archive's bucket
    #[arg(long, value_name = "s3://BUCKET/PREFIX/")]
    pub results: Option<String>,

    /// What a query of a new workgroup may read
    #[arg(long, default_value = "10GiB", value_name = "SIZE")]
    pub scan_limit: Size,
}

/// Makes what is missing, and says of each thing whether it was there.
pub(crate) async fn run(
    args: &InitArgs,
    settings: &AthenaSettings,
    status: &mut (dyn Write + Send),
) -> Result<(), EngineError> {
    let athena = Athena::connect(&settings.workgroup, &settings.database)
        .await
        .map_err(|error| failure(&error))?;
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
    init.views().await?;
    init.say(
        "next",
        "ticksql run last_price    (`ticksql list` tells what else there is)",
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
    fn say(&mut self, what: &str, how: &str) {
        // Where standard error is closed, the exit code still tells.
        _ = writeln!(self.status, "{what:<10} {how}");
    }

    /// Refuses to go on where the archive that is named is not the one that queries would read.
    async fn compare(&self) -> Result<(), EngineError> {
        let Some(named) = &self.settings.archive else {
            return Ok(());
        };
        let named = location(named)?;
        let found = self.athena.find_table(ARCHIVE.name).await;
        let table = found.map_err(|error| failure(&error))?;
        let of_table = table.and_then(|table| table.location);
        match of_table.and_then(|of_table| other_archive(&of_table, &named)) {
            Some(how) => Err(EngineError::Usage(format!(
                "{how}; or drop the table, whose files stay, and run this again"
            ))),
            None => Ok(()),
        }
    }

    /// Answers where the answers of queries go.
    async fn workgroup(&mut self) -> Result<Option<Location>, EngineError> {
        let name = self.athena.workgroup().to_owned();
        let found = self.athena.find_workgroup().await;
        let Some(group) = found.map_err(|error| failure(&error))? else {
            let results = self.results()?;
            let group = NewWorkgroup {
                description: "SQL on the archive of ticks, with a limit on what a query may read"
                    .to_owned(),
                results: results.to_string(),
                scan_bytes_max: self.args.scan_limit.0,
            };
            let made = self.athena.create_workgroup(&group).await;
            made.map_err(|error| failure(&error))?;
            let limit = self.args.scan_limit;
            self.say(
                "workgroup",
                &format!("{name}: made; answers go to {results}, a query may read {limit}"),
            );
            return Ok(Some(results));
        };
        self.say("workgroup", &format!("{name}: was there"));
        if !group.is_enabled {
            self.say(
                "",
                "it is disabled: enable it, or give another by --workgroup",
            );
        }
        let Some(settings) = group.settings else {
            return Ok(None);
        };
        match &settings.results {
            Some(place) => self.say("", &format!("answers go to {place}")),
            None => self.say(
                "",
                "it has no place for answers: set its query result location",
            ),
        }
        let other = |engine: &String| engine != ENGINE && engine != "AUTO";
        if let Some(engine) = settings.engine.filter(other) {
            self.say(
                "",
                &format!("it runs {engine}; the queries are written for {ENGINE}"),
            );
        }
        Ok(settings.results.as_deref().and_then(Location::parse))
    }

    /// Where a new workgroup's answers go.
    fn results(&self) -> Result<Location, EngineError> {
        if let Some(text) = &self.args.results {
            return location(text);
        }
        let Some(archive) = &self.settings.archive else {
            return Err(EngineError::Usage(format!(
                "there is no workgroup {} yet, and nothing says where the archive is: deploy it \
                 (`just deploy infra`), or give --archive s3://BUCKET/{ARCHIVE_FOLDER}",
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
            .map_err(|error| failure(&error))?
        {
            self.say("database", &format!("{name}: was there"));
            return Ok(());
        }
        let query = Query {
            without_database: true,
            ..Query::new(statements::create_database(&name))
        };
        self.run(&query).await?;
        self.say("database", &format!("{name}: made"));
        Ok(())
    }

    async fn table(
        &mut self,
        file: &TableFile,
        results: Option<&Location>,
    ) -> Result<(), EngineError> {
        let name = file.name;
        let found = self.athena.find_table(name).await;
        if let Some(table) = found.map_err(|error| failure(&error))? {
            let at = table.location.as_ref();
            let over = at.map_or_else(String::new, |at| format!(", over {at}"));
            self.say("table", &format!("{name}: was there{over}"));
            let missing = missing(&table, file);
            if !missing.is_empty() {
                self.say(
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
        self.say("table", &format!("{name}: made, over {at}"));
        Ok(())
    }

    /// Where the archive is: as it was named, as its table has it, or beside the answers where those
    /// lie as the stack lays them.
    async fn archive(&self, results: Option<&Location>) -> Result<Location, EngineError> {
        if let Some(text) = &self.settings.archive {
            return location(text);
        }
        let table = self.athena.find_table(ARCHIVE.name).await;
        let of_table = table
            .map_err(|error| failure(&error))?
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
                "nothing says where the archive is: give --archive s3://BUCKET/{ARCHIVE_FOLDER}"
            ))
        })
    }

    async fn views(&mut self) -> Result<(), EngineError> {
        for view in &VIEWS {
            let name = view.name;
            if self.athena.is_emulated() {
                let how = "left out: this service keeps no views, so queries bring them along";
                self.say("view", &format!("{name}: {how}"));
                continue;
            }
            let found = self.athena.find_table(name).await;
            let was_there = found.map_err(|error| failure(&error))?.is_some();
            self.run(&Query::new(view.statement())).await?;
            let how = if was_there {
                "was there, made anew"
            } else {
                "made"
            };
            self.say("view", &format!("{name}: {how}"));
        }
        Ok(())
    }

    async fn run(&self, query: &Query) -> Result<(), EngineError> {
        let told = |error: AthenaError| failure(&error);
        self.athena.run(query).await.map_err(told)?;
        Ok(())
    }
}

/// The columns that a table should have and does not.
fn missing<'a>(table: &Table, file: &'a TableFile) -> Vec<&'a str> {
    let has = |name: &&str| table.columns.iter().any(|(known, _)| known == name);
    file.columns().filter(|name| !has(name)).collect()
}
