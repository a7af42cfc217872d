//! Which values of its type a parameter takes: `[1..100]`, `[0..]`, `[tick|token]`.

use std::cmp::Ordering;
use std::fmt;

use query::Value;

use super::param_type::ParamType;

/// The values that a parameter takes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Constraint {
    /// Numbers between two bounds, both included; a missing bound is that of the type.
    Range {
        /// The lowest.
        low: Option<Value>,
        /// The highest.
        high: Option<Value>,
    },
    /// One of these texts.
    OneOf(Vec<String>),
}

impl Constraint {
    /// Parses the text in square brackets. `None` if it has no meaning for the type.
    pub(super) fn parse(text: &str, kind: ParamType) -> Option<Self> {
        if kind == ParamType::Varchar {
            let texts: Vec<String> = text.split('|').map(|text| text.trim().to_owned()).collect();
            return (!texts.iter().any(String::is_empty)).then_some(Self::OneOf(texts));
        }
        if !matches!(kind, ParamType::Bigint | ParamType::Double) {
            return None;
        }
        let (low, high) = text.split_once("..")?;
        let bound = |text: &str| match text.trim() {
            "" => Some(None),
            text => kind.value(text, 0).ok().map(Some),
        };
        let (low, high) = (bound(low)?, bound(high)?);
        let sound = match (&low, &high) {
            (None, None) => false,
            (Some(low), Some(high)) => order(low, high) == Some(Ordering::Less),
            (Some(_), None) | (None, Some(_)) => true,
        };
        sound.then_some(Self::Range { low, high })
    }

    pub(super) fn takes(&self, value: &Value) -> bool {
        match self {
            Self::Range { low, high } => {
                let beyond = |end: &Option<Value>, outside: Ordering| {
                    let order = end.as_ref().map(|end| order(value, end));
                    order.is_some_and(|order| order.is_none_or(|order| order == outside))
                };
                !beyond(low, Ordering::Less) && !beyond(high, Ordering::Greater)
            }
            Self::OneOf(texts) => {
                matches!(value, Value::Varchar(text) if texts.contains(text))
            }
        }
    }

    /// The constraint in words: `1 to 100`, `at least 0`, `tick or token`.
    pub(super) fn in_words(&self) -> String {
        match self {
            Self::Range { low, high } => {
                match (low.as_ref().map(shown), high.as_ref().map(shown)) {
                    (Some(low), Some(high)) => format!("{low} to {high}"),
                    (Some(low), None) => format!("at least {low}"),
                    (None, Some(high)) => format!("at most {high}"),
                    (None, None) => String::new(),
                }
            }
            Self::OneOf(texts) => texts.join(" or "),
        }
    }
}

/// As it is written in a header, without the brackets.
impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Range { low, high } => {
                let end = |end: &Option<Value>| end.as_ref().map(shown).unwrap_or_default();
                write!(f, "{}..{}", end(low), end(high))
            }
            Self::OneOf(texts) => f.write_str(&texts.join("|")),
        }
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Varchar(text) => text.clone(),
        Value::Bigint(number) => number.to_string(),
        Value::Double(number) => number.to_string(),
        Value::Boolean(truth) => truth.to_string(),
    }
}

/// The order of two numbers of one type.
fn order(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::Bigint(a), Value::Bigint(b)) => Some(a.cmp(b)),
        (Value::Double(a), Value::Double(b)) => a.partial_cmp(b),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_included() {
        let check = |text: &str, kind: ParamType, inside: &[&str], outside: &[&str]| {
            let constraint = Constraint::parse(text, kind).unwrap();
            assert_eq!(constraint.to_string(), text);
            let takes = |value: &&str| constraint.takes(&kind.value(value, 0).unwrap());
            assert!(inside.iter().all(takes), "{text}: {inside:?}");
            assert!(!outside.iter().any(takes), "{text}: {outside:?}");
        };
        check("1..5", ParamType::Bigint, &["1", "5"], &["0", "6", "-3"]);
        check(
            "0..",
            ParamType::Bigint,
            &["0", "9223372036854775807"],
            &["-1", "-9223372036854775808"],
        );
        check("..-2", ParamType::Bigint, &["-2"], &["-1", "0"]);
        check(
            "0..100",
            ParamType::Double,
            &["0", "99.9", "100"],
            &["-0.1", "100.1"],
        );
        check("0.5..", ParamType::Double, &["0.5"], &["0.49"]);
        check(
            "tick|token",
            ParamType::Varchar,
            &["tick"],
            &["Tick", "", "tick|token"],
        );
    }

    #[test]
    fn a_constraint_without_a_meaning_is_none() {
        let check =
            |text: &str, kind: ParamType| assert_eq!(Constraint::parse(text, kind), None, "{text}");
        check("..", ParamType::Bigint);
        check("5", ParamType::Bigint);
        check("5..1", ParamType::Bigint);
        check("1..1", ParamType::Double);
        check("1.5..2", ParamType::Bigint);
        check("a..b", ParamType::Double);
        check("a|", ParamType::Varchar);
        check("", ParamType::Varchar);
        check("1..2", ParamType::Timestamp);
        check("true|false", ParamType::Boolean);
        check("a|b", ParamType::Token);
    }

    #[test]
    fn a_constraint_is_put_in_words() {
        let check = |text: &str, kind: ParamType, expected: &str| {
            assert_eq!(Constraint::parse(text, kind).unwrap().in_words(), expected);
        };
        check("1..5", ParamType::Bigint, "1 to 5");
        check("0..", ParamType::Double, "at least 0");
        check("..7", ParamType::Bigint, "at most 7");
        check("a|b|c", ParamType::Varchar, "a or b or c");
    }
}
