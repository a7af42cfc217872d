//! Queries with parameters: the named ones that are built in, and files and texts of the same form.
//!
//! A header of comment lines tells what a query is for and what it takes; `:name` stands for a value
//! in its text, and `:days` for the condition on year, month and day that two times stand for.

mod allowed;
mod header;
mod meaning;
mod placeholders;
mod times;
mod typed;

use std::collections::BTreeMap;

use query::{Place, Value, day_predicate};
use rust_embed::Embed;

pub use allowed::Allowed;
pub use header::HeaderError;
use meaning::Meaning;
use placeholders::{Piece, Stands, pieces};
pub(crate) use placeholders::{in_place_of_marks, is_ended};
pub(crate) use typed::name_of;
use typed::{Given, Known};
pub use typed::{Kind, Parameter, ParameterError};

/// The word for the condition on year, month and day.
const DAYS: &str = "days";

/// The times that `:days` goes by where a text has no header.
const TIMES: [&str; 2] = ["from", "to"];

#[derive(Embed)]
#[folder = "../../sql/queries/"]
struct Library;

/// The names of the built-in queries, sorted.
#[must_use]
pub fn names() -> Vec<String> {
    let files: Vec<_> = Library::iter().collect();
    let names = files.iter().filter_map(|file| file.strip_suffix(".sql"));
    let mut names: Vec<String> = names.map(str::to_owned).collect();
    names.sort_unstable();
    names
}

/// The text of a built-in query.
#[must_use]
pub fn text(name: &str) -> Option<String> {
    let file = Library::get(&format!("{name}.sql"))?;
    String::from_utf8(file.data.into_owned()).ok()
}

/// A query, with what its header says.
#[derive(Debug, Clone)]
pub struct Query {
    /// What it gives, in a line; empty where the text says nothing.
    pub title: String,
    /// Further lines: what a row means, units, limits.
    pub notes: Vec<String>,
    /// What it takes, in the order of the header.
    pub parameters: Vec<Parameter>,
    /// Whether the header declares parameters. Where it does not, values tell their own types.
    declares: bool,
    /// The two times that `:days` goes by.
    days: Option<[String; 2]>,
    pieces: Vec<(Place, Piece)>,
}

/// A statement with its values, ready for an engine.
#[derive(Debug, Clone, PartialEq)]
pub struct Bound {
    /// The statement, with `?` for each value.
    pub sql: String,
    /// The values, in the order of the `?`.
    pub values: Vec<Value>,
    /// The parameters by name, as they were given or as their defaults are.
    pub given: Vec<(String, String)>,
    /// What a person should know: a symbol that stands for a mint too, a range without a moment.
    pub notes: Vec<String>,
    /// The tokens that were asked for, by parameter and as they were given.
    pub tokens: Vec<(String, String)>,
    /// Whether no moment lies between the times that `:days` goes by.
    pub is_of_no_time: bool,
    pub(crate) origins: Origins,
}

impl Query {
    /// Reads a query.
    ///
    /// # Errors
    /// [`HeaderError`] where the header or a placeholder does not fit, with its line.
    pub fn parse(text: &str) -> Result<Self, HeaderError> {
        let header = header::parse(text)?;
        let body = text.lines().skip(header.lines).collect::<Vec<_>>();
        let body = body.join("\n");
        let first_line = 1 + header.lines as u64;
        let pieces = pieces(body.trim_end().trim_end_matches(';'), first_line)?;
        let query = Self {
            declares: header.declares(),
            title: header.title,
            notes: header.notes,
            parameters: header.parameters,
            days: header.days,
            pieces,
        };
        query.check()?;
        Ok(query)
    }

