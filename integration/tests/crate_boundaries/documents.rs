//! What the documents name in backquotes exists: files, folders, modules and types.

use std::fs;
use std::path::{Path, PathBuf};

use crate::files::{rust_files, sources};
use crate::module_graph::ModuleGraph;

/// The folders of the checkout whose contents documents name by their path.
const FOLDERS: [&str; 10] = [
    ".cargo",
    "bins",
    "docs",
    "fuzz",
    "infra",
    "integration",
    "nix",
    "shared",
    "sql",
    "tools",
];

/// Names that are not ours: a folder next to the checkout, and types of fjall and redb.
const FOREIGN: [&str; 3] = [
    "shared/data",
    "PersistMode::SyncData",
    "Durability::Immediate",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The documents that describe the present. (The changelog also names what is gone.)
fn documents() -> Vec<PathBuf> {
    let root = root();
    let mut documents = [
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "README.md",
        "infra/README.md",
    ]
    .map(|name| root.join(name))
    .to_vec();
    for entry in fs::read_dir(root.join("docs")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "md") {
            documents.push(path);
        }
    }
    documents
}

/// The texts in backquotes, without blocks of code.
fn quoted(text: &str) -> Vec<&str> {
    let blocks = text.split("```").step_by(2);
    let lines = blocks.flat_map(str::lines);
    lines
        .flat_map(|line| line.split('`').skip(1).step_by(2))
        .collect()
}

/// Paths of the checkout's source files, and the modules of each crate by its name.
struct Checkout {
    rust_files: Vec<PathBuf>,
    crates: Vec<(String, ModuleGraph)>,
}

impl Checkout {
    fn read() -> Self {
        let root = root();
        let folders = ["bins", "fuzz", "integration", "shared"];
        let rust_files_of = |folder: &str| rust_files(&root.join(folder));
        let graph = |(name, src): (String, PathBuf)| {
            let files = rust_files(&src);
            let graph = ModuleGraph::read(&src, files.iter().map(PathBuf::as_path));
            (name, graph)
        };
        Self {
            rust_files: folders.into_iter().flat_map(rust_files_of).collect(),
            crates: sources().into_iter().map(graph).collect(),
        }
    }

    /// Whether a text that looks like a path or a name of ours is one; other texts pass.
    fn has(&self, text: &str) -> bool {
        let is_plain = |char: char| char.is_ascii_alphanumeric() || "_-./:".contains(char);
        if FOREIGN.contains(&text) || !text.chars().all(is_plain) {
            return true;
        }
        if text.contains("::") {
            let path: Vec<String> = text.split("::").map(str::to_owned).collect();
            return self.has_item(&path);
        }
        let in_folder = text
            .split_once('/')
            .is_some_and(|(first, _)| FOLDERS.contains(&first));
        if in_folder && root().join(text).exists() {
            return true;
        }
        if text.ends_with(".rs") {
            return self.rust_files.iter().any(|file| file.ends_with(text));
        }
        !in_folder
    }

    /// `crate::module::Item::member`, or `Type::member` of any crate.
    fn has_item(&self, path: &[String]) -> bool {
        let Some((first, rest)) = path.split_first() else {
            return false;
        };
        let of_name = |name: &str| name.replace('-', "_") == *first;
        match self.crates.iter().find(|(name, _)| of_name(name)) {
            Some((_, graph)) => graph.has(rest),
            None => {
                let mut crates = self.crates.iter();
                crates.any(|(_, graph)| graph.has_member(first, rest))
            }
        }
    }
}

#[test]
fn what_the_documents_name_exists() {
    let checkout = Checkout::read();
    let mut missing = Vec::new();
    for document in documents() {
        let text = fs::read_to_string(&document).unwrap();
        let names = quoted(&text).into_iter().filter(|name| !checkout.has(name));
        missing.extend(names.map(|name| format!("{}: `{name}`", document.display())));
    }
    assert!(missing.is_empty(), "there is no\n{}", missing.join("\n"));
}

#[test]
fn a_name_that_does_not_exist_is_found() {
    let checkout = Checkout::read();
    for name in [
        "codec::column",
        "app::ingest::Ingest::deliver_all",
        "Spaces::rotate_full",
        "TickStore::rotate_full",
        "shared/store/src/key/",
        "docs/stores.md",
        "no_such_file.rs",
    ] {
        assert!(!checkout.has(name), "{name}");
    }
    for name in [
        "app::ingest::Ingest::deliver",
        "codec::tick_columns",
        "store::Archiver",
        "TickStore::put",
        "shared/store/src/keys/",
        "target/integration/",
        "embedded.rs",
        "USE_KINESIS",
        "cargo run --release",
    ] {
        assert!(checkout.has(name), "{name}");
    }
}
