//! The boundaries between crates, from cargo's metadata, and the rules for files inside a crate.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod documents;
mod files;
mod module_graph;
mod use_tree;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde::Deserialize;

/// The crates that each crate of `shared/` may depend on. Binaries may depend on all of them, but not on
/// other binaries, except for the webhook's router, which `tickstream` also serves.
const ALLOWED_DEPENDENCIES: [(&str, &[&str]); 14] = [
    ("domain", &[]),
    ("sources", &["domain"]),
    ("codec", &["domain"]),
    ("runtime", &[]),
    ("app", &["codec", "domain", "sources"]),
    ("archive", &["app", "codec", "domain"]),
    ("ops", &["app", "domain"]),
    ("store", &["app", "archive", "codec", "domain", "ops"]),
    ("query", &["archive", "codec", "domain"]),
    ("aws-client", &["app"]),
    ("aws", &["app", "aws-client", "codec", "domain", "ops"]),
    ("athena", &["aws-client"]),
    ("workspace-hack", &[]),
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
    let table: BTreeMap<&str, BTreeSet<&str>> = ALLOWED_DEPENDENCIES
        .into_iter()
        .map(|(name, may)| (name, may.iter().copied().collect()))
        .collect();
    let mut seen = BTreeSet::new();
    for package in &packages {
        let uses = uses(package);
        if package.manifest_path.contains("/shared/") {
            let may = table.get(package.name.as_str());
            let may =
                may.unwrap_or_else(|| panic!("{} is not in the table of crates", package.name));
            assert!(uses.is_subset(may), "{} uses {uses:?}", package.name);
            seen.insert(package.name.as_str());
        } else if package.manifest_path.contains("/bins/") {
            let binaries: Vec<_> = uses
                .iter()
                .filter(|name| !table.contains_key(*name))
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
        ALLOWED_DEPENDENCIES.len(),
        "every crate of the table exists: {seen:?}"
    );
}

#[test]
fn a_folder_has_the_name_of_its_crate() {
    for package in packages() {
        let folder = package.manifest_path.trim_end_matches("/Cargo.toml");
        assert!(folder.ends_with(&format!("/{}", package.name)), "{folder}");
    }
}

/// `nix/crates.nix` learns from the workspace's manifest in which folder a program's crates are. This crate is
/// in no program.
#[test]
fn only_the_workspace_names_the_folders_of_crates() {
    let packages = packages();
    for package in packages
        .iter()
        .filter(|package| package.name != "integration")
    {
        let manifest = std::fs::read_to_string(&package.manifest_path).unwrap();
        let lines = manifest.lines();
        let by_path: Vec<_> = lines.filter(|line| line.contains("path = \"../")).collect();
        assert!(
            by_path.is_empty(),
            "{}: {by_path:?}; add it to [workspace.dependencies]",
            package.name
        );
    }
}

/// Whether a crate may depend on a library, of whose family (`datafusion-common`) only adapters know.
fn may_depend(name: &str, library: &str) -> bool {
    let is_of = |family: &str| {
        let rest = library.strip_prefix(family);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '_']))
    };
    if is_of("fjall") {
        name == "store"
    } else if is_of("datafusion") {
        name == "query"
    } else if is_of("aws-sdk") {
        matches!(name, "athena" | "aws" | "aws-client" | "integration")
    } else {
        true
    }
}

#[test]
fn a_library_is_recognized_by_the_name_of_its_family() {
    for library in ["datafusion", "datafusion-common", "datafusion_expr"] {
        assert!(may_depend("query", library), "{library}");
        assert!(!may_depend("ticksql", library), "{library}");
    }
    assert!(!may_depend("tickstream", "fjall"));
    assert!(!may_depend("ticksql", "aws-sdk-athena"));
    assert!(may_depend("ticksql", "aws-config"));
    assert!(may_depend("ticksql", "datafusionless"));
}

#[test]
fn only_adapters_depend_on_their_libraries() {
    for package in packages() {
        for dependency in package.dependencies.iter().filter(|d| d.kind.is_none()) {
            let (name, library) = (package.name.as_str(), dependency.name.as_str());
            assert!(
                may_depend(name, library),
                "{name} must not depend on {library}"
            );
        }
    }
}

/// The dependency tree of a package, from cargo.
fn tree(package: &str) -> String {
    cargo(&[
        "tree",
        "--offline",
        "--edges",
        "normal,build",
        "--format",
        "{p}|{f}",
        "--package",
        package,
    ])
}

/// What a crate is compiled for. Cargo resolves the features of each separately, and compiles a crate twice if
/// both need it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum For {
    /// Build scripts and procedural macros, which run while the program is built.
    Host,
    /// The program.
    Target,
}

/// The features that each crate of a tree is compiled with.
fn features(tree: &str) -> BTreeMap<(&str, For), BTreeSet<&str>> {
    let mut found: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    // What the line's parents are compiled for, and, by depth, whether the line is in a list of build
    // dependencies.
    let (mut above, mut in_build_list) = (Vec::new(), vec![false]);
    for line in tree.lines() {
        let text = line.trim_start_matches(['│', '├', '└', '─', ' ']);
        let indent = line.chars().count() - text.chars().count();
        let depth = indent / 4;
        if text == "[build-dependencies]" {
            // A heading is indented like the crate whose dependencies follow.
            in_build_list.truncate(depth + 1);
            in_build_list.push(true);
            continue;
        }
        in_build_list.truncate(depth + 1);
        in_build_list.push(false);
        above.truncate(depth);
        let (package, features) = text.trim_end_matches(" (*)").split_once('|').unwrap();
        let is_host = above.last() == Some(&For::Host)
            || in_build_list.get(depth) == Some(&true)
            || package.contains("(proc-macro)");
        let compiled_for = if is_host { For::Host } else { For::Target };
        above.push(compiled_for);
        let sets = found.entry((package, compiled_for)).or_default();
        sets.insert(features);
    }
    found
}

