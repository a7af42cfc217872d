//! What the documents name in backquotes exists (files, folders, modules and types), and so does what they
//! link to.

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
        "SECURITY.md",
        "infra/README.md",
    ]
    .map(|name| root.join(name))
    .to_vec();
    for folder in ["docs", "docs/runbooks"] {
        for entry in fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "md") {
                documents.push(path);
            }
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

/// The targets of links in the checkout, such as `docs/api.md#reading`.
fn links(text: &str) -> Vec<&str> {
    let targets = text.split("](").skip(1);
    let targets = targets.filter_map(|rest| rest.split_once(')').map(|(target, _)| target));
    targets
        .filter(|target| !target.contains("://") && !target.is_empty())
        .collect()
}

/// The anchor that GitHub gives a heading.
fn anchor(heading: &str) -> String {
    let kept = heading
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

/// Whether a document has a heading with that anchor.
fn has_heading(text: &str, wanted: &str) -> bool {
    let lines = text.split("```").step_by(2).flat_map(str::lines);
    let mut headings = lines.filter_map(|line| line.strip_prefix('#'));
    headings.any(|rest| anchor(rest.trim_start_matches('#').trim()) == wanted)
}

/// Whether the target of a link in a document exists, with its heading.
fn leads_somewhere(document: &Path, target: &str) -> bool {
    let (file, heading) = target.split_once('#').unwrap_or((target, ""));
    let path = match file {
        "" => document.to_path_buf(),
        file => document.with_file_name(file),
    };
    if heading.is_empty() {
        return path.exists();
    }
    fs::read_to_string(path).is_ok_and(|text| has_heading(&text, heading))
}

#[test]
fn what_the_documents_link_to_exists() {
    let mut missing = Vec::new();
    let changelog = root().join("CHANGELOG.md");
    for document in documents().into_iter().chain([changelog]) {
        let text = fs::read_to_string(&document).unwrap();
        let broken = links(&text)
            .into_iter()
            .filter(|target| !leads_somewhere(&document, target));
        missing.extend(broken.map(|target| format!("{}: {target}", document.display())));
    }
    assert!(
        missing.is_empty(),
        "these links lead nowhere\n{}",
        missing.join("\n")
    );
}

#[test]
fn a_link_that_leads_nowhere_is_found() {
    let readme = root().join("README.md");
    for target in ["docs/api.md", "docs/api.md#the-response", "infra/README.md"] {
        assert!(leads_somewhere(&readme, target), "{target}");
    }
    for target in ["docs/apis.md", "docs/api.md#the-answer", "#no-such-heading"] {
        assert!(!leads_somewhere(&readme, target), "{target}");
    }
    assert_eq!(
        links("[a](b.md#c) and ![d](https://e.f) and [g](h.md)"),
        ["b.md#c", "h.md"]
    );
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

/// SECURITY.md names a constant and a test for each limit.
#[test]
fn each_limit_of_the_security_page_has_its_constant_and_its_test() {
    let text = fs::read_to_string(root().join("SECURITY.md")).unwrap();
    let mut limits = 0;
    for row in text.lines().filter(|line| line.starts_with('|')) {
        let quoted: Vec<_> = row.split('`').skip(1).step_by(2).collect();
        let [constant, file, test, test_file] = quoted[..] else {
            continue;
        };
        let source = |path: &str| fs::read_to_string(root().join(path)).unwrap_or_default();
        let defines = |form: &str| source(file).contains(&format!("{form} {constant}:"));
        assert!(
            defines("const") || defines("pub"),
            "{file} has no {constant}"
        );
        let named = source(test_file).contains(&format!("fn {test}("));
        assert!(named, "{test_file} has no test {test}");
        limits += 1;
    }
    assert!(limits > 15, "{limits} limits were found");
}
