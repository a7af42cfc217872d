//! Our functions as they are deployed: the programs built by cargo, stripped and zipped as
//! `bootstrap`. They are debug builds, like the tests; the same sources give the same zip.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail, ensure};
use sha2::{Digest as _, Sha256};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use crate::{build_folder, sources};

/// The functions, by the names of their programs.
pub const FUNCTIONS: [&str; 6] = [
    "webhook",
    "analytics",
    "broadcast",
    "redrive",
    "scaler",
    "compaction",
];

/// The command that builds the programs with the same features as the tests.
const BUILT_BY: &str = "`cargo test --workspace --no-run` builds it";

/// A folder with `webhook.zip`, `analytics.zip`, …
#[derive(Debug, Clone)]
pub struct Zips {
    folder: PathBuf,
    version: String,
}

impl Zips {
    /// The folder of the zips.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A function's zip.
    #[must_use]
    pub fn zip(&self, function: &str) -> PathBuf {
        self.folder.join(format!("{function}.zip"))
    }

    /// The version of the code: 12 hex digits of the hash of all zips.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }
}

impl AsRef<OsStr> for Zips {
    fn as_ref(&self) -> &OsStr {
        self.folder.as_os_str()
    }
}

/// A program that cargo built together with the running test: a function, or `tickctl`.
///
/// # Errors
///
/// It is missing, or older than one of its sources; the error says how to build it.
pub fn program(name: &str) -> anyhow::Result<PathBuf> {
    let program = build_folder::profile()?.join(name);
    let built = fs::metadata(&program).and_then(|metadata| metadata.modified());
    let Ok(built) = built else {
        bail!("{} is missing: {BUILT_BY}", program.display());
    };
    if let Some(source) = sources::newer_than(built, name)? {
        bail!(
            "{} is older than {}: {BUILT_BY}",
            program.display(),
            source.display()
        );
    }
    Ok(program)
}

/// Zips of all functions, recreated if a program is newer than its zip. This blocks.
///
/// # Errors
///
/// See [`program`]; or a file cannot be written.
pub fn zips() -> anyhow::Result<Zips> {
    let profile = build_folder::profile()?;
    let name = profile.file_name().context("cargo's folder has no name")?;
    let folder = build_folder::kept()?.join("bootstraps").join(name);
    fs::create_dir_all(&folder)?;
    let _lock = build_folder::lock("bootstraps")?;
    let mut all = Sha256::new();
    for function in FUNCTIONS {
        let program = program(function)?;
        let zip = folder.join(format!("{function}.zip"));
        if !is_newer(&zip, &program)? {
            pack(&program, &zip).with_context(|| format!("cannot create {}", zip.display()))?;
        }
        all.update(Sha256::digest(fs::read(&zip)?));
    }
    let version = all.finalize();
    let version = version
        .iter()
        .take(6)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Ok(Zips { folder, version })
}

fn is_newer(zip: &Path, program: &Path) -> anyhow::Result<bool> {
    let Ok(zipped) = fs::metadata(zip).and_then(|metadata| metadata.modified()) else {
        return Ok(false);
    };
    Ok(zipped > fs::metadata(program)?.modified()?)
}

fn pack(program: &Path, zip: &Path) -> anyhow::Result<()> {
    let scratch = tempfile::tempdir()?;
    let stripped = scratch.path().join("bootstrap");
    let strip = Command::new("strip")
        .arg("-o")
        .arg(&stripped)
        .arg(program)
        .output();
    // Without stripping, only the zip is larger.
    if !strip.is_ok_and(|output| output.status.success()) {
        fs::copy(program, &stripped)?;
    }
    let bytes = fs::read(&stripped)?;
    let beside = tempfile::NamedTempFile::new_in(zip.parent().context("a zip is in a folder")?)?;
    write_zip(beside.as_file(), &bytes)?;
    beside.persist(zip).map_err(|error| error.error)?;
    Ok(())
}

fn write_zip(file: &File, bootstrap: &[u8]) -> anyhow::Result<()> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(1))
        .last_modified_time(DateTime::default())
        .unix_permissions(0o755);
    let mut zip = ZipWriter::new(io::BufWriter::new(file));
    zip.start_file("bootstrap", options)?;
    zip.write_all(bootstrap)?;
    let mut file = zip.finish()?;
    file.flush()?;
    ensure!(!bootstrap.is_empty(), "the program is empty");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zip_has_one_executable_named_bootstrap_and_is_the_same_each_time() {
        let zip = || {
            let mut file = tempfile::tempfile().unwrap();
            write_zip(&file, b"a program").unwrap();
            let mut bytes = Vec::new();
            io::Seek::rewind(&mut file).unwrap();
            io::Read::read_to_end(&mut file, &mut bytes).unwrap();
            bytes
        };
        let bytes = zip();
        assert_eq!(bytes, zip());
        let mut archive = zip::ZipArchive::new(io::Cursor::new(bytes)).unwrap();
        assert_eq!(archive.len(), 1);
        let entry = archive.by_name("bootstrap").unwrap();
        assert_eq!(entry.unix_mode().map(|mode| mode & 0o777), Some(0o755));
    }

    #[test]
    fn a_program_that_was_not_built_is_an_error_that_says_what_builds_it() {
        let error = program("no-such-program").unwrap_err();
        assert!(
            error
                .to_string()
                .contains("cargo test --workspace --no-run"),
            "{error}"
        );
    }
}
