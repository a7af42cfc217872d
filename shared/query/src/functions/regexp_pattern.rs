//! Patterns of regular expressions: those that mean the same in Athena's library (Joni) and in `regex`, once `\w`, `\d` and
//! `\s` are written as the ASCII characters that they are in Athena's.

use std::iter::Peekable;
use std::str::Chars;

use datafusion::common::exec_err;
use datafusion::error::Result;
use regex::Regex;
use regex_syntax::hir::{Hir, HirKind};

/// A flag in front of a pattern, the only one that is taken.
const IGNORES_CASE: &str = "(?i)";

/// The pattern for `regex`.
pub(super) fn compiled(pattern: &str) -> Result<Regex> {
    let Some(translated) = translated(pattern) else {
        return exec_err!(
            "this engine does not take the pattern '{pattern}': it takes characters, `.`, `[…]`, `\\w`, `\\d`, `\\s`, `\\b`, `^`, `$`, groups, `|` and single quantifiers, and `(?i)` in front"
        );
    };
    let (Ok(parsed), Ok(regex)) = (regex_syntax::parse(&translated), Regex::new(&translated))
    else {
        return exec_err!("'{pattern}' is not a pattern of characters, groups and quantifiers");
    };
    if repeats_nothing(&parsed) {
        return exec_err!(
            "'{pattern}' repeats what may be empty, and Athena's groups are other ones then: write `+` for `*` inside"
        );
    }
    Ok(regex)
}

/// Whether something that may be empty is found more than once, such as `(a*)*`: the group is empty on Athena, and the
/// last that is not empty in `regex`.
fn repeats_nothing(pattern: &Hir) -> bool {
    match pattern.kind() {
        HirKind::Repetition(repeated) => {
            let is_once = repeated.max.is_some_and(|max| max <= 1);
            let is_empty = repeated.sub.properties().minimum_len() == Some(0);
            (!is_once && is_empty) || repeats_nothing(&repeated.sub)
        }
        HirKind::Capture(group) => repeats_nothing(&group.sub),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => parts.iter().any(repeats_nothing),
        HirKind::Empty | HirKind::Literal(_) | HirKind::Class(_) | HirKind::Look(_) => false,
    }
}

/// Refuses a text in which Athena finds a pattern in another way.
pub(super) fn check_text(text: &str, pattern: &str) -> Result<()> {
    if pattern.contains('$') && text.ends_with('\n') {
        return exec_err!(
            "`$` of '{pattern}' is also in front of the line feed at the end of a text on Athena: trim the text"
        );
    }
    // Athena takes `ß` for `ss`, and `ſ`, whose other case is `S`, for none of `\w`.
    let is_odd = |char: char| {
        let is_of = |other: &str| other.chars().count() > 1 || other.is_ascii();
        !char.is_ascii()
            && (is_of(&char.to_uppercase().to_string()) || is_of(&char.to_lowercase().to_string()))
    };
    if pattern.starts_with(IGNORES_CASE) && (text.contains(is_odd) || pattern.contains(is_odd)) {
        return exec_err!(
            "(?i) and letters such as ß are not on this engine: write lower(text) and the pattern in lower case"
        );
    }
    // Athena counts `²` as a word character, and not letters that were added to Unicode later.
    let is_other = |char: char| char > 'ɏ' || "¹²³¼½¾".contains(char);
    if [r"\b", r"\B"].iter().any(|edge| pattern.contains(edge)) && text.contains(is_other) {
        return exec_err!(
            "`\\b` and letters such as ² and 日 are not on this engine: write the characters around the word"
        );
    }
    Ok(())
}

/// The pattern in the syntax of `regex`; `None` if it is one that is not taken.
fn translated(pattern: &str) -> Option<String> {
    let (mut translated, rest) = match pattern.strip_prefix(IGNORES_CASE) {
        Some(rest) => (IGNORES_CASE.to_owned(), rest),
        None => (String::with_capacity(pattern.len()), pattern),
    };
    let mut chars = rest.chars().peekable();
    // A quantifier after a quantifier takes all it can in Athena's library, and never gives back.
    let mut can_repeat = false;
    while let Some(char) = chars.next() {
        if matches!(char, '*' | '+' | '?' | '{') {
            if !std::mem::take(&mut can_repeat) {
                return None;
            }
            translated.push(char);
            if char == '{' {
                translated.push_str(&counts(&mut chars)?);
            }
            translated.extend(chars.next_if_eq(&'?'));
            continue;
        }
        can_repeat = !matches!(char, '^' | '$' | '|' | '(');
        match char {
            '\\' => {
                let escaped = chars.next()?;
                can_repeat = !matches!(escaped, 'b' | 'B');
                match escaped {
                    'W' => translated.push_str("[^0-9A-Za-z_]"),
                    'D' => translated.push_str("[^0-9]"),
                    'S' => translated.push_str(r"[^ \t\n\x0B\x0C\r]"),
                    'b' | 'B' if chars.peek() != Some(&'{') => translated.extend(['\\', escaped]),
                    escaped => match members(escaped) {
                        Some(members) => translated.extend(["[", members, "]"]),
                        None => translated.push_str(&as_is(escaped)?),
                    },
                }
            }
            '[' => translated.push_str(&class(&mut chars)?),
            '(' => {
                translated.push('(');
                if chars.next_if_eq(&'?').is_some() {
                    translated.push_str(&kind_of_group(&mut chars)?);
                }
            }
            other => translated.push(other),
        }
    }
    Some(translated)
}

/// The largest repetition count that Athena accepts.
const COUNT_MAX: u32 = 100_000;

