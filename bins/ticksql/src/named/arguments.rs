//! The arguments of a query: the values passed for its parameters, by name and type.

use query::suggestions;

use super::param_type::ParamType;
use super::parameter::{Parameter, ParameterError};
use super::resolved_param::{ResolvedParam, names_of};

/// The parameters that a query takes.
pub(super) struct DeclaredParameters<'a>(pub(super) &'a [Parameter]);

impl DeclaredParameters<'_> {
    fn message(&self) -> String {
        if self.0.is_empty() {
            return "this query takes no parameters".to_owned();
        }
        let names: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        format!("this query takes {}", names.join(", "))
    }
}

/// Values as they were passed: name, type if one is named, text.
pub(super) struct Arguments<'a>(Vec<(&'a str, Option<ParamType>, &'a str)>);

impl<'a> Arguments<'a> {
    pub(super) fn of(
        pairs: &'a [(String, String)],
        declared: &DeclaredParameters<'_>,
    ) -> Result<Self, ParameterError> {
        let mut arguments: Vec<(&str, Option<ParamType>, &str)> = Vec::new();
        for (key, text) in pairs {
            let (name, kind) = split_key(key);
            let kind = match kind {
                Some(kind) => Some(
                    ParamType::named(kind)
                        .ok_or_else(|| ParameterError::NoType(kind.to_owned()))?,
                ),
                None => None,
            };
            if !declared.0.iter().any(|parameter| parameter.name == name) {
                let names = declared.0.iter().map(|parameter| parameter.name.as_str());
                return Err(ParameterError::Unknown {
                    name: name.to_owned(),
                    suggestions: suggestions(name, names),
                    known: declared.message(),
                });
            }
            if arguments.iter().any(|(before, ..)| *before == name) {
                return Err(ParameterError::Twice(name.to_owned()));
            }
            arguments.push((name, kind, text));
        }
        Ok(Self(arguments))
    }

    fn find(&self, parameter: &Parameter) -> Option<&(&'a str, Option<ParamType>, &'a str)> {
        self.0.iter().find(|(name, ..)| *name == parameter.name)
    }

    pub(super) fn text_of<'p>(
        &self,
        parameter: &'p Parameter,
        declared: &DeclaredParameters<'_>,
    ) -> Result<&'p str, ParameterError>
    where
        'a: 'p,
    {
        let passed = self.find(parameter).map(|(_, _, text)| *text);
        passed
            .or(parameter.default.as_deref())
            .ok_or_else(|| ParameterError::Missing {
                name: parameter.name.clone(),
                kind: parameter.kind,
                known: declared.message(),
            })
    }

    /// The value that a text means.
    pub(super) fn resolve(
        &self,
        parameter: &Parameter,
        text: &str,
        now_ms: i64,
        declared: &DeclaredParameters<'_>,
    ) -> Result<ResolvedParam, ParameterError> {
        let Parameter { name, kind, .. } = parameter;
        let wrong = |kind: ParamType, expected: String| ParameterError::Wrong {
            name: name.clone(),
            kind,
            text: text.to_owned(),
            expected,
            known: declared.message(),
        };
        let asked = self.find(parameter).and_then(|(_, kind, _)| *kind);
        // `token:varchar=NAME` is that name alone.
        let kind = match (kind, asked) {
            (ParamType::Token, Some(ParamType::Varchar)) => ParamType::Varchar,
            (declared, asked) if asked.is_none_or(|asked| asked == *declared) => *declared,
            (declared, _) => {
                let expected = "it is given as another type".to_owned();
                return Err(wrong(*declared, expected));
            }
        };
        let value = kind
            .value(text, now_ms)
            .map_err(|expected| wrong(kind, expected))?;
        let constraint = parameter.constraint.as_ref();
        if let Some(constraint) = constraint.filter(|constraint| !constraint.takes(&value)) {
            return Err(ParameterError::NotAllowed {
                name: name.clone(),
                text: text.to_owned(),
                constraint: constraint.in_words(),
                known: declared.message(),
            });
        }
        let names = match kind {
            ParamType::Token => names_of(text),
            ParamType::Varchar
            | ParamType::Bigint
            | ParamType::Double
            | ParamType::Boolean
            | ParamType::Timestamp => Vec::new(),
        };
        Ok(ResolvedParam { kind, value, names })
    }
}

/// The name of `name` or `name:type`.
pub(crate) fn name_of(key: &str) -> Result<&str, ParameterError> {
    let (name, kind) = split_key(key);
    match kind {
        Some(kind) if ParamType::named(kind).is_none() => {
            Err(ParameterError::NoType(kind.to_owned()))
        }
        Some(_) | None => Ok(name),
    }
}

/// `name` or `name:type`.
pub(crate) fn split_key(key: &str) -> (&str, Option<&str>) {
    match key.split_once(':') {
        Some((name, kind)) => (name, Some(kind)),
        None => (key, None),
    }
}

/// The type of a value that no header declares: the one named with it, or the one that it looks like.
pub(super) fn kind_of_argument(name: &str, pairs: &[(String, String)]) -> ParamType {
    let mut pairs = pairs.iter();
    let Some((key, text)) = pairs.find(|(key, _)| split_key(key).0 == name) else {
        return ParamType::Varchar;
    };
    let named = split_key(key).1.and_then(ParamType::named);
    let looks_like = || {
        let fits = |kind: &ParamType| kind.value(text, 0).is_ok();
        let mut kinds = [ParamType::Bigint, ParamType::Double, ParamType::Boolean].into_iter();
        kinds.find(fits).unwrap_or(ParamType::Varchar)
    };
    named.unwrap_or_else(looks_like)
}
