//! The workgroup, the database, and its tables and views.

use aws_sdk_athena::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_athena::types::{
    Column, EncryptionConfiguration, EncryptionOption, EngineVersion, ResultConfiguration,
    TableMetadata, WorkGroupConfiguration, WorkGroupState,
};

use super::error::{self, AthenaError};
use super::folder::{Folder, Location};
use super::{Athena, CATALOG};
use aws_client::error::CallError;

/// The engine version that the statements are written for.
pub const ENGINE: &str = "Athena engine version 3";

/// The start of the partitions in a `storage.location.template`.
const PARTITIONS_BEGIN: &str = "year=";

/// An existing workgroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workgroup {
    /// Whether it accepts queries.
    pub is_enabled: bool,
    /// The settings for its queries; `None` if the service's response cannot be read.
    pub settings: Option<WorkgroupSettings>,
}

/// The settings for the queries of a workgroup.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WorkgroupSettings {
    /// The location for results: `s3://BUCKET/PREFIX/`.
    pub results: Option<String>,
    /// The engine version, if the service reports it.
    pub engine: Option<String>,
    /// The most bytes that a query may read.
    pub scan_bytes_max: Option<u64>,
}

/// A workgroup to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewWorkgroup {
    /// Its description.
    pub description: String,
    /// The location for results: `s3://BUCKET/PREFIX/`.
    pub results: String,
    /// The most bytes that a query may read; the service requires at least 10 MB.
    pub scan_bytes_max: u64,
}

/// A table or view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// Whether it is a view.
    pub is_view: bool,
    /// Name and type of each column; partition columns are last.
    pub columns: Vec<(String, String)>,
    /// The folder of its files, if the catalogue names it.
    pub location: Option<Location>,
}

impl Athena {
    /// The workgroup, or `None` if it does not exist.
    ///
    /// # Errors
    /// [`AthenaError`].
    pub async fn find_workgroup(&self) -> Result<Option<Workgroup>, AthenaError> {
        let found = self.client.get_work_group().work_group(&self.workgroup);
        let group = match found.send().await {
            Ok(found) => found.work_group,
            Err(error) => {
                let error = error::of_workgroup(&error, &self.workgroup, &self.region);
                if let AthenaError::NoWorkgroup { .. } = error {
                    return Ok(None);
                }
                if let AthenaError::Call(CallError::Unreadable(_)) = error {
                    // It exists: emulators return a stack's numbers as texts.
                    return Ok(Some(Workgroup {
                        is_enabled: true,
                        settings: None,
                    }));
                }
                return Err(error);
            }
        };
        Ok(group.map(|group| Workgroup {
            is_enabled: group.state() != Some(&WorkGroupState::Disabled),
            settings: group.configuration().map(settings_of),
        }))
    }

    /// Creates the workgroup, with settings that clients cannot override.
    ///
    /// # Errors
    /// [`AthenaError`].
    pub async fn create_workgroup(&self, group: &NewWorkgroup) -> Result<(), AthenaError> {
        let encryption = EncryptionConfiguration::builder()
            .encryption_option(EncryptionOption::SseS3)
            .build()
            .map_err(|error| AthenaError::Unreadable(error.to_string()))?;
        let results = ResultConfiguration::builder()
            .output_location(&group.results)
            .encryption_configuration(encryption);
        let engine = EngineVersion::builder().selected_engine_version(ENGINE);
        let settings = WorkGroupConfiguration::builder()
            .enforce_work_group_configuration(true)
            .publish_cloud_watch_metrics_enabled(true)
            .bytes_scanned_cutoff_per_query(i64::try_from(group.scan_bytes_max).unwrap_or(i64::MAX))
            .engine_version(engine.build())
            .result_configuration(results.build());
        let created = self
            .client
            .create_work_group()
            .name(&self.workgroup)
            .description(&group.description)
            .configuration(settings.build());
        match created.send().await {
            Ok(_) => Ok(()),
            Err(error) => Err(error::of_call(&error)),
        }
    }