    /// What is declared is used, and what is used is declared.
    fn check(&self) -> Result<(), HeaderError> {
        if !self.declares {
            return Ok(());
        }
        let declared = |name: &str| self.parameters.iter().any(|p| p.name == name);
        for (place, piece) in &self.pieces {
            let line = place.line;
            match piece {
                Piece::Days if self.days.is_none() => return Err(HeaderError::NoDays { line }),
                Piece::Parameter(name, _) if !declared(name) => {
                    let name = name.clone();
                    return Err(HeaderError::NotDeclared { line, name });
                }
                Piece::Days | Piece::Parameter(..) | Piece::Text(_) => {}
            }
        }
        let uses = |name: &str| {
            let mut pieces = self.pieces.iter();
            pieces.any(|(_, piece)| matches!(piece, Piece::Parameter(used, _) if used == name))
                || self
                    .days_by()
                    .is_some_and(|days| days.iter().any(|of| of == name))
        };
        match self.parameters.iter().find(|p| !uses(&p.name)) {
            Some(unused) => Err(HeaderError::NotUsed {
                name: unused.name.clone(),
            }),
            None => Ok(()),
        }
    }

    /// The times that `:days` goes by, where it stands in the text.
    fn days_by(&self) -> Option<[String; 2]> {
        let used = self.pieces.iter().any(|(_, piece)| *piece == Piece::Days);
        used.then(|| self.days.clone().unwrap_or(TIMES.map(str::to_owned)))
    }

    /// The statement with values: those given as name and text, and defaults for the others.
    /// `now_ms` is what `now` means, in milliseconds since the epoch.
    ///
    /// # Errors
    /// [`ParameterError`] where a name is unknown, a value is missing or does not fit its type; it
    /// names the parameters that there are.
    pub fn bind(&self, given: &[(String, String)], now_ms: i64) -> Result<Bound, ParameterError> {
        let parameters = self.parameters_for(given)?;
        let known = Known(&parameters);
        let given = Given::of(given, &known)?;
        let mut notes = Vec::new();
        let mut meanings = BTreeMap::new();
        let (mut told, mut tokens) = (Vec::new(), Vec::new());
        for parameter in &parameters {
            let name = parameter.name.as_str();
            let text = given.text_of(parameter, &known)?;
            let meaning = given.meaning_of(parameter, text, now_ms, &known)?;
            notes.extend(meaning.note(name));
            if parameter.kind == Kind::Token && !text.is_empty() {
                tokens.push((name.to_owned(), text.to_owned()));
            }
            told.push((name.to_owned(), text.to_owned()));
            meanings.insert(name, meaning);
        }
        let days = self.days_between(&meanings)?;
        if let Some(Days {
            from,
            to,
            is_of_no_time: true,
            ..
        }) = &days
        {
            notes.push(format!(
                "`{from}` is not before `{to}`: no time lies between them"
            ));
        }
        let mut rendered = Rendered::default();
        let mut values = Vec::new();
        for (place, piece) in &self.pieces {
            match piece {
                Piece::Text(text) => rendered.push(text, *place, Follows::AsItIs),
                Piece::Days => {
                    let condition = days.as_ref().map(|days| days.condition.as_str());
                    rendered.push(condition.unwrap_or_default(), *place, Follows::AsOne);
                }
                Piece::Parameter(name, stands) => {
                    let Some(meaning) = meanings.get(name.as_str()) else {
                        continue;
                    };
                    let more = values_at(*place, name, *stands, meaning)?;
                    let marks = vec!["?"; more.len()].join(", ");
                    rendered.push(&marks, *place, Follows::AsOne);
                    values.extend(more);
                }
            }
        }
        Ok(Bound {
            sql: rendered.sql,
            values,
            given: told,
            notes,
            tokens,
            is_of_no_time: days.is_some_and(|days| days.is_of_no_time),
            origins: rendered.origins,
        })
    }

    /// Whether it takes a parameter of this name.
    pub(crate) fn takes(&self, name: &str) -> bool {
        // Without values only the types are not known.
        let parameters = self.parameters_for(&[]).unwrap_or_default();
        parameters.iter().any(|parameter| parameter.name == name)
    }

    /// The parameters: as declared, or where nothing is, those that the text names, with the type
    /// that the value given for each looks like.
    fn parameters_for(&self, given: &[(String, String)]) -> Result<Vec<Parameter>, ParameterError> {
        if self.declares {
            return Ok(self.parameters.clone());
        }
        let mut parameters: Vec<Parameter> = Vec::new();
        let days = self.days_by();
        let times = days.iter().flatten();
        for name in times {
            parameters.push(Parameter::undeclared(name, Kind::Timestamp));
        }
        for (_, piece) in &self.pieces {
            if let Piece::Parameter(name, _) = piece
                && !parameters.iter().any(|p| p.name == *name)
            {
                let kind = typed::kind_of_given(name, given);
                parameters.push(Parameter::undeclared(name, kind));
            }
        }
        Ok(parameters)
    }

