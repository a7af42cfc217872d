//! Positions in the text of a statement.

/// A position in the text of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The line, from 1.
    pub line: u64,
    /// The column in characters, from 1.
    pub column: u64,
}

impl Position {
    /// The first position of a text.
    pub const START: Self = Self { line: 1, column: 1 };

    /// `None` for what the parser or the engine generated itself, which they place in line 0.
    pub(crate) fn new(line: u64, column: u64) -> Option<Self> {
        (line > 0).then_some(Self { line, column })
    }

    /// The position after a text that begins at this one.
    #[must_use]
    pub fn after(mut self, text: &str) -> Self {
        for char in text.chars() {
            if char == '\n' {
                self.line += 1;
                self.column = 1;
            } else {
                self.column += 1;
            }
        }
        self
    }
}

/// ` at line 1, column 8`, or nothing.
#[must_use]
pub fn at(position: Option<Position>) -> String {
    position.map_or_else(String::new, |Position { line, column }| {
        format!(" at line {line}, column {column}")
    })
}
