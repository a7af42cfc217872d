//! The modules of a crate and what they import from each other, read from the source text. A path is
//! followed through re-exports to the file that defines the item.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::use_tree::{Import, imports_in, paths_after};

/// A module as the segments of its path; the crate's root has none.
pub(crate) type Module = Vec<String>;

/// The most re-exports between a path and the item.
const REEXPORTS_MAX: usize = 10;

/// Keywords of the types that a module can define, and of its other items.
const TYPE_KEYWORDS: [&str; 4] = ["enum", "struct", "trait", "type"];
const OTHER_KEYWORDS: [&str; 5] = ["const", "fn", "macro_rules!", "mod", "static"];

/// A module's file.
#[derive(Debug, Default)]
struct ModuleFile {
    code: String,
    /// The names of the items that it defines.
    items: BTreeMap<String, ItemKind>,
    imports: Vec<Import>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum ItemKind {
    /// A struct, an enum, a trait or an alias.
    Type,
    /// A function or a constant.
    Other,
}

/// The modules of a crate.
#[derive(Debug)]
pub(crate) struct ModuleGraph(BTreeMap<Module, ModuleFile>);

impl ModuleGraph {
    /// Reads the files of a crate by their paths in its `src` folder. Tests are ignored.
    pub(crate) fn read<'a>(src: &Path, files: impl IntoIterator<Item = &'a Path>) -> Self {
        let files = files.into_iter().map(|path| {
            let relative = path.strip_prefix(src).unwrap();
            (relative, fs::read_to_string(path).unwrap())
        });
        Self::of(files)
    }

    /// The modules of files, each with its path in the `src` folder and its text.
    pub(crate) fn of<'a>(files: impl IntoIterator<Item = (&'a Path, String)>) -> Self {
        let files: BTreeMap<&Path, String> = files.into_iter().collect();
        let has_library = files.contains_key(Path::new("lib.rs"));
        let is_other_crate = |path: &Path| {
            // The program beside a library uses it by its name, as another crate would.
            path.starts_with("bin") || (has_library && path == Path::new("main.rs"))
        };
        let is_test = |path: &Path| {
            path.iter()
                .any(|part| part == "tests" || part == "tests.rs")
        };
        let own = files
            .into_iter()
            .filter(|(path, _)| !is_other_crate(path) && !is_test(path));
        Self(
            own.map(|(path, text)| (module_of(path), ModuleFile::of(&text)))
                .collect(),
        )
    }

    /// For each module those that define what it names. That a module uses the types of the modules
    /// around it does not count: a part of a type's code, or an implementation of a trait, may be in a
    /// file below it.
    pub(crate) fn imports(&self) -> BTreeMap<Module, BTreeSet<Module>> {
        let imports = self.0.iter().map(|(module, file)| {
            let counts = |(target, kind): &(Module, ItemKind)| {
                target != module && !(*kind == ItemKind::Type && module.starts_with(target))
            };
            let named = self.named_by(module, file).into_iter().filter(counts);
            (module.clone(), named.map(|(target, _)| target).collect())
        });
        imports.collect()
    }

    /// Whether a path from the root names a module or an item. Members after an item are only looked up
    /// by their name, in the whole crate.
    pub(crate) fn has(&self, path: &[String]) -> bool {
        let (module, rest) = self.module_in(path);
        let Some((item, members)) = rest.split_first() else {
            return true;
        };
        let is_item = self.0.get(&module).is_some_and(|file| {
            let mut imported = file
                .imports
                .iter()
                .filter_map(|import| import.name.as_ref());
            file.items.contains_key(item) || imported.any(|name| name == item)
        });
        is_item && members.iter().all(|member| self.mentions(member))
    }

    /// The module that a path from the root begins with, and the rest of the path.
    fn module_in<'a>(&self, path: &'a [String]) -> (Module, &'a [String]) {
        let is_module = |length: &usize| {
            let module = path.get(..*length);
            module.is_some_and(|module| self.0.contains_key(module))
        };
        let length = (1..=path.len()).take_while(is_module).last().unwrap_or(0);
        let (module, rest) = path.split_at(length);
        (module.to_vec(), rest)
    }

    /// Whether the crate defines a type, and mentions each of these members.
    pub(crate) fn has_member(&self, name: &str, members: &[String]) -> bool {
        let is_defined = |file: &ModuleFile| file.items.get(name) == Some(&ItemKind::Type);
        self.0.values().any(is_defined) && members.iter().all(|member| self.mentions(member))
    }

    fn mentions(&self, name: &str) -> bool {
        let is_separator = |char: char| !char.is_alphanumeric() && char != '_';
        let mut files = self.0.values();
        files.any(|file| file.code.split(is_separator).any(|word| word == name))
    }

    /// Where the items are defined that a module names.
    fn named_by(&self, module: &Module, file: &ModuleFile) -> BTreeSet<(Module, ItemKind)> {
        let mut paths: Vec<Module> = Vec::new();
        // Modules in scope by a name of their own: `use crate::format;` and `mod format;`.
        let mut in_scope: BTreeMap<&str, Module> = BTreeMap::new();
        for import in &file.imports {
            let Some(path) = self.absolute(module, &import.path) else {
                continue;
            };
            match &import.name {
                Some(name) if self.0.contains_key(&path) => _ = in_scope.insert(name, path),
                _ => paths.push(path),
            }
        }
        for child in self.0.keys().filter(|other| is_child(other, module)) {
            if let Some(name) = child.last() {
                in_scope.insert(name, child.clone());
            }
        }
        for (name, path) in &in_scope {
            paths.extend(paths_after(&file.code, name, path));
        }
        for keyword in ["crate", "self", "super"] {
            let relative = paths_after(&file.code, keyword, &[keyword.to_owned()]);
            let absolute = relative
                .iter()
                .filter_map(|path| self.absolute(module, path));
            paths.extend(absolute);
        }
        let definitions = paths.iter().filter_map(|path| self.definition(path, 0));
        definitions.collect()
    }

    /// The path from the crate's root; `None` if it leads to another crate.
    fn absolute(&self, module: &Module, path: &[String]) -> Option<Module> {
        let (first, rest) = path.split_first()?;
        let (base, rest) = match first.as_str() {
            "crate" => (Module::new(), rest),
            "self" => (module.clone(), rest),
            "super" => {
                let levels = path.iter().take_while(|part| *part == "super").count();
                let base = module.get(..module.len().checked_sub(levels)?)?;
                (base.to_vec(), path.get(levels..)?)
            }
            _ if self.0.contains_key(&child_of(module, first)) => (module.clone(), path),
            _ => return None,
        };
        Some([base.as_slice(), rest].concat())
    }

    /// The module that defines what a path names; `None` if another crate does.
    fn definition(&self, path: &[String], reexports: usize) -> Option<(Module, ItemKind)> {
        let (module, rest) = self.module_in(path);
        if let Some((item, members)) = rest.split_first() {
            let file = self.0.get(&module)?;
            if let Some(kind) = file.items.get(item) {
                return Some((module, *kind));
            }
            let named = |import: &&Import| import.name.as_ref() == Some(item);
            if let Some(import) = file.imports.iter().find(named)
                && reexports < REEXPORTS_MAX
            {
                let target = self.absolute(&module, &import.path)?;
                return self.definition(&[target.as_slice(), members].concat(), reexports + 1);
            }
        }
        Some((module, ItemKind::Other))
    }
}

