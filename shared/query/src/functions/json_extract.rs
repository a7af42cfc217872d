//! One value of a JSON text by its path, for the entries of the quarantine. As on Athena, the text is read only as far as
//! the value, so that it may be cut off behind it, and a number is returned as it is written.

use std::sync::Arc;

use datafusion::arrow::array::{Array as _, ArrayRef, AsArray as _, StringArray};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::exec_err;
use datafusion::error::Result;
use regex::Regex;
use serde_json::value::RawValue;

use super::arg_type::ArgType;
use super::scalar_function::{Returns, Scalar, argument};

/// A key without quotes.
const NAME: &str = r"^[\p{L}\p{Nd}_:]+$";

/// Arrays and objects within each other, at most.
const DEPTH_MAX: usize = 1_000;

pub(super) fn functions() -> Vec<Scalar> {
    vec![Scalar::new(
        "json_extract_scalar",
        &[&[ArgType::Text, ArgType::Text]],
        Returns::Type(DataType::Utf8),
        json_extract_scalar,
    )]
}

/// NULL if the text is not JSON, the path leads nowhere, or to an object, an array or null.
fn json_extract_scalar(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let texts = argument(arguments, 0)?.as_string_view();
    let paths = argument(arguments, 1)?.as_string_view();
    // Nearly always the same one for all rows.
    let mut parsed: Option<(&str, Vec<String>)> = None;
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
        values.push(Reader(text).found(&steps));
        parsed = Some((path, steps));
    }
    Ok(Arc::new(StringArray::from(values)))
}

/// The steps of a path. Digits are an index in an array and a key in an object.
fn steps(path: &str) -> Option<Vec<String>> {
    let mut rest = path.strip_prefix('$')?;
    let name_form = Regex::new(NAME).ok()?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if let Some(name) = rest.strip_prefix('.') {
            let end = name.find(['.', '[']).unwrap_or(name.len());
            let (key, after) = name.split_at_checked(end)?;
            steps.push(name_form.is_match(key).then(|| key.to_owned())?);
            rest = after;
        } else if let Some(quoted) = rest.strip_prefix("[\"") {
            let (key, after) = quoted.split_once("\"]")?;
            // Escapes are others on Athena.
            steps.push((!key.contains('\\')).then(|| key.to_owned())?);
            rest = after;
        } else {
            let (index, after) = rest.strip_prefix('[')?.split_once(']')?;
            let is_index = !index.is_empty() && index.bytes().all(|b| b.is_ascii_digit());
            steps.push(is_index.then(|| index.to_owned())?);
            rest = after;
        }
    }
    Some(steps)
}

/// The JSON number at the beginning of a text.
fn number(text: &str) -> Option<&str> {
    let digits = |from: usize| {
        let rest = text.get(from..).unwrap_or_default();
        rest.bytes().take_while(u8::is_ascii_digit).count()
    };
    let begins = |from: usize, with: &[char]| {
        let rest = text.get(from..).unwrap_or_default();
        rest.starts_with(with)
    };
    let mut end = usize::from(text.starts_with('-'));
    let whole = digits(end);
    if whole == 0 || (whole > 1 && begins(end, &['0'])) {
        return None;
    }
    end += whole;
    if begins(end, &['.']) {
        let fraction = digits(end + 1);
        end += 1 + Some(fraction).filter(|count| *count > 0)?;
    }
    if begins(end, &['e', 'E']) {
        let sign = usize::from(begins(end + 1, &['+', '-']));
        let exponent = digits(end + 1 + sign);
        end += 1 + sign + Some(exponent).filter(|count| *count > 0)?;
    }
    text.get(..end)
}

/// What is left of a JSON text.
struct Reader<'a>(&'a str);

impl<'a> Reader<'a> {
    fn found(mut self, steps: &[String]) -> Option<String> {
        for step in steps {
            if self.peek()? == '{' {
                self.expect('{')?;
                loop {
                    let name = self.string()?;
                    self.expect(':')?;
                    if name == *step {
                        break;
                    }
                    self.skip(0)?;
                    self.expect(',')?;
                }
            } else {
                let index = step.parse().ok()?;
                self.expect('[')?;
                for _ in 0..index {
                    self.skip(0)?;
                    self.expect(',')?;
                }
            }
        }
        match self.peek()? {
            '"' => self.string(),
            '{' | '[' => None,
            _ => {
                // What follows the value need not be JSON.
                let is_letter = |char: char| char.is_alphanumeric() || char == '_';
                let end = self.0.find(|char| !is_letter(char));
                let letters = self.0.get(..end.unwrap_or(self.0.len()))?;
                let is_number = !matches!(letters, "true" | "false" | "null");
                let word = if is_number { number(self.0)? } else { letters };
                // A number that is the whole document can only be followed by whitespace.
                let after = self.0.get(word.len()..).and_then(|it| it.chars().next());
                let is_blank = |char| matches!(char, ' ' | '\t' | '\r' | '\n');
                let is_whole = !is_number || !steps.is_empty() || after.is_none_or(is_blank);
                (is_whole && word != "null").then(|| word.to_owned())
            }
        }
    }

