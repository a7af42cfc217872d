//! The types of parameters, and the values that texts mean in each.

use std::fmt;

use query::Value;

use super::times;

/// The type of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ParamType {
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
const TYPES: [(&str, ParamType); 6] = [
    ("token", ParamType::Token),
    ("varchar", ParamType::Varchar),
    ("bigint", ParamType::Bigint),
    ("double", ParamType::Double),
    ("boolean", ParamType::Boolean),
    ("timestamp", ParamType::Timestamp),
];

impl ParamType {
    /// The type of a name.
    pub(super) fn named(name: &str) -> Option<Self> {
        let mut kinds = TYPES.iter();
        kinds
            .find(|(known, _)| *known == name)
            .map(|(_, kind)| *kind)
    }

    /// All names, for messages.
    pub(super) fn names() -> String {
        TYPES.map(|(name, _)| name).join(", ")
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

impl fmt::Display for ParamType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut kinds = TYPES.iter();
        let name = kinds.find(|(_, kind)| kind == self).map(|(name, _)| *name);
        f.write_str(name.unwrap_or_default())
    }
}
