//! Patterns of regular expressions. In Athena's, `\w`, `\d` and `\s` are of ASCII; in the engine's, of all letters.

use std::fmt::Write as _;
use std::iter::Peekable;
use std::str::Chars;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array as _, ArrayRef, AsArray as _, StringArray, StringViewArray, StringViewBuilder,
};
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::common::exec_err;
use datafusion::error::Result;
use regex::Regex;

use super::arg_type::ArgType;
use super::regexp_replacement;
use super::scalar_function::{Returns, Scalar, argument};

/// Properties of characters that both engines have under the same name.
const PROPERTIES: [&str; 47] = [
    "L",
    "Ll",
    "Lm",
    "Lo",
    "Lt",
    "Lu",
    "M",
    "Mc",
    "Me",
    "Mn",
    "N",
    "Nd",
    "Nl",
    "No",
    "P",
    "Pc",
    "Pd",
    "Pe",
    "Pf",
    "Pi",
    "Po",
    "Ps",
    "S",
    "Sc",
    "Sk",
    "Sm",
    "So",
    "Z",
    "Zl",
    "Zp",
    "Zs",
    "C",
    "Cc",
    "Cf",
    "Co",
    "Cn",
    "Arabic",
    "Cyrillic",
    "Greek",
    "Han",
    "Hangul",
    "Hebrew",
    "Hiragana",
    "Katakana",
    "Latin",
    "Thai",
    "Devanagari",
];

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

/// `regexp_extract(text, pattern[, group])` and `regexp_replace(text, pattern[, replacement])`.
pub(super) fn functions() -> [Scalar; 2] {
    [
        Scalar::new(
            "regexp_extract",
            &[
                &[ArgType::Text, ArgType::Text],
                &[ArgType::Text, ArgType::Text, ArgType::Integer],
            ],
            Returns::Type(DataType::Utf8),
            extract,
        ),
        Scalar::new(
            "regexp_replace",
            &[&[ArgType::Text; 2], &[ArgType::Text; 3]],
            Returns::Type(DataType::Utf8View),
            replace,
        ),
    ]
}

/// A text for a pattern: an error if the engine would find the pattern in another way.
pub(super) fn text_function() -> Scalar {
    Scalar::new(
        "regexp_text",
        &[&[ArgType::Text, ArgType::Text]],
        Returns::Type(DataType::Utf8View),
        |arguments| {
            let texts = argument(arguments, 0)?;
            let patterns = argument(arguments, 1)?.as_string_view();
            for (text, pattern) in texts.as_string_view().iter().zip(patterns) {
                if let (Some(text), Some(pattern)) = (text, pattern) {
                    check_text(text, pattern)?;
                }
            }
            Ok(Arc::clone(texts))
        },
    )
}

/// Whether some text may be an error for a pattern.
pub(super) fn depends_on_text(pattern: &str) -> bool {
    has_end(pattern) || ignores_case(pattern)
}

fn has_end(pattern: &str) -> bool {
    pattern.contains('$') && !has_flag(pattern, 'm')
}

fn ignores_case(pattern: &str) -> bool {
    has_flag(pattern, 'i')
}

fn has_flag(pattern: &str, flag: char) -> bool {
    let mut groups = pattern.split("(?").skip(1);
    groups.any(|group| {
        let mut flags = group.chars().take_while(char::is_ascii_lowercase);
        flags.any(|other| other == flag)
    })
}

fn check_text(text: &str, pattern: &str) -> Result<()> {
    if has_end(pattern) && text.ends_with('\n') {
        return exec_err!(
            "`$` of '{pattern}' is in front of the line feed at the end of a text on Athena: write (?m), or trim the text"
        );
    }
    // Athena takes `ß` for `ss`.
    let is_several = |char: char| {
        !char.is_ascii() && (char.to_uppercase().count() > 1 || char.to_lowercase().count() > 1)
    };
    if ignores_case(pattern) && (text.contains(is_several) || pattern.contains(is_several)) {
        return exec_err!(
            "(?i) and letters such as ß are not on this engine: write lower(text) and the pattern in lower case"
        );
    }
    Ok(())
}

