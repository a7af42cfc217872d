//! Positions in the text of a statement.

use std::fmt;

/// A position in the text of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The line, from 1.
    pub line: u64,
    /// The column in characters, from 1.
    pub column: u64,
}

impl Position {
    /// `None` for what the parser or the engine made up itself, which they place in line 0.
    pub(crate) fn new(line: u64, column: u64) -> Option<Self> {
        (line > 0).then_some(Self { line, column })
    }

    /// The position after the last word of a text.
    pub(crate) fn end_of(text: &str) -> Self {
        let text = text.trim_end();
        let last = text.rsplit('\n').next().unwrap_or_default();
        Self {
            line: text.matches('\n').count() as u64 + 1,
            column: last.chars().count() as u64 + 1,
        }
    }
}

/// `line 1, column 8`.
impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}
