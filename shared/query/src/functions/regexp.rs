//! `regexp_like`, `regexp_extract` and `regexp_replace`.

use std::sync::Arc;

use datafusion::arrow::array::{Array as _, ArrayRef, AsArray as _, BooleanArray, StringArray};
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::common::exec_err;
use datafusion::error::Result;
use regex::{Captures, Regex};

use super::arg_type::ArgType;
use super::regexp_pattern::{check_text, compiled};
use super::scalar_function::{Returns, Scalar, argument};

pub(super) fn functions() -> [Scalar; 3] {
    let texts: &[&[ArgType]] = &[&[ArgType::Text; 2], &[ArgType::Text; 3]];
    let of_group: &[&[ArgType]] = &[
        &[ArgType::Text, ArgType::Text],
        &[ArgType::Text, ArgType::Text, ArgType::Integer],
    ];
    let like: &[&[ArgType]] = &[&[ArgType::Text; 2]];
    let text = || Returns::Type(DataType::Utf8);
    [
        Scalar::new(
            "regexp_like",
            like,
            Returns::Type(DataType::Boolean),
            is_found,
        ),
        Scalar::new("regexp_extract", of_group, text(), extract),
        Scalar::new("regexp_replace", texts, text(), replace),
    ]
}

/// What `of` makes of each row's number, text and pattern; NULL if one of them is.
fn by_row<'a, T>(
    arguments: &'a [ArrayRef],
    mut of: impl FnMut(usize, &'a str, &Regex) -> Result<Option<T>>,
) -> Result<Vec<Option<T>>> {
    let texts = argument(arguments, 0)?.as_string_view();
    let patterns = argument(arguments, 1)?.as_string_view();
    // Nearly always the same one for all rows.
    let mut last: Option<(&str, Regex)> = None;
    let mut results = Vec::with_capacity(texts.len());
    for (row, (text, pattern)) in texts.iter().zip(patterns).enumerate() {
        let (Some(text), Some(pattern)) = (text, pattern) else {
            results.push(None);
            continue;
        };
        check_text(text, pattern)?;
        let regex = match last.take() {
            Some((known, regex)) if known == pattern => regex,
            _ => compiled(pattern)?,
        };
        results.push(of(row, text, &regex)?);
        last = Some((pattern, regex));
    }
    Ok(results)
}

fn is_found(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let found = by_row(arguments, |_, text, regex| Ok(Some(regex.is_match(text))))?;
    Ok(Arc::new(BooleanArray::from(found)))
}

fn extract(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let groups = arguments
        .get(2)
        .map(|groups| groups.as_primitive::<Int64Type>());
    let found = by_row(arguments, |row, text, regex| {
        let group = match groups {
            Some(groups) if groups.is_null(row) => return Ok(None),
            Some(groups) => groups.value(row),
            None => 0,
        };
        let place = usize::try_from(group).unwrap_or(usize::MAX);
        if place >= regex.captures_len() {
            return exec_err!("the pattern of regexp_extract has no group {group}");
        }
        let captures = regex.captures(text);
        Ok(captures.and_then(|it| it.get(place).map(|found| found.as_str().to_owned())))
    })?;
    Ok(Arc::new(StringArray::from(found)))
}

fn replace(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let replacements = arguments.get(2).map(|with| with.as_string_view());
    let replaced = by_row(arguments, |row, text, regex| match replacements {
        Some(replacements) if replacements.is_null(row) => Ok(None),
        Some(replacements) => replaced(regex, text, replacements.value(row)).map(Some),
        None => replaced(regex, text, "").map(Some),
    })?;
    Ok(Arc::new(StringArray::from(replaced)))
}

/// The text with a replacement of all that is found. As on Athena, nothing is found right behind what was found before, too:
/// `regex` leaves that out.
fn replaced(regex: &Regex, text: &str, with: &str) -> Result<String> {
    let mut replaced = String::with_capacity(text.len());
    // How much of the text is in `replaced`, and where to search next.
    let (mut copied, mut from) = (0, 0);
    while let Some(captures) = regex.captures_at(text, from) {
        let Some(found) = captures.get(0) else { break };
        replaced.push_str(text.get(copied..found.start()).unwrap_or_default());
        add(&mut replaced, with, regex, &captures)?;
        copied = found.end();
        from = match found.is_empty() {
            false => copied,
            true => match text.get(copied..).and_then(|rest| rest.chars().next()) {
                Some(next) => copied + next.len_utf8(),
                None => break,
            },
        };
    }
    Ok(replaced + text.get(copied..).unwrap_or_default())
}

/// Adds a replacement, in which `$1` and `${name}` are groups, and a backslash leaves the character after it as it is.
fn add(replaced: &mut String, with: &str, regex: &Regex, found: &Captures<'_>) -> Result<()> {
    let mut chars = with.chars();
    while let Some(char) = chars.next() {
        match char {
            '\\' => match chars.next() {
                Some(char) => replaced.push(char),
                None => return exec_err!("the replacement '{with}' ends with a backslash"),
            },
            '$' => {
                let Some((group, after)) = group(regex, chars.as_str()) else {
                    return exec_err!(
                        "the pattern has no group for a `$` of the replacement '{with}': write \\$ for a dollar sign"
                    );
                };
                replaced.push_str(found.get(group).map_or("", |group| group.as_str()));
                chars = after.chars();
            }
            char => replaced.push(char),
        }
    }
    Ok(())
}

/// The group that follows a dollar sign, and the text after it: `{name}`, or as many digits as are the number of a group.
fn group<'a>(regex: &Regex, text: &'a str) -> Option<(usize, &'a str)> {
    if let Some((name, after)) = text.strip_prefix('{').and_then(|text| text.split_once('}')) {
        let mut names = regex.capture_names();
        return Some((names.position(|known| known == Some(name))?, after));
    }
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    (1..=digits).rev().find_map(|count| {
        let (number, after) = text.split_at_checked(count)?;
        let number = number.parse().ok()?;
        (number < regex.captures_len()).then_some((number, after))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str, pattern: &str, with: &str) -> Option<String> {
        replaced(&Regex::new(pattern).unwrap(), text, with).ok()
    }

    #[test]
    fn an_empty_match_after_a_match_is_replaced() {
        for (text, pattern, expected) in [
            ("baac", "a*", "-b--c-"),
            ("baac", "a?", "-b---c-"),
            ("äöü", "", "-ä-ö-ü-"),
            ("", "a*", "-"),
            ("abab", r"\bab", "-ab"),
        ] {
            assert_eq!(of(text, pattern, "-").as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn groups_and_signs_are_replaced() {
        for (pattern, with, expected) in [
            ("b", "plain", "aplainc"),
            ("(b)", "$1x", "abxc"),
            ("(b)", "$0$1", "abbc"),
            ("(b)", "$12", "ab2c"),
            ("()()()()()()()()()()()(b)", "$12", "abc"),
            ("(?<letter>b)", "<${letter}>", "a<b>c"),
            ("b", r"\$1\\1\2", r"a$1\12c"),
        ] {
            assert_eq!(
                of("abc", pattern, with).as_deref(),
                Some(expected),
                "{with}"
            );
        }
        for with in ["$2", "$", "$x", "${other}", "${1}", "a\\"] {
            assert_eq!(of("abc", "(b)", with), None, "{with}");
        }
    }
}
