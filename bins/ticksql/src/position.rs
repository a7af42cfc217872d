//! Positions in a text and offsets in it, and how a position is shown.

use query::Position;

/// The position of an offset in bytes; past the end of the text, its end.
pub(crate) fn of_offset(text: &str, offset: usize) -> Position {
    Position::START.after(text.get(..offset).unwrap_or(text))
}

/// The offset in bytes of a position; past the end of the text, its length.
pub(crate) fn offset_of(text: &str, position: Position) -> usize {
    let mut start = 0;
    for _ in 1..position.line {
        let rest = text.get(start..).unwrap_or_default();
        match rest.find('\n') {
            Some(at) => start += at + 1,
            None => return text.len(),
        }
    }
    let rest = text.get(start..).unwrap_or_default();
    let columns = usize::try_from(position.column.saturating_sub(1)).unwrap_or(usize::MAX);
    let within = rest.char_indices().nth(columns);
    start + within.map_or(rest.len(), |(at, _)| at)
}

/// The line of a position, with a mark under the position.
pub(crate) fn excerpt(text: &str, position: Position) -> Option<String> {
    let line = text
        .lines()
        .nth(usize::try_from(position.line.checked_sub(1)?).ok()?)?;
    let indent: String = line
        .chars()
        .take(usize::try_from(position.column.checked_sub(1)?).ok()?)
        .map(|char| if char == '\t' { '\t' } else { ' ' })
        .collect();
    let number = position.line.to_string();
    let margin = " ".repeat(number.len());
    Some(format!("  {number} | {line}\n  {margin} | {indent}^\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_marks_the_position() {
        let excerpt = |text: &str, line, column| excerpt(text, Position { line, column });
        assert_eq!(
            excerpt("SELECT é,\n\ttokn FROM x", 2, 2).unwrap(),
            "  2 | \ttokn FROM x\n    | \t^\n"
        );
        assert_eq!(
            excerpt("SELECT é, x", 1, 9).unwrap(),
            "  1 | SELECT é, x\n    |         ^\n"
        );
        assert_eq!(excerpt("SELECT", 2, 1), None);
    }

    #[test]
    fn an_offset_and_its_position_are_the_same_point() {
        let text = "é\n\nab";
        for (offset, line, column) in [(0, 1, 1), (2, 1, 2), (3, 2, 1), (4, 3, 1), (6, 3, 3)] {
            let position = Position { line, column };
            assert_eq!(of_offset(text, offset), position);
            assert_eq!(offset_of(text, position), offset);
        }
        assert_eq!(offset_of(text, Position { line: 9, column: 9 }), text.len());
    }
}
