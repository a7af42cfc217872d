//! Describes JSON values in messages.

/// The most characters of a value that a message repeats.
pub(crate) const SHOWN_CHARS_MAX: usize = 40;

/// Describes a JSON value for the sender, with the beginning of a scalar.
pub(crate) fn described(raw: &str) -> String {
    let kind = match raw.trim_start().as_bytes().first() {
        Some(b'{') => return "an object".to_owned(),
        Some(b'[') => return "an array".to_owned(),
        Some(b'"') => "the text",
        Some(b't' | b'f') => "the boolean",
        Some(b'n') | None => return "null".to_owned(),
        Some(_) => "the number",
    };
    let shown: String = raw.trim().chars().take(SHOWN_CHARS_MAX).collect();
    format!("{kind} {shown}")
}
