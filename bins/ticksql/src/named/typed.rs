//! Parameters and their values, by type.

use std::fmt;

use query::{Value, nearest};

use super::allowed::Allowed;
use super::meaning::{Meaning, names_of};
use super::times;

/// The type of a parameter, as people give it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A token's symbol or mint address; a varchar in SQL, and in `IN (:name)` both of a known one.
    Token,
    /// A text.
    Varchar,
    /// A whole number.
    Bigint,
    /// A number.
    Double,
    /// true or false.
    Boolean,
    /// A moment; a bigint of milliseconds since the epoch in SQL.
    Timestamp,
}

/// The types by name.
const KINDS: [(&str, Kind); 6] = [
    ("token", Kind::Token),
    ("varchar", Kind::Varchar),
    ("bigint", Kind::Bigint),
    ("double", Kind::Double),
    ("boolean", Kind::Boolean),
    ("timestamp", Kind::Timestamp),
];

impl Kind {
    /// The type of a name.
    pub(super) fn named(name: &str) -> Option<Self> {
        let mut kinds = KINDS.iter();
        kinds
            .find(|(known, _)| *known == name)
            .map(|(_, kind)| *kind)
    }

    /// All names, for messages.
    pub(super) fn names() -> String {
        KINDS.map(|(name, _)| name).join(", ")
    }

    /// The value that a text stands for.
    pub(super) fn value(self, text: &str, now_ms: i64) -> Result<Value, String> {
        match self {
            Self::Token | Self::Varchar => Ok(Value::Varchar(text.to_owned())),
            Self::Bigint => {
                let number = text.trim().parse().map(Value::Bigint);
                number.map_err(|_| "a whole number is expected".to_owned())
            }
            Self::Double => match text.trim().parse::<f64>() {
                Ok(number) if number.is_finite() => Ok(Value::Double(number)),
                Ok(_) | Err(_) => Err("a number is expected".to_owned()),
            },
            Self::Boolean => match text.trim().to_ascii_lowercase().as_str() {
                "true" => Ok(Value::Boolean(true)),
                "false" => Ok(Value::Boolean(false)),
                _ => Err("true or false is expected".to_owned()),
            },
            Self::Timestamp => times::parse(text, now_ms).map(Value::Bigint),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut kinds = KINDS.iter();
        let name = kinds.find(|(_, kind)| kind == self).map(|(name, _)| *name);
        f.write_str(name.unwrap_or_default())
    }
}

/// Something that a query takes.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// How it is named, in lower case or not.
    pub name: String,
    /// Its type.
    pub kind: Kind,
    /// Which values of the type it takes; all of them where nothing is said.
    pub allowed: Option<Allowed>,
    /// What it is where it is not given; without a default it must be.
    pub default: Option<String>,
    /// What it is for.
    pub description: String,
}

impl Parameter {
    pub(super) fn undeclared(name: &str, kind: Kind) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            allowed: None,
            default: None,
            description: String::new(),
        }
    }
}

/// `quote (varchar, USDC)`, `top (bigint 1.., 20)`.
impl fmt::Display for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, kind, .. } = self;
        write!(f, "{name} ({kind}")?;
        if let Some(allowed) = &self.allowed {
            write!(f, " {allowed}")?;
        }
        match self.default.as_deref() {
            Some("") => f.write_str(", '')"),
            Some(default) => write!(f, ", {default})"),
            None => f.write_str(")"),
        }
    }
}

/// Why values do not fit a query.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParameterError {
    /// The query takes no parameter of that name.
    #[error("no parameter `{name}`{}; {known}", did_you_mean(nearest))]
    Unknown {
        /// The name.
        name: String,
        /// Those that could be meant.
        nearest: Vec<String>,
        /// What the query takes.
        known: String,
    },
    /// A value was given more than once.
    #[error("`{0}` is given twice")]
    Twice(String),
    /// There is neither a value nor a default.
    #[error("`{name}` is missing: give --param {name}=VALUE (a {kind}); {known}")]
    Missing {
        /// The parameter.
        name: String,
        /// Its type.
        kind: Kind,
        /// What the query takes.
        known: String,
    },
    /// The value is not of the parameter's type.
    #[error("`{name}` is a {kind}, which `{text}` is not: {expected}; {known}")]
    Wrong {
        /// The parameter.
        name: String,
        /// Its type.
        kind: Kind,
        /// What was given.
        text: String,
        /// What would do.
        expected: String,
        /// What the query takes.
        known: String,
    },
    /// The value is of the type, and none that the parameter takes.
    #[error("`{name}` must be {allowed}, which `{text}` is not; {known}")]
    NotAllowed {
        /// The parameter.
        name: String,
        /// What was given.
        text: String,
        /// What would do.
        allowed: String,
        /// What the query takes.
        known: String,
    },
    /// A token is compared as if it had one name.
    #[error(
        "`{name}` is a token, which may have two names, a symbol and a mint: write `IN (:{name})` at line {line}, column {column}"
    )]
    TwoNames {
        /// The parameter.
        name: String,
        /// The line of its place in the text, from 1.
        line: u64,
        /// The column, from 1.
        column: u64,
    },
    /// `name:type` has a type that there is not.
    #[error("`{0}` is no type: token, varchar, bigint, double, boolean, timestamp")]
    NoType(String),
    /// The two parameters of `:days` are no timestamps.
    #[error("`:days` goes by `{from}` and `{to}`, which must be timestamps")]
    NoTimes {
        /// The first.
        from: String,
        /// The second.
        to: String,
    },
    /// The range has days that no calendar has.
    #[error("`{from}` and `{to}` reach beyond the calendar")]
    OutsideCalendar {
        /// The first.
        from: String,
        /// The second.
        to: String,
    },
}

