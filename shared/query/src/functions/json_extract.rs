//! One value of a JSON text by its path, for the entries of the quarantine.

use std::sync::Arc;

use datafusion::arrow::array::{Array as _, ArrayRef, AsArray as _, StringArray};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::exec_err;
use datafusion::error::Result;
use serde_json::Value;

use super::arg_type::ArgType;
use super::scalar_function::{Returns, Scalar, argument};

pub(super) fn functions() -> Vec<Scalar> {
    vec![Scalar::new(
        "json_extract_scalar",
        &[&[ArgType::Text, ArgType::Text]],
        Returns::Type(DataType::Utf8),
        json_extract_scalar,
    )]
}

/// A step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
}

/// NULL if the text is not JSON, the path leads nowhere, or to an object, an array or null.
fn json_extract_scalar(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let texts = argument(arguments, 0)?.as_string_view();
    let paths = argument(arguments, 1)?.as_string_view();
    // Nearly always the same one for all rows.
    let mut parsed: Option<(&str, Vec<Step>)> = None;
    let mut values = Vec::with_capacity(texts.len());
    for (text, path) in texts.iter().zip(paths) {
        let (Some(text), Some(path)) = (text, path) else {
            values.push(None);
            continue;
        };
        let steps = match parsed.take() {
            Some((known, steps)) if known == path => steps,
            _ => match steps(path) {
                Some(steps) => steps,
                None => {
                    return exec_err!(
                        "'{path}' is not a path: write one such as $.a.b[0] or $[\"a b\"]"
                    );
                }
            },
        };
        values.push(scalar(text, &steps));
        parsed = Some((path, steps));
    }
    Ok(Arc::new(StringArray::from(values)))
}

fn steps(path: &str) -> Option<Vec<Step>> {
    let mut rest = path.strip_prefix('$')?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if let Some(name) = rest.strip_prefix('.') {
            let end = name.find(['.', '[']).unwrap_or(name.len());
            let (key, after) = name.split_at_checked(end)?;
            steps.push(Step::Key((!key.is_empty()).then(|| key.to_owned())?));
            rest = after;
        } else if let Some(quoted) = rest.strip_prefix("[\"") {
            let (key, after) = quoted.split_once("\"]")?;
            steps.push(Step::Key(key.to_owned()));
            rest = after;
        } else {
            let (index, after) = rest.strip_prefix('[')?.split_once(']')?;
            steps.push(Step::Index(index.parse().ok()?));
            rest = after;
        }
    }
    Some(steps)
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "objects, arrays and null are not scalars"
)]
fn scalar(text: &str, steps: &[Step]) -> Option<String> {
    let document: Value = serde_json::from_str(text).ok()?;
    let found = steps.iter().try_fold(&document, |value, step| match step {
        Step::Key(key) => value.get(key),
        Step::Index(index) => value.get(index),
    })?;
    match found {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(found.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_leads_to_a_scalar_or_nowhere() {
        let text = r#"{"a": {"b c": [1, "two", true, null]}, "n": 1.50}"#;
        let found = |path| scalar(text, &steps(path).unwrap());
        assert_eq!(found(r#"$.a["b c"][0]"#).as_deref(), Some("1"));
        assert_eq!(found(r#"$.a["b c"][1]"#).as_deref(), Some("two"));
        assert_eq!(found(r#"$.a["b c"][2]"#).as_deref(), Some("true"));
        assert_eq!(found("$.n").as_deref(), Some("1.5"));
        for path in [r#"$.a["b c"][3]"#, "$.a", "$.x.y", "$.n[0]"] {
            assert_eq!(found(path), None, "{path}");
        }
        for path in ["", "a", "$.", "$[x]", "$.a[", "$a"] {
            assert_eq!(steps(path), None, "{path}");
        }
        assert_eq!(scalar("not JSON", &steps("$.a").unwrap()), None);
    }
}
