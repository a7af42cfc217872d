//! Maps positions in a statement to the text that it was generated from.

use query::{Position, Value};

use super::placeholder::PlaceholderContext;

/// Finds a position of the statement in the text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SourceMap(Vec<(Position, Position, Follows)>);

/// How positions inside a part map to the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Follows {
    /// Character by character.
    AsItIs,
    /// All of them to the position where the part begins.
    AsOne,
}

impl SourceMap {
    /// The position in the text of a position in the statement.
    pub(crate) fn source_position(&self, position: Position) -> Position {
        let key = |position: &Position| (position.line, position.column);
        let starts = self.0.iter().rev();
        let mut before = starts.skip_while(|(start, ..)| key(start) > key(&position));
        match before.next() {
            None => position,
            Some((_, source, Follows::AsOne)) => *source,
            Some((start, source, Follows::AsItIs)) if start.line == position.line => Position {
                line: source.line,
                column: source.column + (position.column - start.column),
            },
            Some((start, source, Follows::AsItIs)) => Position {
                line: source.line + (position.line - start.line),
                column: position.column,
            },
        }
    }
}

/// The `?` of a value in a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BoundPlaceholder {
    /// Where it is, in bytes.
    pub(crate) offset: usize,
    pub(crate) context: PlaceholderContext,
    pub(crate) in_where: bool,
}

impl BoundPlaceholder {
    /// How its value is written in its place.
    pub(crate) fn literal(self, value: &Value) -> String {
        self.context.literal(value)
    }
}

/// A statement that is assembled from parts.
#[derive(Debug, Default)]
pub(super) struct StatementText {
    pub(super) sql: String,
    pub(super) source_map: SourceMap,
}

impl StatementText {
    /// Adds a part that comes from a position in the text.
    pub(super) fn push(&mut self, part: &str, source: Position, follows: Follows) {
        let start = Position::START.after(&self.sql);
        self.source_map.0.push((start, source, follows));
        self.sql.push_str(part);
    }
}