    fn peek(&mut self) -> Option<char> {
        self.0 = self.0.trim_start_matches([' ', '\t', '\n', '\r']);
        self.0.chars().next()
    }

    fn expect(&mut self, char: char) -> Option<()> {
        self.peek()?;
        self.0 = self.0.strip_prefix(char)?;
        Some(())
    }

    /// A text in quotes, decoded.
    fn string(&mut self) -> Option<String> {
        self.peek()?;
        let inside = self.0.strip_prefix('"')?;
        let mut escaped = false;
        let end = inside.find(|char| {
            let ends = char == '"' && !escaped;
            escaped = char == '\\' && !escaped;
            ends
        })?;
        let (quoted, rest) = self.0.split_at_checked(end + 2)?;
        self.0 = rest;
        serde_json::from_str(quoted).ok()
    }

    /// A number, true, false or null.
    fn word(&mut self) -> Option<&'a str> {
        self.peek()?;
        let ends = |char: char| char.is_ascii_whitespace() || matches!(char, ',' | ']' | '}');
        let end = self.0.find(ends).unwrap_or(self.0.len());
        let (word, rest) = self.0.split_at_checked(end)?;
        self.0 = rest;
        serde_json::from_str::<&RawValue>(word).ok()?;
        Some(word)
    }

    fn skip(&mut self, depth: usize) -> Option<()> {
        if depth > DEPTH_MAX {
            return None;
        }
        match self.peek()? {
            '"' => drop(self.string()?),
            '{' => {
                self.expect('{')?;
                if self.peek()? != '}' {
                    loop {
                        self.string()?;
                        self.expect(':')?;
                        self.skip(depth + 1)?;
                        if self.peek()? != ',' {
                            break;
                        }
                        self.expect(',')?;
                    }
                }
                self.expect('}')?;
            }
            '[' => {
                self.expect('[')?;
                if self.peek()? != ']' {
                    loop {
                        self.skip(depth + 1)?;
                        if self.peek()? != ',' {
                            break;
                        }
                        self.expect(',')?;
                    }
                }
                self.expect(']')?;
            }
            _ => drop(self.word()?),
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scalar(text: &str, path: &str) -> Option<String> {
        Reader(text).found(&steps(path).unwrap())
    }

    #[test]
    fn a_path_leads_to_a_scalar_or_nowhere() {
        let text = r#"{"a": {"b c": [1, "two", true, null]}, "n": 1.50}"#;
        let found = |path| scalar(text, path);
        assert_eq!(found(r#"$.a["b c"][0]"#).as_deref(), Some("1"));
        assert_eq!(found(r#"$.a["b c"][1]"#).as_deref(), Some("two"));
        assert_eq!(found(r#"$.a["b c"][2]"#).as_deref(), Some("true"));
        assert_eq!(found("$.n").as_deref(), Some("1.50"));
        assert_eq!(scalar(r#"{"1": 7}"#, "$[1]").as_deref(), Some("7"));
        assert_eq!(scalar("[5, 6]", "$.1").as_deref(), Some("6"));
        for path in [r#"$.a["b c"][3]"#, "$.a", "$.x.y", "$.n[0]"] {
            assert_eq!(found(path), None, "{path}");
        }
        for path in [
            "", "a", "$.", "$[x]", "$[+1]", "$.a[", "$a", "$.a-b", "$.a b", "$.a ", "$.a@b", "$.$a",
        ] {
            assert_eq!(steps(path), None, "{path}");
        }
        assert_eq!(scalar("not JSON", "$.a"), None);
    }

    #[test]
    fn a_text_that_is_cut_off_is_read_as_far_as_the_value() {
        assert_eq!(scalar(r#"{"a":"1"#, "$.a"), None);
        assert_eq!(scalar(r#"{"a":"1""#, "$.a").as_deref(), Some("1"));
        assert_eq!(scalar(r#"{"a":1e2,"#, "$.a").as_deref(), Some("1e2"));
        assert_eq!(scalar(r#"{"a":1x"#, "$.a").as_deref(), Some("1"));
        assert_eq!(scalar(r#"{"a":true{"#, "$.a").as_deref(), Some("true"));
        assert_eq!(scalar(r#"{"a":1-2"#, "$.a").as_deref(), Some("1"));
        assert_eq!(scalar("1 x", "$").as_deref(), Some("1"));
        assert_eq!(scalar("2026-11-01", "$"), None);
        for text in ["true_", "01", "1.", "truex", "nul", "-"] {
            assert_eq!(scalar(&format!(r#"{{"a":{text}"#), "$.a"), None, "{text}");
        }
        assert_eq!(
            scalar(r#"{"x":{"a":[1]},"a":"ä\n"}"#, "$.a").as_deref(),
            Some("ä\n")
        );
        assert_eq!(scalar(r#"{"a":1,"a":2}"#, "$.a").as_deref(), Some("1"));
    }
}
