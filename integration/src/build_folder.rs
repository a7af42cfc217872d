//! Cargo's build folder, and a folder there for files that tests keep.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// The folder of the running test's profile, such as `target/debug`: programs are in it.
///
/// # Errors
///
/// The running program is not in a build folder of cargo.
pub fn profile() -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe().context("the running program has no path")?;
    let folder = program
        .parent()
        .context("the running program is in no folder")?;
    // Test programs are in the subfolder `deps`.
    let profile = if folder.ends_with("deps") {
        folder.parent()
    } else {
        Some(folder)
    };
    Ok(profile
        .context("the running program is not in cargo's folder")?
        .to_owned())
}

/// A folder beside the profile's, for files that tests create and keep: `target/integration`.
///
/// # Errors
///
/// See [`profile`]; or the folder cannot be created.
pub fn kept() -> anyhow::Result<PathBuf> {
    let profile = profile()?;
    let target = profile.parent().context("cargo's folder has no parent")?;
    let kept = target.join("integration");
    fs::create_dir_all(&kept).with_context(|| format!("cannot create {}", kept.display()))?;
    Ok(kept)
}

/// The checkout's root.
#[must_use]
pub fn checkout() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package)
}

/// Acquires a lock among all processes, which is released when the file is dropped.
///
/// # Errors
///
/// The lock's file cannot be created or locked.
pub fn lock(name: &str) -> anyhow::Result<File> {
    let path = kept()?.join(format!("{name}.lock"));
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .with_context(|| format!("cannot open {}", path.display()))?;
    file.lock()
        .with_context(|| format!("cannot lock {}", path.display()))?;
    Ok(file)
}
