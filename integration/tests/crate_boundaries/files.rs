//! Rules for the files of a crate: unique names, and no import cycles between files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::module_graph::{Module, ModuleGraph};
use crate::packages;

/// File names that may occur several times in a crate.
const REPEATABLE: [&str; 3] = ["main.rs", "mod.rs", "tests.rs"];

/// The name and the `src` folder of every crate.
pub(crate) fn sources() -> Vec<(String, PathBuf)> {
    let all = packages().into_iter().map(|package| {
        let folder = Path::new(&package.manifest_path).parent().unwrap();
        (package.name, folder.join("src"))
    });
    all.filter(|(_, folder)| folder.is_dir()).collect()
}

pub(crate) fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

#[test]
fn a_file_name_occurs_once_in_a_crate() {
    let mut repeated = Vec::new();
    for (name, folder) in sources() {
        let mut paths: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
        for path in rust_files(&folder) {
            let file = path.file_name().unwrap().to_string_lossy().into_owned();
            let relative = path.strip_prefix(&folder).unwrap().to_owned();
            paths.entry(file).or_default().push(relative);
        }
        paths.retain(|file, paths| paths.len() > 1 && !REPEATABLE.contains(&file.as_str()));
        repeated.extend(
            paths
                .into_values()
                .map(|paths| format!("{name}: {paths:?}")),
        );
    }
    assert!(
        repeated.is_empty(),
        "rename these files after their job:\n{}",
        repeated.join("\n")
    );
}

/// All modules that a module imports, directly or not.
fn reachable(imports: &BTreeMap<Module, BTreeSet<Module>>, from: &Module) -> BTreeSet<Module> {
    let mut found = BTreeSet::new();
    let mut waiting = vec![from];
    while let Some(module) = waiting.pop() {
        for imported in imports.get(module).into_iter().flatten() {
            if found.insert(imported.clone()) {
                waiting.push(imported);
            }
        }
    }
    found
}

/// The groups of modules that import each other.
fn cycles(graph: &ModuleGraph) -> BTreeSet<BTreeSet<Module>> {
    let imports = graph.imports();
    let reached: BTreeMap<&Module, BTreeSet<Module>> = imports
        .keys()
        .map(|module| (module, reachable(&imports, module)))
        .collect();
    let mut cycles = BTreeSet::new();
    for (module, others) in &reached {
        let both_ways = |other: &&Module| reached.get(other).is_some_and(|of| of.contains(*module));
        let cycle: BTreeSet<Module> = others.iter().filter(both_ways).cloned().collect();
        if !cycle.is_empty() {
            cycles.insert(cycle);
        }
    }
    cycles
}

#[test]
fn files_do_not_import_each_other() {
    let mut found = Vec::new();
    for (name, folder) in sources() {
        let files = rust_files(&folder);
        let graph = ModuleGraph::read(&folder, files.iter().map(PathBuf::as_path));
        for cycle in cycles(&graph) {
            let cycle: BTreeSet<String> = cycle.iter().map(|module| module.join("::")).collect();
            found.push(format!("{name}: {cycle:?} (\"\" is the crate's root)"));
        }
    }
    assert!(
        found.is_empty(),
        "these files import each other: move what they share to another file\n{}",
        found.join("\n")
    );
}

#[track_caller]
fn check_cycles(files: &[(&str, &str)], expected: &[&[&str]]) {
    let files = files
        .iter()
        .map(|(path, text)| (Path::new(*path), (*text).to_owned()));
    let found = cycles(&ModuleGraph::of(files));
    let found: Vec<Vec<String>> = found
        .iter()
        .map(|cycle| cycle.iter().map(|module| module.join("::")).collect())
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn a_cycle_is_found_through_reexports() {
    let root = "mod a;\nmod b;\npub use a::A;\npub use b::{B as Renamed, other};\n";
    let a = "use crate::Renamed;\npub struct A(Renamed);\n";
    let b = "pub struct B;\npub fn other() -> super::A {}\n";
    check_cycles(
        &[("lib.rs", root), ("a.rs", a), ("b.rs", b)],
        &[&["a", "b"]],
    );
    let b = "pub struct B;\npub fn other() {}\n";
    check_cycles(&[("lib.rs", root), ("a.rs", a), ("b.rs", b)], &[]);
    // Through a module's name in a function's body, too.
    let b = "use super::a;\npub struct B;\npub fn other() {\n    a::work();\n}\n";
    check_cycles(
        &[("lib.rs", root), ("a.rs", a), ("b.rs", b)],
        &[&["a", "b"]],
    );
}

#[test]
fn a_module_may_use_the_types_around_it_but_not_the_functions_and_constants() {
    let types = "mod part;\npub struct Whole;\npub fn run() {\n    part::run();\n}\n";
    let part = "use super::Whole;\npub fn run() {}\nimpl Whole {}\n";
    check_cycles(&[("whole.rs", types), ("whole/part.rs", part)], &[]);
    let part = "pub fn run() {\n    crate::LIMIT;\n}\n";
    let root = "mod part;\nconst LIMIT: usize = 1;\npub fn run() {\n    part::run();\n}\n";
    check_cycles(&[("main.rs", root), ("part.rs", part)], &[&["", "part"]]);
    // Nothing comes back if the root does not use the part.
    check_cycles(
        &[
            ("main.rs", "mod part;\nconst LIMIT: usize = 1;\n"),
            ("part.rs", part),
        ],
        &[],
    );
}

#[test]
fn a_program_beside_a_library_is_another_crate() {
    let part = "pub fn run() {\n    crate::other();\n}\n";
    check_cycles(
        &[
            ("lib.rs", "pub mod part;\npub fn other() {}\n"),
            ("main.rs", "fn main() {\n    part::run();\n}\n"),
            ("part.rs", part),
        ],
        &[],
    );
}
