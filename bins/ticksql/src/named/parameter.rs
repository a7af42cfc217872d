//! Parameters, and why values do not fit them.

use std::fmt;

use query::{Position, at, did_you_mean};

use super::constraint::Constraint;
use super::param_type::ParamType;

/// Something that a query takes.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// How it is named, in lower case or not.
    pub name: String,
    /// Its type.
    pub kind: ParamType,
    /// Which values of the type it takes; all if nothing is said.
    pub constraint: Option<Constraint>,
    /// Its value if none is given; a parameter without a default is required.
    pub default: Option<String>,
    /// What it is for.
    pub description: String,
}

impl Parameter {
    pub(super) fn undeclared(name: &str, kind: ParamType) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            constraint: None,
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
        if let Some(constraint) = &self.constraint {
            write!(f, " {constraint}")?;
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
    #[error("no parameter `{name}`{} ({known})", did_you_mean(suggestions))]
    Unknown {
        /// The name.
        name: String,
        /// Those that could be meant.
        suggestions: Vec<String>,
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
        kind: ParamType,
        /// What the query takes.
        known: String,
    },
    /// The value is not of the parameter's type.
    #[error("`{text}` is not a valid {kind} for `{name}`: {expected}; {known}")]
    Wrong {
        /// The parameter.
        name: String,
        /// Its type.
        kind: ParamType,
        /// What was given.
        text: String,
        /// What is valid.
        expected: String,
        /// What the query takes.
        known: String,
    },
    /// The value has the right type and is outside what the parameter takes.
    #[error("`{name}` must be {constraint}, not `{text}`; {known}")]
    NotAllowed {
        /// The parameter.
        name: String,
        /// What was given.
        text: String,
        /// What is valid.
        constraint: String,
        /// What the query takes.
        known: String,
    },
    /// A token is compared as if it had one name.
    #[error(
        "`{name}` is a token, which can have two names (symbol and mint): write `IN (:{name})`{}",
        at(Some(*position))
    )]
    TwoNames {
        /// The parameter.
        name: String,
        /// Where it is in the text.
        position: Position,
    },
    /// `name:type` names an unknown type.
    #[error("`{0}` is not a type: use {types}", types = ParamType::names())]
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
