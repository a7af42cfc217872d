//! Trino's replacement texts of `regexp_replace`, translated for the engine's.
//!
//! To Trino `$1x` is group 1 and an x; to the engine, a group named `1x`. `\$` is a dollar sign to
//! Trino; to the engine, `\1` is group 1.

use std::fmt::Write as _;

use datafusion::common::exec_err;
use datafusion::error::Result;
use regex::Regex;

/// A group that no pattern has, which is the empty text: it separates a backslash from a digit.
const NOTHING: &str = "${4294967295}";

/// The replacement for the engine.
pub(super) fn translate(pattern: &Regex, replacement: &str) -> Result<String> {
    if !replacement.contains(['$', '\\']) {
        return Ok(replacement.to_owned());
    }
    let mut text = String::with_capacity(replacement.len());
    let mut rest = replacement.chars();
    while let Some(character) = rest.next() {
        match character {
            '\\' => match rest.next() {
                Some('$') => text.push_str("$$"),
                Some('\\') => text = text + "\\" + NOTHING,
                Some(character) => text.push(character),
                None => return exec_err!("the replacement '{replacement}' ends with a backslash"),
            },
            '$' => {
                let (group, after) = group(pattern, replacement, rest.as_str())?;
                // Writing to a String cannot fail.
                _ = write!(text, "${{{group}}}");
                rest = after.chars();
            }
            character => text.push(character),
        }
    }
    Ok(text)
}

/// The group that is named after a dollar sign, and the text after it: `{name}`, or as many digits
/// as form the number of a group.
fn group<'a>(pattern: &Regex, replacement: &str, text: &'a str) -> Result<(&'a str, &'a str)> {
    if let Some((name, after)) = text.strip_prefix('{').and_then(|text| text.split_once('}'))
        && pattern.capture_names().flatten().any(|known| known == name)
    {
        return Ok((name, after));
    }
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let splits = (1..=digits)
        .rev()
        .filter_map(|count| text.split_at_checked(count));
    let mut groups = splits.filter(|(number, _)| {
        let number = number.parse::<usize>();
        number.is_ok_and(|number| number < pattern.captures_len())
    });
    match groups.next() {
        Some(group) => Ok(group),
        None => exec_err!(
            "the pattern has no group '{}', which the replacement '{replacement}' names: write \\$ for a dollar sign",
            text.split_inclusive('}').next().unwrap_or_default()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_and_signs_are_translated() {
        let check = |pattern: &str, replacement: &str, expected: &str| {
            assert_eq!(
                translate(&Regex::new(pattern).unwrap(), replacement).unwrap(),
                expected,
                "{replacement}"
            );
        };
        check("b", "plain", "plain");
        check("(b)", "$1x", "${1}x");
        check("(b)", "$0$1", "${0}${1}");
        check("(b)", "$12", "${1}2");
        check("(a)(b)(c)(d)(e)(f)(g)(h)(i)(j)(k)(l)", "$12", "${12}");
        check("(?<letter>b)", "${letter}s", "${letter}s");
        check("b", r"\$1", "$$1");
        check("b", r"\1", "1");
        check("b", r"\\1", &format!("\\{NOTHING}1"));
    }

    #[test]
    fn what_is_not_a_group_is_refused() {
        let regex = Regex::new("(b)").unwrap();
        for replacement in ["$2", "$", "$x", "${other}", "${1}", "a\\"] {
            assert!(translate(&regex, replacement).is_err(), "{replacement}");
        }
    }
}