/// The crates that both trees contain with different features.
fn differences(one: &str, other: &str) -> Vec<String> {
    let (one, other) = (features(one), features(other));
    one.iter()
        .filter_map(|(key, features)| {
            let others = other.get(key).filter(|others| *others != features)?;
            let only = |a: &BTreeSet<&str>, b: &BTreeSet<&str>| {
                let split = |set: &BTreeSet<&str>| -> BTreeSet<String> {
                    set.iter()
                        .flat_map(|list| list.split(','))
                        .map(str::to_owned)
                        .collect()
                };
                split(a)
                    .difference(&split(b))
                    .cloned()
                    .collect::<Vec<_>>()
                    .join(", ")
            };
            Some(format!(
                "{} for {:?}: only the first has [{}], only the second [{}]",
                key.0,
                key.1,
                only(features, others),
                only(others, features)
            ))
        })
        .collect()
}

/// The programs that are built one after the other in the same target folder.
const PROGRAMS: [&str; 3] = ["tickstream", "ticksql", "tickctl"];

/// If two programs resolve a crate with different features, it and all crates that depend on it are compiled
/// again when the second one is built: for `ticksql` after `tickstream` that took 25 minutes.
#[test]
fn no_crate_is_compiled_twice_for_the_three_programs() {
    let trees = PROGRAMS.map(tree);
    let mut different = Vec::new();
    for (at, (first, tree)) in PROGRAMS.iter().zip(&trees).enumerate() {
        assert!(features(tree).len() > 200, "{first}: cargo's tree was read");
        for (second, other) in PROGRAMS.iter().zip(&trees).skip(at + 1) {
            let found = differences(tree, other);
            // This package only unifies features and has no code.
            let found = found
                .iter()
                .filter(|text| !text.starts_with("workspace-hack v"));
            different.extend(found.map(|text| format!("{first}, {second}: {text}")));
        }
    }
    assert!(
        different.is_empty(),
        "enable the missing features in shared/workspace-hack/Cargo.toml:\n{}",
        different.join("\n")
    );
}

#[test]
fn differences_are_found_for_host_and_target_separately() {
    let one = "\
program v1.0.0|
├── parquet v1.0.0|arrow
│   └── macros v1.0.0 (proc-macro)|
│       └── syn v1.0.0|full
│   [build-dependencies]
│   └── memchr v1.0.0|std
└── memchr v1.0.0|alloc,std
[build-dependencies]
└── cc v1.0.0|
";
    let host = |tree| {
        let features = features(tree);
        let host = features
            .keys()
            .filter(|(_, compiled_for)| *compiled_for == For::Host);
        host.map(|(package, _)| (*package).to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        host(one),
        [
            "cc v1.0.0",
            "macros v1.0.0 (proc-macro)",
            "memchr v1.0.0",
            "syn v1.0.0"
        ]
    );
    assert!(differences(one, one).is_empty());

    let other = one.replace("parquet v1.0.0|arrow", "parquet v1.0.0|arrow,brotli");
    assert_eq!(
        differences(one, &other),
        ["parquet v1.0.0 for Target: only the first has [], only the second [brotli]"]
    );
    let other = one.replace("memchr v1.0.0|std", "memchr v1.0.0|");
    assert_eq!(
        differences(one, &other),
        ["memchr v1.0.0 for Host: only the first has [std], only the second []"]
    );
    // A crate that only one of them contains is compiled once anyway.
    let other = one.replace("cc v1.0.0", "cmake v1.0.0");
    assert!(differences(one, &other).is_empty());
}

#[test]
fn programs_are_built_without_the_libraries_that_they_do_not_need() {
    let functions = ["analytics", "broadcast", "redrive", "scaler", "webhook"];
    let not_in_functions: &[&str] = &["arrow", "datafusion", "fjall", "parquet", "workspace-hack"];
    let of_functions = functions.map(|function| (function, not_in_functions));
    let of_programs: [(&str, &[&str]); 4] = [
        ("compaction", &["aws-sdk-athena", "datafusion", "fjall"]),
        ("tickstream", &["aws-config", "datafusion", "rustls"]),
        ("ticksql", &["aws-sdk-dynamodb", "aws-sdk-kinesis", "fjall"]),
        // It opens the embedded store of a data folder that no process has open.
        ("tickctl", &["aws-sdk-athena", "datafusion"]),
    ];
    for (program, libraries) in of_functions.into_iter().chain(of_programs) {
        let tree = tree(program);
        let names: BTreeSet<&str> = features(&tree)
            .keys()
            .filter_map(|(package, _)| package.split_once(' '))
            .map(|(name, _)| name)
            .collect();
        assert!(names.contains("tokio"), "{program}: cargo's tree was read");
        for library in libraries {
            assert!(
                !names.contains(library),
                "{program} is built with {library}"
            );
        }
    }
}
