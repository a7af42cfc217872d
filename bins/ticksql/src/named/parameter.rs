//! Parameters, and why values do not fit them.

use std::fmt;

use query::{Position, at, did_you_mean};

use super::constraint::Constraint;
use super::param_type::ParamType;

/// Something that a query takes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Parameter {
    pub(crate) name: String,
    pub(crate) kind: ParamType,
    /// Which values of the type it takes; all if nothing is said.
    pub(crate) constraint: Option<Constraint>,
    /// Its value if none is given; a parameter without a default is required.
    pub(crate) default: Option<String>,
}

impl Parameter {
    pub(super) fn undeclared(name: &str, kind: ParamType) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            constraint: None,
            default: None,
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
pub(crate) enum ParameterError {
    /// The query takes no parameter of that name.
    #[error("no parameter `{name}`{} ({known})", did_you_mean(suggestions))]
    Unknown {
        name: String,
        suggestions: Vec<String>,
        known: String,
    },
    /// A value was given more than once.
    #[error("`{0}` is given twice")]
    Twice(String),
    /// There is neither a value nor a default.
    #[error("`{name}` is missing: pass --param {name}=VALUE (a {kind}); {known}")]
    Missing {
        name: String,
        kind: ParamType,
        known: String,
    },
    /// The value is not of the parameter's type.
    #[error("`{text}` is not a valid {kind} for `{name}`: {expected}; {known}")]
    Wrong {
        name: String,
        kind: ParamType,
        text: String,
        expected: String,
        known: String,
    },
    /// The value has the right type and is outside what the parameter takes.
    #[error("`{name}` must be {constraint}, not `{text}`; {known}")]
    NotAllowed {
        name: String,
        text: String,
        constraint: String,
        known: String,
    },
    /// A token is compared as if it had one name.
    #[error(
        "`{name}` is a token, which can have two names (symbol and mint): write `IN (:{name})`{}",
        at(Some(*position))
    )]
    TwoNames { name: String, position: Position },
    /// `name:type` names an unknown type.
    #[error("`{0}` is not a type: use {types}", types = ParamType::names())]
    NoType(String),
    /// The two parameters of `:days` are not timestamps.
    #[error("`:days` needs `{from}` and `{to}` to be timestamps")]
    NoTimes { from: String, to: String },
    /// The range has days outside the calendar.
    #[error("`{from}` and `{to}` are outside the calendar")]
    OutsideCalendar { from: String, to: String },
}
