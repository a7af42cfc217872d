//! What the line editor knows about SQL and this archive: whether a statement is complete, and how
//! a word can be completed.

use rustyline::completion::Completer;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Context, Helper, Highlighter, Hinter};

use super::listing::column_names;
use super::meta_command::META_COMMANDS;
use super::script::is_complete;
use crate::engine::TableColumns;
use crate::named::{self, Query};
use crate::options::Format;

/// Words of SQL that completion offers.
const KEYWORDS: [&str; 42] = [
    "SELECT",
    "FROM",
    "WHERE",
    "GROUP BY",
    "ORDER BY",
    "HAVING",
    "LIMIT",
    "WITH",
    "AS",
    "AND",
    "OR",
    "NOT",
    "BETWEEN",
    "LIKE",
    "IS NULL",
    "IS NOT NULL",
    "DISTINCT",
    "CASE",
    "WHEN",
    "THEN",
    "ELSE",
    "END",
    "JOIN",
    "LEFT JOIN",
    "USING",
    "UNION ALL",
    "OVER",
    "PARTITION BY",
    "FILTER",
    "DESC",
    "CAST",
    "INTERVAL",
    "EXPLAIN",
    "DESCRIBE",
    "SHOW TABLES",
    "count",
    "avg",
    "max_by",
    "min_by",
    "approx_percentile",
    "date_trunc",
    "from_unixtime",
];

/// Completes keywords, tables, columns, named queries and their parameters.
#[derive(Helper, Hinter, Highlighter)]
pub(super) struct InputHelper {
    tables: Vec<TableColumns>,
    /// Named queries, each with its parameters.
    queries: Vec<(String, Vec<String>)>,
}

impl InputHelper {
    pub(super) fn of(tables: &[TableColumns]) -> Self {
        let queries = named::names().into_iter().map(|name| {
            let query = named::text(&name).and_then(|text| Query::parse(&text).ok());
            let parameters = query.map_or_else(Vec::new, |query| query.parameters);
            let parameters = parameters.into_iter().map(|parameter| parameter.name);
            (name, parameters.collect())
        });
        Self {
            tables: tables.to_vec(),
            queries: queries.collect(),
        }
    }

    /// The completions of the word before a position, and where the word starts.
    fn candidates(&self, line: &str, position: usize) -> (usize, Vec<String>) {
        let before = line.get(..position).unwrap_or(line);
        let in_word = |char: char| char.is_alphanumeric() || char == '_';
        let start = before.trim_end_matches(in_word).len();
        let (context, word) = before.split_at_checked(start).unwrap_or((before, ""));
        let begins = |name: &str| name.to_lowercase().starts_with(&word.to_lowercase());
        let mut found: Vec<String> = if let Some(command) = before.trim_start().strip_prefix('\\') {
            self.of_command(command, context)
        } else if let Some(table) = context.strip_suffix('.') {
            self.columns_of(table)
        } else {
            let columns = self.tables.iter().flat_map(column_names);
            let tables = self.tables.iter().map(|table| table.name.clone());
            let keywords = KEYWORDS.iter().map(|word| (*word).to_owned());
            tables.chain(columns).chain(keywords).collect()
        };
        found.retain(|name| begins(name));
        found.sort_unstable();
        found.dedup();
        (start, found)
    }

    /// After a backslash: a command, a table, a query, or a query's parameter.
    fn of_command(&self, command: &str, context: &str) -> Vec<String> {
        let words: Vec<&str> = command.split_whitespace().collect();
        if context.ends_with('\\') {
            return META_COMMANDS
                .iter()
                .map(|(name, _)| (*name).to_owned())
                .collect();
        }
        match words.as_slice() {
            ["d", ..] => self.tables.iter().map(|table| table.name.clone()).collect(),
            ["run", name, ..] if words.len() > 2 || command.ends_with(' ') => {
                let mut queries = self.queries.iter();
                let parameters = queries.find(|(known, _)| known == name);
                let parameters = parameters.map_or(&[][..], |(_, parameters)| parameters);
                parameters.iter().map(|name| format!("{name}=")).collect()
            }
            ["run", ..] => self.queries.iter().map(|(name, _)| name.clone()).collect(),
            ["format", ..] => Format::of_shell(),
            _ => Vec::new(),
        }
    }

    /// The columns of the table named in front of a dot; of an alias all columns, since the statement
    /// that defines it is not complete.
    fn columns_of(&self, before: &str) -> Vec<String> {
        let in_word = |char: char| char.is_alphanumeric() || char == '_';
        let start = before.trim_end_matches(in_word).len();
        let name = before.get(start..).unwrap_or_default();
        let mut tables = self.tables.iter();
        match tables.find(|table| table.name.eq_ignore_ascii_case(name)) {
            Some(table) => column_names(table).collect(),
            None => self.tables.iter().flat_map(column_names).collect(),
        }
    }
}

/// A statement continues over lines until its semicolon.
impl Validator for InputHelper {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        Ok(match is_complete(context.input()) {
            true => ValidationResult::Valid(None),
            false => ValidationResult::Incomplete,
        })
    }
}

impl Completer for InputHelper {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _context: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(self.candidates(line, position))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> InputHelper {
        let table = |name: &str, columns: &[&str]| TableColumns {
            name: name.to_owned(),
            columns: columns
                .iter()
                .map(|column| ((*column).to_owned(), "bigint".to_owned()))
                .collect(),
        };
        let tables = [
            table("ticks", &["time", "token", "ts"]),
            table("price_history", &["timestamp", "token"]),
        ];
        InputHelper::of(&tables)
    }

    #[test]
    fn words_are_completed() {
        let names = names();
        let check = |line: &str, expected: &[&str]| {
            let (start, found) = names.candidates(line, line.len());
            assert_eq!(found, expected, "{line}");
            assert!(start <= line.len());
        };
        check("SELECT tok", &["token"]);
        check("SELECT * FROM tic", &["ticks"]);
        check("sel", &["SELECT"]);
        check("SELECT price_history.t", &["timestamp", "token"]);
        check("SELECT t.ti", &["time", "timestamp"]);
        check("\\ru", &["run"]);
        check("\\d pr", &["price_history"]);
        check("\\run cand", &["candles"]);
        check("\\run candles tok", &["token="]);
        check("\\run candles token=BTC int", &["interval_s="]);
        check("\\format j", &["json", "jsonl"]);
        check("é 'x", &[]);
    }
}
