//! The parameters of a named query, and how they are written into its text.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate};
use domain::aliases::mint_of;
use query::day_predicate;

/// The parameters of a call, with the defaults of the query's header.
pub(crate) struct Parameters {
    /// Name → type and text.
    values: BTreeMap<String, (String, String)>,
    /// The two that decide the days.
    days: (String, String),
}

impl Parameters {
    /// Reads the header; `given` overrides its defaults.
    pub(crate) fn of(file: &str, given: &BTreeMap<String, String>) -> Self {
        let mut values = BTreeMap::new();
        let mut days = None;
        for line in file.lines().map_while(|line| line.strip_prefix("--")) {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                ["@param", name, kind, rest @ ..] => {
                    let default = match rest {
                        ["=", text, ..] => Some(text.trim_matches('\'').to_owned()),
                        _ => None,
                    };
                    let text = given.get(*name).cloned().or(default);
                    let text = text.unwrap_or_else(|| panic!("`{name}` has no value"));
                    values.insert((*name).to_owned(), ((*kind).to_owned(), text));
                }
                ["@days", from, to] => days = Some(((*from).to_owned(), (*to).to_owned())),
                _ => {}
            }
        }
        let unknown: Vec<_> = given
            .keys()
            .filter(|name| !values.contains_key(*name))
            .collect();
        assert!(unknown.is_empty(), "the header has no {unknown:?}");
        Self {
            values,
            days: days
                .unwrap_or_else(|| panic!("the header says which parameters decide the days")),
        }
    }

    /// A text; a token's symbol is its mint.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        let (kind, text) = self.values.get(name)?;
        Some(match (kind.as_str(), mint_of(text)) {
            ("token", Some(mint)) => mint.to_owned(),
            _ => text.clone(),
        })
    }

    /// A moment in milliseconds since the epoch.
    pub(super) fn time(&self, name: &str) -> i64 {
        let text = self.text(name).unwrap_or_else(|| panic!("no `{name}`"));
        let day = || text.parse::<NaiveDate>().ok()?.and_hms_opt(0, 0, 0);
        match text.parse::<DateTime<chrono::Utc>>() {
            Ok(moment) => moment.timestamp_millis(),
            Err(_) => day()
                .unwrap_or_else(|| panic!("{name}: {text}"))
                .and_utc()
                .timestamp_millis(),
        }
    }

    /// The first of two that exists.
    pub(super) fn time_or(&self, name: &str, other: &str) -> i64 {
        let first = [name, other]
            .into_iter()
            .find(|name| self.values.contains_key(*name));
        self.time(first.unwrap())
    }

    pub(super) fn integer(&self, name: &str) -> i64 {
        self.text(name).unwrap().parse().unwrap()
    }

    pub(super) fn double(&self, name: &str) -> f64 {
        self.text(name).unwrap().parse().unwrap()
    }

    fn literal(&self, name: &str) -> String {
        let (kind, _) = self
            .values
            .get(name)
            .unwrap_or_else(|| panic!("no `{name}` in the header"));
        match kind.as_str() {
            "token" | "varchar" => format!("'{}'", self.text(name).unwrap().replace('\'', "''")),
            "timestamp" => self.time(name).to_string(),
            "bigint" => self.integer(name).to_string(),
            "double" => format!("{:e}", self.double(name)),
            other => panic!("`{name}` is of type {other}"),
        }
    }

    /// The query with its parameters in their places. No text of these files has a colon.
    pub(crate) fn rendered(&self, file: &str) -> String {
        let lines = file.lines().filter(|line| !line.starts_with("--"));
        let query = lines.collect::<Vec<_>>().join("\n");
        let mut parts = query.split(':');
        let mut text = parts.next().unwrap().to_owned();
        for part in parts {
            let end = part
                .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
                .unwrap_or(part.len());
            let (name, rest) = part.split_at(end);
            if name == "days" {
                let (from, to) = (self.time(&self.days.0), self.time(&self.days.1));
                text += &day_predicate(from, to).unwrap();
            } else {
                text += &self.literal(name);
            }
            text += rest;
        }
        text
    }
}
