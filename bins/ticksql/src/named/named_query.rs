//! A query: its header, its text, and how values are bound to it.

use std::collections::BTreeMap;

use query::{Position, Value, day_predicate};

use super::arguments::{Arguments, DeclaredParameters, kind_of_argument};
use super::bound_query::BoundQuery;
use super::days_placeholder::TIMES;
use super::header::{self, HeaderError};
use super::param_type::ParamType;
use super::parameter::{Parameter, ParameterError};
use super::placeholder::{Placeholder, PlaceholderContext, Token, tokens};
use super::resolved_param::ResolvedParam;
use super::source_map::{BoundPlaceholder, Follows, StatementText};

/// A query, with what its header says.
#[derive(Debug, Clone)]
pub(crate) struct Query {
    /// What it answers, in one line; may be empty.
    pub(crate) title: String,
    /// What it takes, in the order of the header.
    pub(crate) parameters: Vec<Parameter>,
    /// Whether the header declares parameters. Otherwise each value determines its type.
    declares: bool,
    /// The two parameters that `:days` uses.
    days: Option<[String; 2]>,
    tokens: Vec<(Position, Token)>,
}

impl Query {
    /// Reads a query.
    ///
    /// # Errors
    /// [`HeaderError`] if the header or a placeholder is invalid, with its line.
    pub(crate) fn parse(text: &str) -> Result<Self, HeaderError> {
        let header = header::parse(text)?;
        let body = text.lines().skip(header.lines).collect::<Vec<_>>();
        let body = body.join("\n");
        let first_line = 1 + header.lines as u64;
        let tokens = tokens(without_end(body.trim_end()), first_line)?;
        let query = Self {
            declares: header.declares(),
            title: header.title,
            parameters: header.parameters,
            days: header.days,
            tokens,
        };
        query.check()?;
        Ok(query)
    }

