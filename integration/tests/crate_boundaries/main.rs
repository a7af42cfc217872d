//! The boundaries between crates, from cargo's metadata, and the rules for files inside a crate.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod files;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde::Deserialize;

/// Which crates a crate of `shared/` may use. Binaries may use all of them, but no other binary,
/// except for the webhook's router, which `tickstream` serves too.
const ROOMS: [(&str, &[&str]); 11] = [
    ("domain", &[]),
    ("sources", &["domain"]),
    ("codec", &["domain"]),
    ("runtime", &[]),
    ("app", &["codec", "domain", "sources"]),
    ("archive", &["app", "codec", "domain"]),
    ("ops", &["app", "domain"]),
    ("store", &["app", "archive", "codec", "domain"]),
    ("query", &["archive", "codec", "domain"]),
    ("aws", &["app", "codec", "domain", "ops"]),
    ("testkit", &["app", "codec", "domain"]),
];

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    kind: Option<String>,
    path: Option<String>,
}

fn cargo(arguments: &[&str]) -> String {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .current_dir(root)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo {arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

fn packages() -> Vec<Package> {
    let text = cargo(&[
        "metadata",
        "--no-deps",
        "--format-version",
        "1",
        "--offline",
    ]);
    serde_json::from_str::<Metadata>(&text).unwrap().packages
}

/// The crates of the workspace that a package depends on, without dev-dependencies.
fn uses(package: &Package) -> BTreeSet<&str> {
    let built = package.dependencies.iter();
    built
        .filter(|dependency| dependency.path.is_some() && dependency.kind.is_none())
        .map(|dependency| dependency.name.as_str())
        .collect()
}

#[test]
fn dependencies_run_one_way() {
    let packages = packages();
    let rooms: BTreeMap<&str, BTreeSet<&str>> = ROOMS
        .into_iter()
        .map(|(room, may)| (room, may.iter().copied().collect()))
        .collect();
    let mut seen = BTreeSet::new();
    for package in &packages {
        let uses = uses(package);
        if package.manifest_path.contains("/shared/") {
            let may = rooms.get(package.name.as_str());
            let may =
                may.unwrap_or_else(|| panic!("{} is not in the table of crates", package.name));
            assert!(uses.is_subset(may), "{} uses {uses:?}", package.name);
            seen.insert(package.name.as_str());
        } else if package.manifest_path.contains("/bins/") {
            let binaries: Vec<_> = uses
                .iter()
                .filter(|name| !rooms.contains_key(*name))
                .collect();
            let allowed: &[&str] = match package.name.as_str() {
                "tickstream" => &["webhook"],
                _ => &[],
            };
            assert!(
                binaries.iter().all(|name| allowed.contains(name)),
                "{} uses {binaries:?}",
                package.name
            );
            assert!(
                !uses.contains("testkit"),
                "{} is built with test code",
                package.name
            );
        }
    }
    assert_eq!(
        seen.len(),
        ROOMS.len(),
        "every crate of the table exists: {seen:?}"
    );
}

#[test]
fn a_folder_is_named_as_its_crate() {
    for package in packages() {
        let folder = package.manifest_path.trim_end_matches("/Cargo.toml");
        assert!(folder.ends_with(&format!("/{}", package.name)), "{folder}");
    }
}

#[test]
fn only_adapters_depend_on_their_libraries() {
    for package in packages() {
        for dependency in package.dependencies.iter().filter(|d| d.kind.is_none()) {
            let (room, library) = (package.name.as_str(), dependency.name.as_str());
            let held = match library {
                "fjall" => room == "store",
                "datafusion" => room == "query",
                sdk if sdk.starts_with("aws-sdk-") => matches!(room, "aws" | "integration"),
                _ => true,
            };
            assert!(held, "{room} must not depend on {library}");
        }
    }
}

/// The crates that a package is built with, one per line in the given format of cargo.
fn tree(package: &str, format: &str) -> Vec<String> {
    let lines = cargo(&[
        "tree",
        "--offline",
        "--edges",
        "normal,build",
        "--prefix",
        "none",
        "--format",
        format,
        "--package",
        package,
    ]);
    let lines = lines.lines().map(|line| line.trim_end_matches(" (*)"));
    lines.map(str::to_owned).collect()
}

/// The features that a program's dependencies are built with.
fn features(program: &str) -> BTreeMap<String, String> {
    let lines = tree(program, "{p}|{f}");
    let pairs = lines.iter().filter_map(|line| line.split_once('|'));
    pairs
        .map(|(package, features)| (package.to_owned(), features.to_owned()))
        .collect()
}

/// `cargo run -p ticksql` after `cargo run` would compile DataFusion a second time, twenty
/// minutes of it, if any crate below it had other features.
#[test]
fn both_programs_that_use_datafusion_build_it_once() {
    let (tickstream, ticksql) = (features("tickstream"), features("ticksql"));
    assert!(
        ticksql
            .keys()
            .any(|package| package.starts_with("datafusion v"))
    );
    let below: BTreeSet<String> = tree("datafusion", "{p}").into_iter().collect();
    let mut compared = 0;
    for package in below {
        // What only one of them has is no reason to build the other's again.
        if let (Some(one), Some(other)) = (tickstream.get(&package), ticksql.get(&package)) {
            assert_eq!(one, other, "{package}");
            compared += 1;
        }
    }
    assert!(compared > 100, "{compared} crates stand below DataFusion");
}
