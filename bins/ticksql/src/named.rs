//! Queries with parameters: the named ones that are built in, and files and texts of the same form.
//!
//! A header of comment lines says what a query is for and what it takes; `:name` stands for a value
//! in its text, and `:days` for the condition on year, month and day that two times imply.

mod arguments;
mod bound_query;
mod constraint;
mod days_placeholder;
mod header;
mod named_query;
mod param_type;
mod parameter;
mod placeholder;
mod resolved_param;
mod source_map;
mod times;

use rust_embed::Embed;

pub(crate) use arguments::{name_of, split_key};
pub(crate) use bound_query::BoundQuery;
pub(crate) use header::HeaderError;
pub(crate) use header::is_name;
pub(crate) use named_query::Query;
pub(crate) use parameter::ParameterError;
pub(crate) use source_map::{BoundPlaceholder, SourceMap};

#[derive(Embed)]
#[folder = "../../sql/queries/"]
struct Library;

/// The names of the built-in queries, sorted.
pub(crate) fn names() -> Vec<String> {
    let files: Vec<_> = Library::iter().collect();
    let names = files.iter().filter_map(|file| file.strip_suffix(".sql"));
    let mut names: Vec<String> = names.map(str::to_owned).collect();
    names.sort_unstable();
    names
}

/// The text of a built-in query.
pub(crate) fn text(name: &str) -> Option<String> {
    let file = Library::get(&format!("{name}.sql"))?;
    String::from_utf8(file.data.into_owned()).ok()
}

#[cfg(test)]
mod tests;
