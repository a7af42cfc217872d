//! Selects and opens the engine.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;

use query::{Limits, LocalSql};

use crate::cli_error::CliError;
use crate::engine::Engine;
use crate::engine::local::Local;
use crate::journal::Journal;
use crate::options::{EngineName, Options};

/// The default data folder.
const DATA_DIR: &str = "./data";

/// Memory of a local query if the machine's size is unknown.
const MEMORY_BYTES: u64 = 1024 * 1024 * 1024;

/// Bytes of temporary files that a local query may write if its memory is not enough.
const SPILL_BYTES_MAX: u64 = 100 * 1024 * 1024 * 1024;

/// Rows of a batch: this program does nothing else.
const BATCH_ROWS: usize = 16_384;

/// An engine, and why it was selected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Selection {
    pub(crate) engine: EngineName,
    pub(crate) reason: String,
    /// How to select the other one, if it might be meant.
    pub(crate) other: String,
}

impl Selection {
    /// The selection in a line, with the region, if there is one.
    pub(crate) fn message(&self, region: Option<&str>) -> String {
        let Self {
            engine,
            reason,
            other,
        } = self;
        let region = region.map_or_else(String::new, |region| format!(", region {region}"));
        format!("engine {engine}: {reason}{region}{other}")
    }
}

/// The engine that was named, or the default.
pub(crate) fn engine(options: &Options) -> Selection {
    let data_dir = data_dir(options);
    let folder = data_dir.display();
    let local = |other: &str| Selection {
        engine: EngineName::Local,
        reason: format!("data folder {folder}"),
        other: other.to_owned(),
    };
    let athena = |other: String| Selection {
        engine: EngineName::Athena,
        reason: of_athena(options),
        other,
    };
    let names_aws = options.environment.names_aws();
    match options.engine {
        Some(EngineName::Local) => local(""),
        Some(EngineName::Athena) => athena(String::new()),
        None if options.data_dir.is_some() || !cfg!(feature = "aws") => local(""),
        None if LocalSql::has_archive(&data_dir) => match names_aws {
            true => athena(format!(
                "; pass --engine local for the data folder {folder}"
            )),
            false => local("; pass --engine athena for Athena"),
        },
        None if names_aws || has_aws_files(options) => athena(String::new()),
        None => local(""),
    }
}

#[cfg(feature = "aws")]
fn of_athena(options: &Options) -> String {
    let settings = &options.athena;
    format!(
        "workgroup {}, database {}",
        settings.workgroup, settings.database
    )
}

#[cfg(not(feature = "aws"))]
fn of_athena(_options: &Options) -> String {
    String::new()
}

/// Whether this user has set up AWS for all programs.
fn has_aws_files(options: &Options) -> bool {
    let home = options.environment.home.as_ref();
    home.map(|home| home.join(".aws")).is_some_and(|folder| {
        ["config", "credentials"]
            .iter()
            .any(|name| folder.join(name).is_file())
    })
}

fn data_dir(options: &Options) -> PathBuf {
    options
        .data_dir
        .clone()
        .unwrap_or_else(|| PathBuf::from(DATA_DIR))
}

/// Opens an engine. `rows_max` is the most that will be read of an answer.
pub(crate) async fn open(
    engine: EngineName,
    options: &Options,
    rows_max: Option<usize>,
) -> Result<Box<dyn Engine>, CliError> {
    match engine {
        EngineName::Local => {
            let limits = limits(options, rows_max);
            let engine = Local::open(&data_dir(options), limits, journal(options)).await?;
            Ok(Box::new(engine))
        }
        EngineName::Athena => athena(options).await,
    }
}

#[cfg(feature = "aws")]
async fn athena(options: &Options) -> Result<Box<dyn Engine>, CliError> {
    Ok(crate::engine::athena::open(&options.athena).await?)
}

#[cfg(not(feature = "aws"))]
async fn athena(_options: &Options) -> Result<Box<dyn Engine>, CliError> {
    Err(CliError::Usage(
        "this ticksql was built without Athena: build it with the feature `aws`, or pass --engine local".to_owned(),
    ))
}

/// The queries that ran here before.
pub(crate) fn journal(options: &Options) -> Option<Journal> {
    options.environment.state_folder().map(Journal::below)
}

fn limits(options: &Options, rows_max: Option<usize>) -> Limits {
    let memory = options.memory.map_or_else(memory_bytes, |size| size.0);
    Limits {
        rows_max: rows_max.unwrap_or(usize::MAX),
        // `stop` enforces the timeout for both engines.
        memory_bytes_max: usize::try_from(memory).unwrap_or(usize::MAX),
        spill_bytes_max: SPILL_BYTES_MAX,
        batch_rows: BATCH_ROWS,
        threads: available_parallelism().map_or(1, std::num::NonZero::get),
    }
}

/// Half of the machine's memory, or of what this process may use.
fn memory_bytes() -> u64 {
    let read = |path: &str| fs::read_to_string(Path::new(path)).ok();
    let machine = read("/proc/meminfo").and_then(|text| {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("MemTotal:"))?;
        let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
        kilobytes.checked_mul(1024)
    });
    let allowed: Option<u64> =
        read("/sys/fs/cgroup/memory.max").and_then(|text| text.trim().parse().ok());
    let bytes = [machine, allowed].into_iter().flatten().min();
    bytes.map_or(MEMORY_BYTES, |bytes| bytes / 2)
}