impl ModuleFile {
    fn of(text: &str) -> Self {
        let code = code(text);
        let items = code.lines().filter_map(defined_item);
        Self {
            items: items.map(|(name, kind)| (name.to_owned(), kind)).collect(),
            imports: imports_in(&code),
            code,
        }
    }
}

/// The item that a line at the left margin begins to define.
fn defined_item(line: &str) -> Option<(&str, ItemKind)> {
    if line.starts_with(char::is_whitespace) {
        return None;
    }
    let mut words = line
        .split(|char: char| char.is_whitespace() || "(<:={".contains(char))
        .filter(|word| !word.is_empty())
        .peekable();
    let is_keyword = |word: &&str| TYPE_KEYWORDS.contains(word) || OTHER_KEYWORDS.contains(word);
    let mut keyword = words.find(is_keyword)?;
    // `const fn` is a function.
    while let Some(next) = words.next_if(is_keyword) {
        keyword = next;
    }
    let kind = match TYPE_KEYWORDS.contains(&keyword) {
        true => ItemKind::Type,
        false => ItemKind::Other,
    };
    // `mod name;` is a file.
    let name = words.next()?.trim_end_matches(';');
    (keyword != "mod" || line.ends_with('{')).then_some((name, kind))
}

fn child_of(module: &[String], name: &str) -> Module {
    let mut child = module.to_vec();
    child.push(name.to_owned());
    child
}

fn is_child(module: &[String], parent: &[String]) -> bool {
    module.len() == parent.len() + 1 && module.starts_with(parent)
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
fn code(text: &str) -> String {
    let code = text.lines().take_while(|line| *line != "mod tests {");
    let code = code.map(|line| line.split("//").next().unwrap_or_default());
    code.collect::<Vec<_>>().join("\n")
}