    /// What stands for `:days`, where it stands in the text.
    fn days_between(
        &self,
        meanings: &BTreeMap<&str, Meaning>,
    ) -> Result<Option<Days>, ParameterError> {
        let Some([from, to]) = self.days_by() else {
            return Ok(None);
        };
        let time = |name: &str| match meanings.get(name).map(|meaning| &meaning.value) {
            Some(Value::Bigint(time_ms)) => Some(*time_ms),
            Some(Value::Varchar(_) | Value::Double(_) | Value::Boolean(_)) | None => None,
        };
        let (Some(from_ms), Some(to_ms)) = (time(&from), time(&to)) else {
            return Err(ParameterError::NoTimes { from, to });
        };
        match day_predicate(from_ms, to_ms) {
            Some(condition) => Ok(Some(Days {
                condition,
                is_of_no_time: from_ms >= to_ms,
                from,
                to,
            })),
            None => Err(ParameterError::OutsideCalendar { from, to }),
        }
    }
}

/// The days between two times.
struct Days {
    condition: String,
    /// Whether there is none.
    is_of_no_time: bool,
    /// The names of the times.
    from: String,
    to: String,
}

/// The values of a placeholder: one, or in the brackets of IN all names of a token.
fn values_at(
    place: Place,
    name: &str,
    stands: Stands,
    meaning: &Meaning,
) -> Result<Vec<Value>, ParameterError> {
    match stands {
        Stands::InList => Ok(meaning.values()),
        Stands::Compared if meaning.kind == Kind::Token => Err(ParameterError::TwoNames {
            name: name.to_owned(),
            line: place.line,
            column: place.column,
        }),
        Stands::Compared | Stands::Alone => Ok(vec![meaning.value.clone()]),
    }
}

impl Bound {
    /// What a person should know where the answer has no rows and a token was asked for.
    pub(crate) fn note_on_tokens(&self) -> Option<String> {
        let tokens = self.tokens.iter();
        let tokens: Vec<String> = tokens
            .map(|(name, text)| format!("`{name}` {text}"))
            .collect();
        (!tokens.is_empty()).then(|| {
            format!(
                "there are no rows; where {} should have some, names are taken as they are written (BTC is not btc), and `ticksql run last_price -p from=…` tells which there are",
                tokens.join(" with ")
            )
        })
    }
}

/// Where the parts of a statement stood in the text that it was made from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Origins(Vec<(Place, Place, Follows)>);

/// How places inside a part stand for places in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Follows {
    /// Character by character.
    AsItIs,
    /// All of them for the place where it begins.
    AsOne,
}

impl Origins {
    /// The place in the text of a place in the statement.
    pub(crate) fn of(&self, place: Place) -> Place {
        let key = |place: &Place| (place.line, place.column);
        let starts = self.0.iter().rev();
        let mut before = starts.skip_while(|(start, ..)| key(start) > key(&place));
        match before.next() {
            None => place,
            Some((_, origin, Follows::AsOne)) => *origin,
            Some((start, origin, Follows::AsItIs)) if start.line == place.line => Place {
                line: origin.line,
                column: origin.column + (place.column - start.column),
            },
            Some((start, origin, Follows::AsItIs)) => Place {
                line: origin.line + (place.line - start.line),
                column: place.column,
            },
        }
    }
}

#[derive(Default)]
struct Rendered {
    sql: String,
    origins: Origins,
}

impl Rendered {
    fn push(&mut self, part: &str, origin: Place, follows: Follows) {
        let line = 1 + self.sql.matches('\n').count() as u64;
        let last = self.sql.rsplit('\n').next().unwrap_or_default();
        let column = 1 + last.chars().count() as u64;
        let start = Place { line, column };
        self.origins.0.push((start, origin, follows));
        self.sql.push_str(part);
    }
}

#[cfg(test)]
mod tests;