    /// Whether the database exists.
    ///
    /// # Errors
    /// [`AthenaError`].
    pub async fn has_database(&self) -> Result<bool, AthenaError> {
        let found = self
            .client
            .get_database()
            .catalog_name(CATALOG)
            .database_name(&self.database);
        found_or_absent(found.send().await).map(|found| found.is_some())
    }

    /// A table or view of the database, or `None` if it or the database does not exist.
    ///
    /// # Errors
    /// [`AthenaError`].
    pub async fn find_table(&self, name: &str) -> Result<Option<Table>, AthenaError> {
        let found = self
            .client
            .get_table_metadata()
            .catalog_name(CATALOG)
            .database_name(&self.database)
            .table_name(name);
        let found = found_or_absent(found.send().await)?;
        let table = found.and_then(|found| found.table_metadata);
        // Some emulators return an empty table instead of an error.
        Ok(table
            .map(|table| table_of(&table))
            .filter(|table| !table.columns.is_empty()))
    }

    /// The tables and views of the database, by name.
    ///
    /// # Errors
    /// [`AthenaError`].
    pub async fn tables(&self) -> Result<Vec<Table>, AthenaError> {
        let mut pages = self
            .client
            .list_table_metadata()
            .catalog_name(CATALOG)
            .database_name(&self.database)
            .into_paginator()
            .send();
        let mut tables = Vec::new();
        while let Some(page) = pages.next().await {
            match found_or_absent(page)? {
                Some(page) => tables.extend(page.table_metadata_list().iter().map(table_of)),
                None => break,
            }
        }
        tables.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(tables)
    }

    /// A folder with the archive's layout.
    #[must_use]
    pub fn folder(&self, location: Location) -> Folder {
        Folder::new(&self.s3, location)
    }
}

fn settings_of(settings: &WorkGroupConfiguration) -> WorkgroupSettings {
    let results = settings.result_configuration();
    let engine = settings.engine_version().and_then(|engine| {
        let running = engine.effective_engine_version();
        running.or(engine.selected_engine_version())
    });
    let limit = settings.bytes_scanned_cutoff_per_query();
    WorkgroupSettings {
        results: results
            .and_then(|results| results.output_location())
            .map(str::to_owned),
        engine: engine.map(str::to_owned),
        scan_bytes_max: limit.and_then(|bytes| u64::try_from(bytes).ok()),
    }
}

/// The result of a lookup in the catalogue; `None` for an unknown name.
fn found_or_absent<T, E>(
    found: Result<T, SdkError<E, aws_sdk_athena::config::http::HttpResponse>>,
) -> Result<Option<T>, AthenaError>
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
{
    let error = match found {
        Ok(found) => return Ok(Some(found)),
        Err(error) => error::of_call(&error),
    };
    if let AthenaError::Call(CallError::Refused { code, message, .. }) = &error
        && is_absence(code, message)
    {
        return Ok(None);
    }
    Err(error)
}

/// Whether an error means an unknown name: the catalogue's errors share one code, and differ in the message.
fn is_absence(code: &str, message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    let said = ["entitynotfound", "not found", "does not exist"]
        .iter()
        .any(|part| message.contains(part));
    code == "EntityNotFoundException" || (code == "MetadataException" && said)
}

fn table_of(table: &TableMetadata) -> Table {
    let column = |column: &Column| {
        let kind = column.r#type().unwrap_or("unknown");
        (column.name().to_owned(), kind.to_owned())
    };
    let columns = table.columns().iter().chain(table.partition_keys());
    let property = |name: &str| table.parameters().and_then(|all| all.get(name));
    // A table without a location has one in its partitions' template.
    let template = property("storage.location.template")
        .and_then(|text| text.split_once(PARTITIONS_BEGIN))
        .map(|(folder, _)| folder.to_owned());
    let location = property("location").cloned().or(template);
    Table {
        name: table.name().to_owned(),
        is_view: table.table_type() == Some("VIRTUAL_VIEW"),
        columns: columns.map(column).collect(),
        location: location.and_then(|text| {
            let slash = if text.ends_with('/') { "" } else { "/" };
            Location::parse(&format!("{text}{slash}"))
        }),
    }
}
