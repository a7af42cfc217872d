//! Text that cannot control a terminal: values of senders and other users may contain escape sequences.

use std::borrow::Cow;
use std::io::{self, Write};

/// A text with its control characters escaped as psql does it (`\x1B`, `\u009B`); line breaks and tabs
/// stay.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_escaped) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for char in text.chars() {
        match (char, u32::from(char)) {
            (char, _) if !is_escaped(char) => escaped.push(char),
            ('\r', _) => escaped.push_str("\\r"),
            (_, code @ 0x80..) => escaped += &format!("\\u{code:04X}"),
            (_, code) => escaped += &format!("\\x{code:02X}"),
        }
    }
    Cow::Owned(escaped)
}

fn is_escaped(char: char) -> bool {
    char.is_control() && !matches!(char, '\n' | '\t')
}

/// Escapes what is written to a terminal.
pub struct PrintableWriter<'w> {
    output: &'w mut (dyn Write + Send),
    /// The beginning of a character whose rest is still to come.
    partial: Vec<u8>,
}

impl<'w> PrintableWriter<'w> {
    /// A writer that passes on to `output`.
    pub fn new(output: &'w mut (dyn Write + Send)) -> Self {
        Self {
            output,
            partial: Vec::new(),
        }
    }
}

impl Write for PrintableWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.partial.extend_from_slice(bytes);
        let pending = std::mem::take(&mut self.partial);
        for chunk in pending.utf8_chunks() {
            self.output.write_all(printable(chunk.valid()).as_bytes())?;
            self.partial = chunk.invalid().to_vec();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped_as_psql_does() {
        let check = |text: &str, expected: &str| assert_eq!(printable(text), expected);
        check("BTC é 漢\n\tx", "BTC é 漢\n\tx");
        check("\u{1b}[31mred\u{7}\u{7f}", "\\x1B[31mred\\x07\\x7F");
        check("\u{9b}31m\r\n", "\\u009B31m\\r\n");
    }

    #[test]
    fn a_character_may_come_in_two_writes() {
        let mut output = Vec::new();
        let mut writer = PrintableWriter::new(&mut output);
        for byte in "é\u{1b}漢\u{9b}".bytes() {
            writer.write_all(&[byte]).unwrap();
        }
        assert_eq!(String::from_utf8(output).unwrap(), "é\\x1B漢\\u009B");
    }
}
