//! Patterns of regular expressions. In Athena's, `\w`, `\d`, `\s` and `\b` are of ASCII; in the engine's, of all letters.

use std::fmt::Write as _;
use std::sync::Arc;

use datafusion::arrow::array::{Array as _, ArrayRef, AsArray as _, StringArray, StringViewArray};
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::common::exec_err;
use datafusion::error::Result;
use regex::Regex;

use super::arg_type::ArgType;
use super::scalar_function::{Returns, Scalar, argument};

/// A pattern for the engine.
pub(super) fn pattern_function() -> Scalar {
    Scalar::new(
        "regexp_pattern",
        &[&[ArgType::Text]],
        Returns::Type(DataType::Utf8View),
        |arguments| {
            let patterns = argument(arguments, 0)?.as_string_view();
            let translated = patterns
                .iter()
                .map(|pattern| pattern.map(translated).transpose());
            Ok(Arc::new(translated.collect::<Result<StringViewArray>>()?))
        },
    )
}

/// `regexp_extract(text, pattern[, group])`.
pub(super) fn extract_function() -> Scalar {
    Scalar::new(
        "regexp_extract",
        &[
            &[ArgType::Text, ArgType::Text],
            &[ArgType::Text, ArgType::Text, ArgType::Integer],
        ],
        Returns::Type(DataType::Utf8),
        extract,
    )
}

fn extract(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let texts = argument(arguments, 0)?.as_string_view();
    let patterns = argument(arguments, 1)?.as_string_view();
    let groups = arguments
        .get(2)
        .map(|groups| groups.as_primitive::<Int64Type>());
    let mut compiled: Option<(&str, Regex)> = None;
    let mut found = Vec::with_capacity(texts.len());
    for (row, (text, pattern)) in texts.iter().zip(patterns).enumerate() {
        let group = match groups {
            Some(groups) => groups.iter().nth(row).flatten(),
            None => Some(0),
        };
        let (Some(text), Some(pattern), Some(group)) = (text, pattern, group) else {
            found.push(None);
            continue;
        };
        let regex = match compiled.take() {
            Some((of, regex)) if of == pattern => regex,
            _ => match Regex::new(&translated(pattern)?) {
                Ok(regex) => regex,
                Err(error) => return exec_err!("'{pattern}' is not a pattern: {error}"),
            },
        };
        let Some(group) = usize::try_from(group)
            .ok()
            .filter(|group| *group < regex.captures_len())
        else {
            return exec_err!("the pattern '{pattern}' has no group {group}");
        };
        let captures = regex.captures(text);
        found.push(captures.and_then(|it| it.get(group).map(|of| of.as_str().to_owned())));
        compiled = Some((pattern, regex));
    }
    Ok(Arc::new(StringArray::from(found)))
}

/// The engine's pattern for Athena's.
fn translated(pattern: &str) -> Result<String> {
    let mut text = String::with_capacity(pattern.len());
    let mut in_class = 0_usize;
    let mut chars = pattern.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '\\' => {
                let Some(class) = chars.next() else {
                    return exec_err!("the pattern '{pattern}' ends with a backslash");
                };
                // Classes inside of brackets have no brackets of their own.
                let (open, close) = if in_class > 0 { ("", "") } else { ("[", "]") };
                let members = match class {
                    'w' => "0-9A-Za-z_",
                    'd' => "0-9",
                    's' => r" \t\n\x0B\x0C\r",
                    'W' | 'D' | 'S' if in_class > 0 => {
                        return exec_err!(
                            "in '{pattern}', write the characters instead of \\{class} inside of brackets"
                        );
                    }
                    'W' => r"^0-9A-Za-z_",
                    'D' => "^0-9",
                    'S' => r"^ \t\n\x0B\x0C\r",
                    'b' if in_class == 0 => {
                        text.push_str(r"(?-u:\b)");
                        continue;
                    }
                    '1'..='9' => {
                        return exec_err!(
                            "'{pattern}' refers back to a group, which this engine has not"
                        );
                    }
                    other => {
                        text.push('\\');
                        text.push(other);
                        continue;
                    }
                };
                _ = write!(text, "{open}{members}{close}");
            }
            '[' => {
                in_class += 1;
                text.push(char);
            }
            ']' => {
                in_class = in_class.saturating_sub(1);
                text.push(char);
            }
            '(' if in_class == 0 && chars.peek() == Some(&'?') => {
                let flags: String = chars
                    .clone()
                    .skip(1)
                    .take_while(|flag| flag.is_ascii_lowercase() || *flag == '-')
                    .collect();
                if flags.contains(['u', 'x', 'U', 'R', 's']) {
                    return exec_err!(
                        "'{pattern}' has flags that Athena has not: (?i) and (?m) are on both"
                    );
                }
                text.push(char);
            }
            other => text.push(other),
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_of_ascii() {
        let check =
            |pattern: &str, expected: &str| assert_eq!(translated(pattern).unwrap(), expected);
        check(r"^\w+$", "^[0-9A-Za-z_]+$");
        check(r"[\w.]\d", "[0-9A-Za-z_.][0-9]");
        check(r"\D\.\\w", r"[^0-9]\.\\w");
        check("(?i)é", "(?i)é");
        translated(r"(a)\1").unwrap_err();
        translated("(?iu)a").unwrap_err();
    }
}
