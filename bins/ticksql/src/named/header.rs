//! The comment lines at the start of a query.

use super::constraint::Constraint;
use super::days_placeholder::DAYS;
use super::param_type::ParamType;
use super::parameter::Parameter;

/// Why a query's header is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HeaderError {
    /// An unknown tag.
    #[error("line {line}: unknown tag `@{word}`: write @param or @days")]
    Word { line: u64, word: String },
    /// A `@param` line that cannot be parsed.
    #[error("line {line}: write `@param NAME TYPE = DEFAULT [LOW..HIGH]  What it is`")]
    Form { line: u64 },
    /// An unknown type.
    #[error("line {line}: `{kind}` is not a type: use {}", ParamType::names())]
    Type { line: u64, kind: String },
    /// A default outside what its parameter takes.
    #[error("line {line}: the default of `{name}` is not a valid {kind}: {expected}")]
    Default {
        line: u64,
        name: String,
        kind: ParamType,
        expected: String,
    },
    /// Values in square brackets that mean nothing for the type.
    #[error(
        "line {line}: `[{text}]` is not a set of {kind} values: write [LOW..HIGH], [LOW..] or [..HIGH] for a bigint or double, [ONE|OTHER] for a varchar"
    )]
    Constraint {
        line: u64,
        text: String,
        kind: ParamType,
    },
    /// Two parameters of one name, or one with a reserved name.
    #[error("line {line}: `{name}` is declared twice")]
    Twice { line: u64, name: String },
    /// `@days` without two timestamps.
    #[error("line {line}: @days needs the names of two timestamps declared above it")]
    Days { line: u64 },
    /// `:days` without `@days`.
    #[error(
        "line {line}: `:days` needs a line `-- @days FROM TO` with the names of two timestamps"
    )]
    NoDays { line: u64 },
    /// A placeholder that the header does not declare.
    #[error("line {line}: `:{name}` is not declared: add a line `-- @param {name} TYPE`")]
    NotDeclared { line: u64, name: String },
    /// A parameter that the query does not use.
    #[error("`{name}` is declared and not used: remove its @param line")]
    NotUsed { name: String },
    /// A placeholder without a name.
    #[error(
        "line {line}: `?` has no name: write `:name`, and pass the value as --param name=VALUE"
    )]
    NoName { line: u64 },
}

#[derive(Default)]
pub(super) struct Header {
    pub(super) title: String,
    pub(super) parameters: Vec<Parameter>,
    pub(super) days: Option<[String; 2]>,
    /// How many lines it has.
    pub(super) lines: usize,
}

impl Header {
    pub(super) fn declares(&self) -> bool {
        !self.parameters.is_empty()
    }
}

pub(super) fn parse(text: &str) -> Result<Header, HeaderError> {
    let mut header = Header::default();
    for (number, line) in (1_u64..).zip(text.lines()) {
        let line = line.trim();
        let Some(comment) = line.strip_prefix("--") else {
            if line.is_empty() {
                header.lines += 1;
                continue;
            }
            break;
        };
        header.lines += 1;
        let comment = comment.trim();
        match comment.strip_prefix('@') {
            Some(tag) => header.tag(tag, number)?,
            None if header.title.is_empty() => comment.clone_into(&mut header.title),
            // Further lines are for readers of the file.
            None => {}
        }
    }
    Ok(header)
}

impl Header {
    fn tag(&mut self, tag: &str, line: u64) -> Result<(), HeaderError> {
        let (word, rest) = first_word(tag);
        match word {
            "param" => {
                let parameter = parameter(rest, line)?;
                let known = |name: &str| self.parameters.iter().any(|p| p.name == name);
                if known(&parameter.name) || parameter.name.eq_ignore_ascii_case(DAYS) {
                    let name = parameter.name;
                    return Err(HeaderError::Twice { line, name });
                }
                self.parameters.push(parameter);
                Ok(())
            }
            "days" => {
                let names: Vec<&str> = rest.split_whitespace().collect();
                let is_time = |name: &&str| {
                    let mut parameters = self.parameters.iter();
                    parameters.any(|p| p.name == **name && p.kind == ParamType::Timestamp)
                };
                match names.as_slice() {
                    [from, to] if names.iter().all(is_time) => {
                        self.days = Some([(*from).to_owned(), (*to).to_owned()]);
                        Ok(())
                    }
                    _ => Err(HeaderError::Days { line }),
                }
            }
            word => Err(HeaderError::Word {
                line,
                word: word.to_owned(),
            }),
        }
    }
}

/// Reads `NAME TYPE = DEFAULT [LOW..HIGH]  What it is`.
fn parameter(text: &str, line: u64) -> Result<Parameter, HeaderError> {
    let (name, rest) = first_word(text);
    let (kind, rest) = first_word(rest);
    if kind.is_empty() || !is_name(name) {
        return Err(HeaderError::Form { line });
    }
    let kind = ParamType::named(kind).ok_or_else(|| HeaderError::Type {
        line,
        kind: kind.to_owned(),
    })?;
    let (default, rest) = match rest.strip_prefix('=') {
        Some(rest) => {
            let (default, rest) = default(rest.trim_start()).ok_or(HeaderError::Form { line })?;
            (Some(default), rest)
        }
        None => (None, rest),
    };
    let constraint = constraint(rest, kind, line)?;
    if let Some(default) = &default {
        let unfit = |expected| HeaderError::Default {
            line,
            name: name.to_owned(),
            kind,
            expected,
        };
        let value = kind.value(default, 0).map_err(unfit)?;
        if let Some(constraint) = constraint
            .as_ref()
            .filter(|constraint| !constraint.takes(&value))
        {
            return Err(unfit(format!("expected {}", constraint.in_words())));
        }
    }
    Ok(Parameter {
        name: name.to_owned(),
        kind,
        constraint,
        default,
    })
}

/// Whether a text can name a parameter.
pub(crate) fn is_name(text: &str) -> bool {
    let mut chars = text.chars();
    let starts = |char: char| char.is_ascii_alphabetic() || char == '_';
    chars.next().is_some_and(starts)
        && chars.all(|char| char.is_ascii_alphanumeric() || char == '_')
}

/// The values in square brackets, if there are any.
fn constraint(text: &str, kind: ParamType, line: u64) -> Result<Option<Constraint>, HeaderError> {
    let Some(inside) = text.trim_start().strip_prefix('[') else {
        return Ok(None);
    };
    let (inside, _) = inside.split_once(']').ok_or(HeaderError::Form { line })?;
    let constraint = Constraint::parse(inside, kind).ok_or_else(|| HeaderError::Constraint {
        line,
        text: inside.to_owned(),
        kind,
    })?;
    Ok(Some(constraint))
}

/// A default, in quotes or as one word, and what comes after it.
fn default(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('\'') else {
        let (word, rest) = first_word(text);
        return (!word.is_empty()).then(|| (word.to_owned(), rest));
    };
    let mut value = String::new();
    let mut rest = quoted;
    loop {
        let (before, after) = rest.split_once('\'')?;
        value.push_str(before);
        match after.strip_prefix('\'') {
            Some(more) => {
                value.push('\'');
                rest = more;
            }
            None => return Some((value, after)),
        }
    }
}

fn first_word(text: &str) -> (&str, &str) {
    let text = text.trim_start();
    match text.split_once(char::is_whitespace) {
        Some((word, rest)) => (word, rest.trim_start()),
        None => (text, ""),
    }
}