/// `3}`, `3,}` or `3,5}`.
fn counts(chars: &mut Peekable<Chars<'_>>) -> Option<String> {
    let counts: String = chars.by_ref().take_while(|char| *char != '}').collect();
    let is_plain = counts.starts_with(|char: char| char.is_ascii_digit())
        && counts
            .chars()
            .all(|char| char.is_ascii_digit() || char == ',');
    let fits = |count: &str| count.is_empty() || count.parse().is_ok_and(|it: u32| it <= COUNT_MAX);
    (is_plain && counts.split(',').all(fits)).then(|| counts + "}")
}

/// `?:` or `?<name>`, behind the question mark.
fn kind_of_group(chars: &mut Peekable<Chars<'_>>) -> Option<String> {
    match chars.next()? {
        ':' => Some("?:".to_owned()),
        '<' if chars.peek()?.is_ascii_alphabetic() => Some("?<".to_owned()),
        _ => None,
    }
}

/// The characters of `\d`, `\s` and `\w`.
fn members(escaped: char) -> Option<&'static str> {
    Some(match escaped {
        'd' => "0-9",
        's' => r" \t\n\x0B\x0C\r",
        'w' => "0-9A-Za-z_",
        _ => return None,
    })
}

/// A punctuation mark, a tab or the end of a line, with its backslash.
fn as_is(escaped: char) -> Option<String> {
    let is_both = matches!(escaped, 't' | 'n' | 'r')
        || (escaped.is_ascii_punctuation() && !matches!(escaped, '<' | '>'));
    is_both.then(|| format!("\\{escaped}"))
}

/// What is in front of a character of `[…]`.
#[derive(Clone, Copy, PartialEq)]
enum Before {
    Nothing,
    Character,
    Hyphen,
    Range,
}

/// `[…]`, behind its first bracket, without brackets, set operations and negated classes in it.
fn class(chars: &mut Peekable<Chars<'_>>) -> Option<String> {
    let mut class = "[".to_owned();
    class.extend(chars.next_if_eq(&'^'));
    // An empty one is another one to each library.
    if chars.peek() == Some(&']') {
        return None;
    }
    let mut before = Before::Nothing;
    while let Some(char) = chars.next() {
        let is_last = chars.peek() == Some(&']');
        let after = match before {
            Before::Hyphen => Before::Range,
            Before::Nothing | Before::Character | Before::Range => Before::Character,
        };
        match char {
            ']' => return Some(class + "]"),
            '[' => return None,
            '-' | '~' | '&' if chars.peek() == Some(&char) => return None,
            '-' if !is_last && before == Before::Character => {
                class.push('-');
                before = Before::Hyphen;
                continue;
            }
            // Nothing in Athena's library.
            '-' if !is_last && before == Before::Range => return None,
            '\\' => {
                let escaped = chars.next()?;
                match members(escaped) {
                    Some(_) if before == Before::Hyphen => return None,
                    Some(members) => {
                        class.push_str(members);
                        // It begins no range.
                        if chars.next_if_eq(&'-').is_some() {
                            class.push_str(r"\-");
                            (chars.peek() == Some(&']')).then_some(())?;
                        }
                        before = Before::Nothing;
                        continue;
                    }
                    None => class.push_str(&as_is(escaped)?),
                }
            }
            other => class.push(other),
        }
        before = after;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_of_ascii() {
        for (pattern, expected) in [
            (r"^\w+$", "^[0-9A-Za-z_]+$"),
            (r"[\w.-]\d{2,}?", "[0-9A-Za-z_.-][0-9]{2,}?"),
            (r"[^\d-]", r"[^0-9\-]"),
            (r"\D\.\\w", r"[^0-9]\.\\w"),
            ("(?i)é|(?:a)(?<x>b)*", "(?i)é|(?:a)(?<x>b)*"),
            (r"\ba\tb", r"\ba\tb"),
            ("[a-z]]", "[a-z]]"),
            (r"[-a-c-][a\-c-e]", r"[-a-c-][a\-c-e]"),
        ] {
            assert_eq!(translated(pattern).as_deref(), Some(expected), "{pattern}");
            compiled(pattern).unwrap();
        }
        for other in [
            r"(a)\1",
            "(?s).",
            "a(?i)b",
            "(?P<n>a)",
            "(?=a)",
            "(?<!a)",
            "[a--c]",
            "[a~~b]",
            "[a&&b]",
            "[[:alpha:]]",
            "[]a]",
            "[^]a]",
            r"[\D]",
            r"[\w-z]",
            r"[a-\d]",
            "[a-c-e]",
            r"\p{L}",
            r"\<a",
            r"\u0041",
            r"\b{start}",
            "a*+",
            "a++",
            "a{2}{3}",
            "a*??",
            "a{,2}",
            "^*",
            "*",
            "(*a)",
            r"\b+",
            r"\",
            "[a",
            r"\A",
            r"\z",
        ] {
            assert_eq!(translated(other), None, "{other}");
        }
    }

    #[test]
    fn what_may_be_empty_is_not_repeated() {
        for pattern in ["(a*)*", "(a*)+", "(a|b*){2}", "(?:|a)*", "((a?)+b)+"] {
            compiled(pattern).unwrap_err();
        }
        for pattern in ["(a*)?", "(a+b?)*", "(?:(a)|(b))+", "(,a*)*"] {
            compiled(pattern).unwrap();
        }
    }

    #[test]
    fn texts_that_are_found_otherwise_are_refused() {
        check_text("abc\n", "c$").unwrap_err();
        check_text("abc", "c$").unwrap();
        check_text("ß", "(?i)SS").unwrap_err();
        check_text("ss", "(?i)ß").unwrap_err();
        check_text("ſ", r"(?i)\W").unwrap_err();
        check_text("ä", "(?i)Ä").unwrap();
        check_text("ß", "ß").unwrap();
    }
}