fn did_you_mean(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    if names.is_empty() {
        String::new()
    } else {
        format!(" (did you mean {}?)", names.join(" or "))
    }
}

/// What a query takes.
pub(super) struct Known<'a>(pub(super) &'a [Parameter]);

impl Known<'_> {
    fn told(&self) -> String {
        if self.0.is_empty() {
            return "this query takes no parameters".to_owned();
        }
        let names: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        format!("this query takes {}", names.join(", "))
    }
}

/// Values as they were given: name, type where one is told, text.
pub(super) struct Given<'a>(Vec<(&'a str, Option<Kind>, &'a str)>);

impl<'a> Given<'a> {
    pub(super) fn of(
        pairs: &'a [(String, String)],
        known: &Known<'_>,
    ) -> Result<Self, ParameterError> {
        let mut given: Vec<(&str, Option<Kind>, &str)> = Vec::new();
        for (key, text) in pairs {
            let (name, kind) = name_and_kind(key);
            let kind = match kind {
                Some(kind) => {
                    Some(Kind::named(kind).ok_or_else(|| ParameterError::NoType(kind.to_owned()))?)
                }
                None => None,
            };
            if !known.0.iter().any(|parameter| parameter.name == name) {
                let names = known.0.iter().map(|parameter| parameter.name.as_str());
                return Err(ParameterError::Unknown {
                    name: name.to_owned(),
                    nearest: nearest(name, names),
                    known: known.told(),
                });
            }
            if given.iter().any(|(before, ..)| *before == name) {
                return Err(ParameterError::Twice(name.to_owned()));
            }
            given.push((name, kind, text));
        }
        Ok(Self(given))
    }

    fn find(&self, parameter: &Parameter) -> Option<&(&'a str, Option<Kind>, &'a str)> {
        self.0.iter().find(|(name, ..)| *name == parameter.name)
    }

    pub(super) fn text_of<'p>(
        &self,
        parameter: &'p Parameter,
        known: &Known<'_>,
    ) -> Result<&'p str, ParameterError>
    where
        'a: 'p,
    {
        let given = self.find(parameter).map(|(_, _, text)| *text);
        given
            .or(parameter.default.as_deref())
            .ok_or_else(|| ParameterError::Missing {
                name: parameter.name.clone(),
                kind: parameter.kind,
                known: known.told(),
            })
    }

    /// What a text stands for.
    pub(super) fn meaning_of(
        &self,
        parameter: &Parameter,
        text: &str,
        now_ms: i64,
        known: &Known<'_>,
    ) -> Result<Meaning, ParameterError> {
        let Parameter { name, kind, .. } = parameter;
        let wrong = |kind: Kind, expected: String| ParameterError::Wrong {
            name: name.clone(),
            kind,
            text: text.to_owned(),
            expected,
            known: known.told(),
        };
        let told = self.find(parameter).and_then(|(_, kind, _)| *kind);
        // A token that is told to be a varchar is taken as it stands.
        let kind = match (kind, told) {
            (Kind::Token, Some(Kind::Varchar)) => Kind::Varchar,
            (declared, told) if told.is_none_or(|told| told == *declared) => *declared,
            (declared, _) => {
                let expected = "it is told to be of another type".to_owned();
                return Err(wrong(*declared, expected));
            }
        };
        let value = kind
            .value(text, now_ms)
            .map_err(|expected| wrong(kind, expected))?;
        let allowed = parameter.allowed.as_ref();
        if let Some(allowed) = allowed.filter(|allowed| !allowed.takes(&value)) {
            return Err(ParameterError::NotAllowed {
                name: name.clone(),
                text: text.to_owned(),
                allowed: allowed.in_words(),
                known: known.told(),
            });
        }
        let names = match kind {
            Kind::Token => names_of(text),
            Kind::Varchar | Kind::Bigint | Kind::Double | Kind::Boolean | Kind::Timestamp => {
                Vec::new()
            }
        };
        Ok(Meaning { kind, value, names })
    }
}

/// The name of `name` or `name:type`.
pub(crate) fn name_of(key: &str) -> Result<&str, ParameterError> {
    let (name, kind) = name_and_kind(key);
    match kind {
        Some(kind) if Kind::named(kind).is_none() => Err(ParameterError::NoType(kind.to_owned())),
        Some(_) | None => Ok(name),
    }
}

/// `name` or `name:type`.
fn name_and_kind(key: &str) -> (&str, Option<&str>) {
    match key.split_once(':') {
        Some((name, kind)) => (name, Some(kind)),
        None => (key, None),
    }
}

/// The type of a value that no header declares: the one told, or the one that it looks like.
pub(super) fn kind_of_given(name: &str, given: &[(String, String)]) -> Kind {
    let mut pairs = given.iter();
    let Some((key, text)) = pairs.find(|(key, _)| name_and_kind(key).0 == name) else {
        return Kind::Varchar;
    };
    let told = name_and_kind(key).1.and_then(Kind::named);
    let looks_like = || {
        let fits = |kind: &Kind| kind.value(text, 0).is_ok();
        let mut kinds = [Kind::Bigint, Kind::Double, Kind::Boolean].into_iter();
        kinds.find(fits).unwrap_or(Kind::Varchar)
    };
    told.unwrap_or_else(looks_like)
}
