//! Paths in Rust source: those of `use` declarations, and those in other code.

/// A name that a `use` declaration brings into a module.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Import {
    /// The name; `None` for `*` and `_`.
    pub(crate) name: Option<String>,
    pub(crate) path: Vec<String>,
}

/// What the `use` declarations of a text import.
pub(crate) fn imports_in(code: &str) -> Vec<Import> {
    let mut imports = Vec::new();
    for (at, _) in code.match_indices("use ") {
        let line = code[..at].lines().last().unwrap_or_default().trim();
        let begins = code[..at].ends_with('\n') || at == 0;
        // Alone on its line, or after a visibility.
        if begins
            || line.is_empty()
            || line == "pub"
            || (line.starts_with("pub(") && line.ends_with(')'))
        {
            use_tree(&code[at + "use ".len()..], Vec::new(), &mut imports);
        }
    }
    imports
}

/// The paths in a text that begin with a name, with `prefix` in place of that name.
pub(crate) fn paths_after(code: &str, name: &str, prefix: &[String]) -> Vec<Vec<String>> {
    let mut imports = Vec::new();
    for (at, _) in code.match_indices(name) {
        let before = code[..at].chars().next_back();
        let is_word =
            before.is_none_or(|char| !char.is_alphanumeric() && char != '_' && char != ':');
        if let Some(rest) = code[at + name.len()..].strip_prefix("::")
            && is_word
        {
            use_tree(rest, prefix.to_vec(), &mut imports);
        }
    }
    imports.into_iter().map(|import| import.path).collect()
}

/// Reads a use tree such as `a::{b, c::d as e}` at the beginning of a text, adds its imports to `imports`,
/// and returns the rest of the text.
fn use_tree<'a>(text: &'a str, mut prefix: Vec<String>, imports: &mut Vec<Import>) -> &'a str {
    let mut text = text.trim_start();
    loop {
        if let Some(group) = text.strip_prefix('{') {
            text = group;
            loop {
                text = text.trim_start();
                if let Some(rest) = text.strip_prefix('}') {
                    return rest;
                }
                text = use_tree(text, prefix.clone(), imports).trim_start();
                match text.strip_prefix(',') {
                    Some(rest) => text = rest,
                    None => return text.strip_prefix('}').unwrap_or(text),
                }
            }
        }
        if let Some(rest) = text.strip_prefix('*') {
            imports.push(Import {
                name: None,
                path: prefix,
            });
            return rest;
        }
        let (segment, rest) = word(text);
        // `a::{self}` is `a`.
        let is_prefix = segment == "self" && !prefix.is_empty();
        if !segment.is_empty() && !is_prefix {
            prefix.push(segment.to_owned());
        }
        match rest.strip_prefix("::") {
            // Not the `::<T>` of a call.
            Some(rest) if !rest.starts_with('<') => text = rest,
            _ => {
                let alias = rest.strip_prefix(" as ").map(word);
                let (name, rest) = match alias {
                    Some((name, rest)) => (Some(name.to_owned()), rest),
                    None => (prefix.last().cloned(), rest),
                };
                imports.push(Import {
                    name: name.filter(|name| name != "_"),
                    path: prefix,
                });
                return rest;
            }
        }
    }
}

/// The word at the beginning of a text, and the rest.
fn word(text: &str) -> (&str, &str) {
    let end = text
        .find(|char: char| !char.is_alphanumeric() && char != '_')
        .unwrap_or(text.len());
    text.split_at(end)
}

#[test]
fn a_use_declaration_gives_all_of_its_names() {
    let text =
        "use a::{b, c::{self, d as e, F}, g::*};\npub(crate) use super::x;\nlet because = 1;\n";
    let imports: Vec<(Option<String>, String)> = imports_in(text)
        .into_iter()
        .map(|import| (import.name, import.path.join("::")))
        .collect();
    let name = |name: &str| Some(name.to_owned());
    let expected = [
        (name("b"), "a::b"),
        (name("c"), "a::c"),
        (name("e"), "a::c::d"),
        (name("F"), "a::c::F"),
        (None, "a::g"),
        (name("x"), "super::x"),
    ];
    assert_eq!(
        imports,
        expected.map(|(name, path)| (name, path.to_owned()))
    );
}

#[test]
fn paths_are_found_anywhere() {
    let text = "use crate::{b, c::F}; x(crate::y::Z) not_crate::n other::crate::n crate::f::g::<H>() crate";
    let base = ["m".to_owned()];
    let paths = paths_after(text, "crate", &base);
    let joined: Vec<String> = paths.iter().map(|path| path.join("::")).collect();
    assert_eq!(joined, ["m::b", "m::c::F", "m::y::Z", "m::f::g"]);
}
