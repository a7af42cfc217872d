//! Rules for the files of a crate: unique names, and no import cycles between files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::packages;

/// File names that may occur several times in a crate.
const REPEATABLE: [&str; 3] = ["main.rs", "mod.rs", "tests.rs"];

/// A module as the segments of its path; the crate's root has none.
type Module = Vec<String>;

/// The name and the `src` folder of every crate.
fn sources() -> Vec<(String, PathBuf)> {
    let all = packages().into_iter().map(|package| {
        let folder = Path::new(&package.manifest_path).parent().unwrap();
        (package.name, folder.join("src"))
    });
    all.filter(|(_, folder)| folder.is_dir()).collect()
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
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

/// The module of a file: `a/b.rs` and `a/b/mod.rs` are `a::b`.
fn module_of(relative: &Path) -> Module {
    let mut segments: Module = relative
        .with_extension("")
        .iter()
        .map(|segment| segment.to_string_lossy().into_owned())
        .collect();
    if matches!(
        segments.last().map(String::as_str),
        Some("mod" | "lib" | "main")
    ) {
        segments.pop();
    }
    segments
}

/// The text of a file without comments and without the tests at its end.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let code = text.lines().take_while(|line| *line != "mod tests {");
    let code = code.map(|line| line.split("//").next().unwrap_or_default());
    code.collect::<Vec<_>>().join("\n")
}

/// Reads a use tree such as `a::{b, c::d}` at the beginning of a text, adds its paths to `paths`,
/// and returns the rest of the text.
fn use_tree<'a>(mut text: &'a str, mut prefix: Module, paths: &mut Vec<Module>) -> &'a str {
    loop {
        text = text.trim_start();
        if let Some(group) = text.strip_prefix('{') {
            text = group;
            loop {
                text = use_tree(text, prefix.clone(), paths).trim_start();
                if let Some(alias) = text.strip_prefix("as ") {
                    text = alias
                        .trim_start_matches(|char: char| char.is_alphanumeric() || char == '_');
                }
                match text.strip_prefix(',') {
                    Some(rest) => text = rest,
                    None => return text.strip_prefix('}').unwrap_or(text),
                }
            }
        }
        let end = text
            .find(|char: char| !char.is_alphanumeric() && char != '_')
            .unwrap_or(text.len());
        let (segment, rest) = text.split_at(end);
        if !segment.is_empty() {
            prefix.push(segment.to_owned());
        }
        match rest.strip_prefix("::") {
            Some(rest) if !segment.is_empty() => text = rest,
            _ => {
                paths.push(prefix);
                return rest;
            }
        }
    }
}

/// The paths of this crate that a module names by `crate::` or `super::`.
fn paths_in(code: &str, module: &Module) -> Vec<Module> {
    let mut paths = Vec::new();
    for (keyword, base) in [
        ("crate::", Module::new()),
        (
            "super::",
            module
                .split_last()
                .map_or_else(Vec::new, |(_, parent)| parent.to_vec()),
        ),
    ] {
        for (at, _) in code.match_indices(keyword) {
            let before = code[..at].chars().next_back();
            if before.is_none_or(|char| !char.is_alphanumeric() && char != '_' && char != ':') {
                let (mut rest, mut base) = (&code[at + keyword.len()..], base.clone());
                while let Some(further) = rest.strip_prefix("super::") {
                    rest = further;
                    base.pop();
                }
                use_tree(rest, base, &mut paths);
            }
        }
    }
    paths
}

/// The imports between the modules of a crate, without those between a module and its descendants.
fn imports(folder: &Path) -> BTreeMap<Module, BTreeSet<Module>> {
    let files = rust_files(folder).into_iter().filter(|path| {
        let relative = path.strip_prefix(folder).unwrap();
        let is_test = |part: &std::ffi::OsStr| part == "tests" || part == "tests.rs";
        !relative.iter().any(is_test)
    });
    let modules: BTreeMap<Module, PathBuf> = files
        .map(|path| (module_of(path.strip_prefix(folder).unwrap()), path))
        .collect();
    let mut imports = BTreeMap::new();
    for (module, path) in &modules {
        let mut imported = BTreeSet::new();
        for mut path in paths_in(&code(path), module) {
            while !modules.contains_key(&path) && path.pop().is_some() {}
            if !module.starts_with(&path) && !path.starts_with(module) {
                imported.insert(path);
            }
        }
        imports.insert(module.clone(), imported);
    }
    imports
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

#[test]
fn files_do_not_import_each_other() {
    let mut cycles = BTreeSet::new();
    for (name, folder) in sources() {
        let imports = imports(&folder);
        let reached: BTreeMap<&Module, BTreeSet<Module>> = imports
            .keys()
            .map(|module| (module, reachable(&imports, module)))
            .collect();
        for (module, others) in &reached {
            let both_ways =
                |other: &&Module| reached.get(other).is_some_and(|of| of.contains(*module));
            let cycle: BTreeSet<String> = others
                .iter()
                .filter(both_ways)
                .map(|module| module.join("::"))
                .collect();
            if !cycle.is_empty() {
                cycles.insert(format!("{name}: {cycle:?}"));
            }
        }
    }
    let cycles: Vec<_> = cycles.into_iter().collect();
    assert!(
        cycles.is_empty(),
        "these files import each other:\n{}",
        cycles.join("\n")
    );
}

#[test]
fn a_use_tree_gives_all_of_its_paths() {
    let text = "a::{b, c::{d as e, F}}; super::x(super::super::y::Z) crate::f::g::<H>()";
    let mut paths = Vec::new();
    use_tree(text, Module::new(), &mut paths);
    let joined: Vec<String> = paths.iter().map(|path| path.join("::")).collect();
    assert_eq!(joined, ["a::b", "a::c::d", "a::c::F"]);
    let module = ["m", "n", "o"].map(str::to_owned).to_vec();
    let paths = paths_in(text, &module);
    let joined: Vec<String> = paths.iter().map(|path| path.join("::")).collect();
    assert_eq!(joined, ["f::g", "m::n::x", "m::y::Z"]);
}