/// The last pattern, which is nearly always that of all rows.
#[derive(Default)]
struct Compiled<'a>(Option<(&'a str, Regex)>);

impl<'a> Compiled<'a> {
    fn of(&mut self, pattern: &'a str) -> Result<&Regex> {
        if self.0.as_ref().is_none_or(|(of, _)| *of != pattern) {
            match Regex::new(&translated(pattern)?) {
                Ok(regex) => self.0 = Some((pattern, regex)),
                Err(error) => return exec_err!("'{pattern}' is not a pattern: {error}"),
            }
        }
        match &self.0 {
            Some((_, regex)) => Ok(regex),
            None => exec_err!("'{pattern}' is not a pattern"),
        }
    }
}

fn extract(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let texts = argument(arguments, 0)?.as_string_view();
    let patterns = argument(arguments, 1)?.as_string_view();
    let groups = arguments
        .get(2)
        .map(|groups| groups.as_primitive::<Int64Type>());
    let mut compiled = Compiled::default();
    let mut found = Vec::with_capacity(texts.len());
    for (row, (text, pattern)) in texts.iter().zip(patterns).enumerate() {
        let group = match groups {
            Some(groups) => groups.is_valid(row).then(|| groups.value(row)),
            None => Some(0),
        };
        let (Some(text), Some(pattern), Some(group)) = (text, pattern, group) else {
            found.push(None);
            continue;
        };
        check_text(text, pattern)?;
        let regex = compiled.of(pattern)?;
        let Some(group) = usize::try_from(group)
            .ok()
            .filter(|group| *group < regex.captures_len())
        else {
            return exec_err!("the pattern '{pattern}' has no group {group}");
        };
        let captures = regex.captures(text);
        found.push(captures.and_then(|it| it.get(group).map(|of| of.as_str().to_owned())));
    }
    Ok(Arc::new(StringArray::from(found)))
}

fn replace(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let texts = argument(arguments, 0)?.as_string_view();
    let patterns = argument(arguments, 1)?.as_string_view();
    let replacements = arguments.get(2).map(|with| with.as_string_view());
    let mut compiled = Compiled::default();
    let mut translated: Option<((&str, &str), String)> = None;
    let mut replaced = StringViewBuilder::with_capacity(texts.len());
    for (row, (text, pattern)) in texts.iter().zip(patterns).enumerate() {
        let with = match replacements {
            Some(replacements) => replacements.is_valid(row).then(|| replacements.value(row)),
            None => Some(""),
        };
        let (Some(text), Some(pattern), Some(with)) = (text, pattern, with) else {
            replaced.append_null();
            continue;
        };
        check_text(text, pattern)?;
        let regex = compiled.of(pattern)?;
        if translated
            .as_ref()
            .is_none_or(|(of, _)| *of != (pattern, with))
        {
            let translated_with = regexp_replacement::translate(regex, with)?;
            translated = Some(((pattern, with), translated_with));
        }
        let with = translated.as_ref().map_or("", |(_, with)| with.as_str());
        replaced.append_value(replaced_all(regex, text, with));
    }
    Ok(Arc::new(replaced.finish()))
}

