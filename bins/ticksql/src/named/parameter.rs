//! Parameters and their values, by type.

use std::fmt;

use query::Value;

use super::constraint::Constraint;
use super::times;
use crate::phrases::did_you_mean;

/// The type of a parameter.
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

    /// The value that a text means.
    pub(super) fn value(self, text: &str, now_ms: i64) -> Result<Value, String> {
        match self {
            Self::Token | Self::Varchar => Ok(Value::Varchar(text.to_owned())),
            Self::Bigint => {
                let number = text.trim().parse().map(Value::Bigint);
                number.map_err(|_| "expected a whole number".to_owned())
            }
            Self::Double => match text.trim().parse::<f64>() {
                Ok(number) if number.is_finite() => Ok(Value::Double(number)),
                Ok(_) | Err(_) => Err("expected a number".to_owned()),
            },
            Self::Boolean => match text.trim().to_ascii_lowercase().as_str() {
                "true" => Ok(Value::Boolean(true)),
                "false" => Ok(Value::Boolean(false)),
                _ => Err("expected true or false".to_owned()),
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
    /// Which values of the type it takes; all if nothing is said.
    pub allowed: Option<Constraint>,
    /// Its value if none is given; a parameter without a default is required.
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
    #[error("no parameter `{name}`{} ({known})", did_you_mean(nearest))]
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
    #[error("`{name}` is missing: pass --param {name}=VALUE (a {kind}); {known}")]
    Missing {
        /// The parameter.
        name: String,
        /// Its type.
        kind: Kind,
        /// What the query takes.
        known: String,
    },
    /// The value is not of the parameter's type.
    #[error("`{text}` is not a valid {kind} for `{name}`: {expected}; {known}")]
    Wrong {
        /// The parameter.
        name: String,
        /// Its type.
        kind: Kind,
        /// What was given.
        text: String,
        /// What is valid.
        expected: String,
        /// What the query takes.
        known: String,
    },
    /// The value has the right type and is outside what the parameter takes.
    #[error("`{name}` must be {allowed}, not `{text}`; {known}")]
    NotAllowed {
        /// The parameter.
        name: String,
        /// What was given.
        text: String,
        /// What is valid.
        allowed: String,
        /// What the query takes.
        known: String,
    },
    /// A token is compared as if it had one name.
    #[error(
        "`{name}` is a token, which can have two names (symbol and mint): write `IN (:{name})` at line {line}, column {column}"
    )]
    TwoNames {
        /// The parameter.
        name: String,
        /// The line of its place in the text, from 1.
        line: u64,
        /// The column, from 1.
        column: u64,
    },
    /// `name:type` names an unknown type.
    #[error("`{0}` is not a type: use {types}", types = Kind::names())]
    NoType(String),
    /// The two parameters of `:days` are not timestamps.
    #[error("`:days` needs `{from}` and `{to}` to be timestamps")]
    NoTimes {
        /// The first.
        from: String,
        /// The second.
        to: String,
    },
    /// The range has days outside the calendar.
    #[error("`{from}` and `{to}` are outside the calendar")]
    OutsideCalendar {
        /// The first.
        from: String,
        /// The second.
        to: String,
    },
}