    /// Checks that everything declared is used, and everything used is declared.
    fn check(&self) -> Result<(), HeaderError> {
        if !self.declares {
            return Ok(());
        }
        let declared = |name: &str| self.parameters.iter().any(|p| p.name == name);
        for (position, token) in &self.tokens {
            let line = position.line;
            match token {
                Token::Days if self.days.is_none() => return Err(HeaderError::NoDays { line }),
                Token::Placeholder(placeholder) if !declared(&placeholder.name) => {
                    let name = placeholder.name.clone();
                    return Err(HeaderError::NotDeclared { line, name });
                }
                Token::Days | Token::Placeholder(_) | Token::Text(_) => {}
            }
        }
        let uses = |name: &str| {
            let mut tokens = self.tokens.iter();
            tokens.any(|(_, token)| matches!(token, Token::Placeholder(used) if used.name == name))
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

    /// The parameters that `:days` uses, if the text has it.
    fn days_by(&self) -> Option<[String; 2]> {
        let used = self.tokens.iter().any(|(_, token)| *token == Token::Days);
        used.then(|| self.days.clone().unwrap_or(TIMES.map(str::to_owned)))
    }

    /// The statement with values: those given as name and text, and defaults for the others.
    /// `now_ms` is what `now` means, in milliseconds since the epoch.
    ///
    /// # Errors
    /// [`ParameterError`] if a name is unknown, a value is missing or does not fit its type; it
    /// lists the parameters.
    pub(crate) fn bind(
        &self,
        given: &[(String, String)],
        now_ms: i64,
    ) -> Result<BoundQuery, ParameterError> {
        let parameters = self.parameters_for(given)?;
        let declared = DeclaredParameters(&parameters);
        let arguments = Arguments::of(given, &declared)?;
        let mut notes = Vec::new();
        let mut resolved = BTreeMap::new();
        let (mut shown, mut tokens) = (Vec::new(), Vec::new());
        for parameter in &parameters {
            let name = parameter.name.as_str();
            let text = arguments.text_of(parameter, &declared)?;
            let param = arguments.resolve(parameter, text, now_ms, &declared)?;
            notes.extend(param.note(name));
            if parameter.kind == ParamType::Token && !text.is_empty() {
                tokens.push((name.to_owned(), text.to_owned()));
            }
            shown.push((name.to_owned(), text.to_owned()));
            resolved.insert(name, param);
        }
        let days = self.days_between(&resolved)?;
        if let Some(Days {
            from,
            to,
            range_is_empty: true,
            ..
        }) = &days
        {
            notes.push(format!("`{from}` is not before `{to}`: the range is empty"));
        }
        let mut text = StatementText::default();
        let (mut values, mut placeholders) = (Vec::new(), Vec::new());
        for (position, token) in &self.tokens {
            match token {
                Token::Text(part) => text.push(part, *position, Follows::AsItIs),
                Token::Days => {
                    let condition = days.as_ref().map(|days| days.condition.as_str());
                    text.push(condition.unwrap_or_default(), *position, Follows::AsOne);
                }
                Token::Placeholder(placeholder) => {
                    let Some(param) = resolved.get(placeholder.name.as_str()) else {
                        continue;
                    };
                    let more = values_at(*position, placeholder, param)?;
                    for number in 0..more.len() {
                        let separator = if number == 0 { "" } else { ", " };
                        text.push(separator, *position, Follows::AsOne);
                        placeholders.push(BoundPlaceholder {
                            offset: text.sql.len(),
                            context: placeholder.context,
                            in_where: placeholder.in_where,
                        });
                        text.push("?", *position, Follows::AsOne);
                    }
                    values.extend(more);
                }
            }
        }
        Ok(BoundQuery {
            sql: text.sql,
            values,
            given: shown,
            notes,
            tokens,
            range_is_empty: days.is_some_and(|days| days.range_is_empty),
            placeholders,
            source_map: text.source_map,
        })
    }

    /// Whether it takes a parameter of this name.
    pub(crate) fn takes(&self, name: &str) -> bool {
        // Without values, only the types are unknown.
        let parameters = self.parameters_for(&[]).unwrap_or_default();
        parameters.iter().any(|parameter| parameter.name == name)
    }

    /// The parameters: as declared, or without a declaration those that the text names, each with the
    /// type that its value looks like.
    fn parameters_for(&self, given: &[(String, String)]) -> Result<Vec<Parameter>, ParameterError> {
        if self.declares {
            return Ok(self.parameters.clone());
        }
        let mut parameters: Vec<Parameter> = Vec::new();
        let days = self.days_by();
        let times = days.iter().flatten();
        for name in times {
            parameters.push(Parameter::undeclared(name, ParamType::Timestamp));
        }
        for (_, token) in &self.tokens {
            if let Token::Placeholder(Placeholder { name, .. }) = token
                && !parameters.iter().any(|p| p.name == *name)
            {
                let kind = kind_of_argument(name, given);
                parameters.push(Parameter::undeclared(name, kind));
            }
        }
        Ok(parameters)
    }

    /// What replaces `:days`, if the text has it.
    fn days_between(
        &self,
        resolved: &BTreeMap<&str, ResolvedParam>,
    ) -> Result<Option<Days>, ParameterError> {
        let Some([from, to]) = self.days_by() else {
            return Ok(None);
        };
        let time = |name: &str| match resolved.get(name).map(|param| &param.value) {
            Some(Value::Bigint(time_ms)) => Some(*time_ms),
            Some(Value::Varchar(_) | Value::Double(_) | Value::Boolean(_)) | None => None,
        };
        let (Some(from_ms), Some(to_ms)) = (time(&from), time(&to)) else {
            return Err(ParameterError::NoTimes { from, to });
        };
        match day_predicate(from_ms, to_ms) {
            Some(condition) => Ok(Some(Days {
                condition,
                range_is_empty: from_ms >= to_ms,
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
    /// Whether it is an empty range.
    range_is_empty: bool,
    /// The names of the times.
    from: String,
    to: String,
}

/// The values of a placeholder: one, or in an IN list all names of a token.
fn values_at(
    position: Position,
    placeholder: &Placeholder,
    param: &ResolvedParam,
) -> Result<Vec<Value>, ParameterError> {
    match placeholder.context {
        PlaceholderContext::InList => Ok(param.values()),
        PlaceholderContext::Compared if param.kind == ParamType::Token => {
            Err(ParameterError::TwoNames {
                name: placeholder.name.clone(),
                position,
            })
        }
        PlaceholderContext::Compared | PlaceholderContext::RowCount | PlaceholderContext::Alone => {
            Ok(vec![param.value.clone()])
        }
    }
}

/// A statement without the semicolon that ends it. Two are an error, which the engine reports.
fn without_end(sql: &str) -> &str {
    match sql.strip_suffix(';') {
        Some(rest) if !rest.trim_end().ends_with(';') => rest,
        _ => sql,
    }
}