/// As the engine's own, but nothing is also found right behind what was found before.
fn replaced_all(regex: &Regex, text: &str, with: &str) -> String {
    let mut replaced = String::with_capacity(text.len());
    // What is before is in `replaced`, and where to search next.
    let (mut copied, mut from) = (0, 0);
    while let Some(captures) = regex.captures_at(text, from) {
        let Some(found) = captures.get(0) else { break };
        replaced.push_str(text.get(copied..found.start()).unwrap_or_default());
        captures.expand(with, &mut replaced);
        copied = found.end();
        from = match found.is_empty() {
            false => copied,
            true => match text.get(copied..).and_then(|rest| rest.chars().next()) {
                Some(next) => copied + next.len_utf8(),
                None => break,
            },
        };
    }
    replaced + text.get(copied..).unwrap_or_default()
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
                    // The word of a border has letters of all languages.
                    'b' | 'B' if in_class == 0 && chars.peek() != Some(&'{') => {
                        text.push('\\');
                        text.push(class);
                        continue;
                    }
                    'p' | 'P' => {
                        let name: String = match chars.next_if_eq(&'{') {
                            Some(_) => chars.by_ref().take_while(|char| *char != '}').collect(),
                            None => String::new(),
                        };
                        if !PROPERTIES.contains(&name.as_str()) {
                            return exec_err!(
                                "'{pattern}' has \\p{{{name}}}: both engines have general categories, such as \\p{{L}} and \\p{{Lu}}, and few scripts, such as \\p{{Greek}}"
                            );
                        }
                        _ = write!(text, r"\{class}{{{name}}}");
                        continue;
                    }
                    'v' | 'u' | 'U' | '<' | '>' | 'b' | 'B' if !is_code(class, &chars) => {
                        return exec_err!("'{pattern}' has \\{class}, which differs on Athena");
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
                if in_class > 1 && chars.peek() == Some(&':') {
                    return exec_err!(
                        "'{pattern}' has [:…:], which is of all languages on Athena: write \\p{{L}}, or the letters"
                    );
                }
                text.push(char);
            }
            '-' | '~' if in_class > 0 && chars.peek() == Some(&char) => {
                return exec_err!("'{pattern}' has `{char}{char}` in brackets: write it once");
            }
            ']' => {
                in_class = in_class.saturating_sub(1);
                text.push(char);
            }
            '(' if in_class == 0 && chars.peek() == Some(&'?') => {
                let flags: String = chars
                    .clone()
                    .skip(1)
                    .take_while(|flag| flag.is_ascii_alphabetic() || *flag == '-')
                    .collect();
                let only_here = |flag: char| !matches!(flag, 'i' | 'm' | '-');
                if flags.contains(only_here) {
                    return exec_err!(
                        "'{pattern}' has (?{flags}, which is not on this engine, or not on Athena: (?i), (?m) and (?<name>…) are on both"
                    );
                }
                text.push(char);
            }
            other => text.push(other),
        }
    }
    Ok(text)
}

/// Whether it is `\u0041`.
fn is_code(class: char, digits: &Peekable<Chars<'_>>) -> bool {
    const DIGITS: usize = 4;
    let digits = digits.clone().take(DIGITS);
    class == 'u' && digits.filter(char::is_ascii_hexdigit).count() == DIGITS
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
        check(r"\ba\p{Lu}", r"\ba\p{Lu}");
        translated(r"(a)\1").unwrap_err();
        for other in [
            "(?iu)a",
            "(?s).",
            "(?U)a",
            "(?P<n>a)",
            "[a--c]",
            "[a~~b]",
            r"\p{IsLatin}",
            r"\p{Emoji}",
            r"\p{gc=L}",
            r"\pL",
            r"\<a",
            r"\u{41}",
            "[[:alpha:]]",
        ] {
            assert!(translated(other).is_err(), "{other}");
        }
    }

    #[test]
    fn nothing_is_found_behind_what_was_found() {
        let replaced =
            |text, pattern, with| replaced_all(&Regex::new(pattern).unwrap(), text, with);
        assert_eq!(replaced("baac", "a*", "-"), "-b--c-");
        assert_eq!(replaced("baac", "a?", "-"), "-b---c-");
        assert_eq!(replaced("12a3", "[0-9]*", "#"), "##a##");
        assert_eq!(replaced("äöü", "", "-"), "-ä-ö-ü-");
        assert_eq!(replaced("", "a*", "-"), "-");
        assert_eq!(replaced("abc", "b", "$0$0"), "abbc");
        assert_eq!(replaced("abab", r"\bab", "x"), "xab");
    }

    #[test]
    fn texts_that_are_found_otherwise_are_refused() {
        check_text("abc\n", "c$").unwrap_err();
        check_text("abc", "c$").unwrap();
        check_text("abc\n", "(?m)c$").unwrap();
        check_text("ß", "(?i)SS").unwrap_err();
        check_text("ss", "(?i)ß").unwrap_err();
        check_text("ä", "(?i)Ä").unwrap();
        check_text("ß", "ß").unwrap();
    }
}
