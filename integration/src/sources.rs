//! The sources of a program of the workspace, according to the manifests.
//!
//! Cargo only writes such a list for a program that is built by name, not for one that is built
//! with tests: in a fresh build folder there is none.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::SystemTime;

use anyhow::{Context as _, anyhow, ensure};
use serde::Deserialize;

use crate::build_folder;

/// The name of modules that are only built for tests, as a file or as a folder.
const TESTS: &str = "tests";

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
    manifest_path: PathBuf,
}

#[derive(Deserialize)]
struct Dependency {
    /// `dev`, `build`, or nothing for normal dependencies.
    kind: Option<String>,
    path: Option<PathBuf>,
}

/// A package of the workspace.
struct WorkspacePackage {
    folder: PathBuf,
    /// The folders of its dependencies in the workspace.
    dependencies: Vec<PathBuf>,
}

type WorkspacePackages = BTreeMap<String, WorkspacePackage>;

/// The first source of a program that was changed after a time.
///
/// # Errors
///
/// No package of the workspace has the program's name, cargo fails, or a source cannot be read.
pub fn newer_than(built: SystemTime, program: &str) -> anyhow::Result<Option<PathBuf>> {
    for source in of(program)? {
        let changed = fs::metadata(&source).and_then(|metadata| metadata.modified());
        if changed.with_context(|| format!("cannot read {}", source.display()))? > built {
            return Ok(Some(source));
        }
    }
    Ok(None)
}

/// The Rust files of a program, without those of its tests, sorted.
///
/// # Errors
///
/// See [`newer_than`].
pub fn of(program: &str) -> anyhow::Result<BTreeSet<PathBuf>> {
    let packages = packages()?;
    let first = packages
        .get(program)
        .with_context(|| format!("no package of the workspace is named {program}"))?;
    let mut seen = BTreeSet::new();
    let mut open = vec![&first.folder];
    while let Some(folder) = open.pop() {
        if seen.insert(folder)
            && let Some(package) = packages.values().find(|package| &package.folder == folder)
        {
            open.extend(&package.dependencies);
        }
    }
    let mut sources = BTreeSet::new();
    for folder in seen {
        gather(&folder.join("src"), &mut sources)?;
    }
    Ok(sources)
}

fn gather(folder: &Path, sources: &mut BTreeSet<PathBuf>) -> anyhow::Result<()> {
    let unreadable = || format!("cannot read {}", folder.display());
    for entry in fs::read_dir(folder).with_context(unreadable)? {
        let path = entry.with_context(unreadable)?.path();
        if path.file_stem() == Some(OsStr::new(TESTS)) {
            continue;
        }
        if path.is_dir() {
            gather(&path, sources)?;
        } else if path.extension() == Some(OsStr::new("rs")) {
            sources.insert(path);
        }
    }
    Ok(())
}

/// The packages of the workspace by name, read once.
fn packages() -> anyhow::Result<&'static WorkspacePackages> {
    static PACKAGES: OnceLock<Result<WorkspacePackages, String>> = OnceLock::new();
    let packages = PACKAGES.get_or_init(|| read_packages().map_err(|error| format!("{error:#}")));
    packages.as_ref().map_err(|error| anyhow!("{error}"))
}

fn read_packages() -> anyhow::Result<WorkspacePackages> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .current_dir(build_folder::checkout())
        .output()
        .context("cannot run cargo")?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "cargo metadata: {stderr}");
    let metadata: Metadata = serde_json::from_slice(&output.stdout)?;
    let package = |package: Package| {
        let dependencies = package.dependencies.into_iter();
        let dependencies =
            dependencies.filter(|dependency| dependency.kind.as_deref() != Some("dev"));
        let dependencies = dependencies
            .filter_map(|dependency| dependency.path)
            .collect();
        let folder = package.manifest_path.parent().map(Path::to_owned)?;
        Some((
            package.name,
            WorkspacePackage {
                folder,
                dependencies,
            },
        ))
    };
    Ok(metadata.packages.into_iter().filter_map(package).collect())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn relative(program: &str) -> BTreeSet<String> {
        let sources = of(program).unwrap();
        let root = build_folder::checkout();
        let relative = sources.iter().map(|source| source.strip_prefix(root));
        relative
            .map(|source| source.unwrap().to_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn sources_include_all_dependencies_but_no_tests() {
        let sources = relative("webhook");
        for source in [
            "bins/webhook/src/main.rs",
            "shared/aws/src/kinesis.rs",
            "shared/domain/src/lib.rs",
        ] {
            assert!(sources.contains(source), "{source}: {sources:?}");
        }
        for source in &sources {
            let other = [
                "/tests",
                "shared/testkit/",
                "shared/store/",
                "bins/tickctl/",
            ];
            assert!(!other.iter().any(|part| source.contains(part)), "{source}");
        }
    }

    #[test]
    fn a_source_that_changed_after_a_time_is_found() {
        let changed = of("redrive")
            .unwrap()
            .iter()
            .map(|source| fs::metadata(source).unwrap().modified().unwrap())
            .max()
            .unwrap();
        assert_eq!(newer_than(changed, "redrive").unwrap(), None);
        let before = changed - Duration::from_millis(1);
        assert!(newer_than(before, "redrive").unwrap().is_some());
    }

    #[test]
    fn a_program_of_another_workspace_is_an_error_that_names_it() {
        let error = of("no-such-program").unwrap_err();
        assert!(error.to_string().contains("no-such-program"), "{error}");
    }

    /// Otherwise a changed test would make a program look outdated although cargo does not rebuild it.
    #[test]
    fn test_only_modules_are_named_tests() {
        for program in packages().unwrap().keys() {
            for source in of(program).unwrap() {
                let text = fs::read_to_string(&source).unwrap();
                for (_, after) in text
                    .match_indices("#[cfg(test)]")
                    .map(|(at, mark)| text.split_at(at + mark.len()))
                {
                    let declared = after.trim_start().lines().next().unwrap_or_default();
                    let module = declared
                        .strip_suffix(';')
                        .and_then(|line| line.rsplit_once("mod "));
                    if let Some((_, name)) = module {
                        assert_eq!(name, TESTS, "{}", source.display());
                    }
                }
            }
        }
    }
}
