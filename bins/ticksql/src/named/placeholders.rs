//! Finds placeholders in SQL: outside of texts, quoted names and comments.

use query::{Place, Value};

use super::DAYS;
use super::header::HeaderError;

/// A part of a query's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    Text(String),
    /// `:name`.
    Parameter(String, Stands),
    /// `:days`.
    Days,
}

/// Where a placeholder stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stands {
    /// Between the brackets of IN, where there may be several values.
    InList,
    /// Right behind a sign that compares it.
    Compared,
    /// Anywhere else.
    Alone,
}

/// The parts of a text that starts at a line, each with its place.
pub(super) fn pieces(text: &str, first_line: u64) -> Result<Vec<(Place, Piece)>, HeaderError> {
    let mut found: Vec<(Place, Piece)> = Vec::new();
    let mut place = Place {
        line: first_line,
        column: 1,
    };
    let mut before = Before::default();
    for token in Tokens(text) {
        let piece = match token {
            Token::Mark => return Err(HeaderError::Mark { line: place.line }),
            Token::Name(name) if name.eq_ignore_ascii_case(DAYS) => Piece::Days,
            Token::Name(name) => Piece::Parameter(name.to_owned(), before.stands()),
            Token::Other(text) => Piece::Text(text.to_owned()),
        };
        before.pass(token);
        match (&piece, found.last_mut()) {
            (Piece::Text(more), Some((_, Piece::Text(text)))) => text.push_str(more),
            _ => found.push((place, piece)),
        }
        place = after(place, token.text_chars());
    }
    Ok(found)
}

/// What stands before a placeholder.
#[derive(Default)]
struct Before<'a> {
    /// The open brackets: whether each is that of an IN.
    brackets: Vec<bool>,
    /// What comes right before, blanks and comments aside.
    last: &'a str,
}

impl<'a> Before<'a> {
    fn pass(&mut self, token: Token<'a>) {
        self.last = match token {
            Token::Other(text) if is_passed_over(text) => return,
            Token::Other("(") => {
                self.brackets.push(self.last.eq_ignore_ascii_case("in"));
                "("
            }
            Token::Other(")") => {
                self.brackets.pop();
                ")"
            }
            Token::Other(text) => {
                // What follows are columns, not the values of a list.
                if text.eq_ignore_ascii_case("select")
                    && let Some(bracket) = self.brackets.last_mut()
                {
                    *bracket = false;
                }
                text
            }
            Token::Mark | Token::Name(_) => "",
        };
    }

    fn stands(&self) -> Stands {
        let starts = matches!(self.last, "(" | ",");
        if starts && self.brackets.last() == Some(&true) {
            Stands::InList
        } else if matches!(self.last, "=" | "<" | ">") {
            Stands::Compared
        } else {
            Stands::Alone
        }
    }
}

/// Whether a portion is blanks or a comment.
fn is_passed_over(text: &str) -> bool {
    text.trim().is_empty() || text.starts_with("--") || text.starts_with("/*")
}

/// A statement with the literals of values in the place of its `?`.
pub(crate) fn in_place_of_marks(sql: &str, values: &[Value]) -> String {
    let mut values = values.iter();
    let mut rendered = String::with_capacity(sql.len());
    for token in Tokens(sql) {
        match token {
            Token::Mark => match values.next() {
                Some(value) => rendered.push_str(&value.literal()),
                None => rendered.push('?'),
            },
            Token::Name(name) => {
                rendered.push(':');
                rendered.push_str(name);
            }
            Token::Other(text) => rendered.push_str(text),
        }
    }
    rendered
}

/// Whether a text ends with a semicolon, comments and blanks behind it aside.
pub(crate) fn is_ended(text: &str) -> bool {
    let mut ended = false;
    for token in Tokens(text) {
        match token {
            Token::Other(";") => ended = true,
            Token::Other(other) if is_passed_over(other) => {}
            Token::Mark | Token::Name(_) | Token::Other(_) => ended = false,
        }
    }
    ended
}

fn after(mut place: Place, chars: impl Iterator<Item = char>) -> Place {
    for char in chars {
        if char == '\n' {
            place.line += 1;
            place.column = 1;
        } else {
            place.column += 1;
        }
    }
    place
}

#[derive(Debug, Clone, Copy)]
enum Token<'a> {
    /// `?`
    Mark,
    /// `:name`, without the colon.
    Name(&'a str),
    /// All else, in no particular portions.
    Other(&'a str),
}

impl<'a> Token<'a> {
    fn text_chars(self) -> impl Iterator<Item = char> + 'a {
        let (colon, text) = match self {
            Token::Mark => ("", "?"),
            Token::Name(name) => (":", name),
            Token::Other(text) => ("", text),
        };
        colon.chars().chain(text.chars())
    }
}

/// Cuts a text at its placeholders.
struct Tokens<'a>(&'a str);

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        let text = self.0;
        let first = text.chars().next()?;
        let name = || {
            text.strip_prefix(':')
                .map(name_at)
                .filter(|n| !n.is_empty())
        };
        let (token, length) = if first == '?' {
            (Token::Mark, 1)
        } else if let Some(name) = name() {
            (Token::Name(name), 1 + name.len())
        } else {
            let length = plain(text, first);
            let (plain, _) = text.split_at_checked(length).unwrap_or((text, ""));
            (Token::Other(plain), plain.len())
        };
        self.0 = text.get(length..).unwrap_or_default();
        Some(token)
    }
}

/// The name that a text starts with.
fn name_at(text: &str) -> &str {
    let starts = |char: char| char.is_ascii_alphabetic() || char == '_';
    if !text.starts_with(starts) {
        return "";
    }
    let goes_on = |char: char| char.is_ascii_alphanumeric() || char == '_';
    let end = text.find(|char| !goes_on(char)).unwrap_or(text.len());
    text.get(..end).unwrap_or_default()
}

/// The length of what stands at the start of a text and is no placeholder.
fn plain(text: &str, first: char) -> usize {
    let through = |end: &str, from: usize| {
        let rest = text.get(from..).unwrap_or_default();
        rest.find(end)
            .map_or(text.len(), |at| from + at + end.len())
    };
    let word = |char: char| char.is_alphanumeric() || char == '_';
    match first {
        '\'' => through("'", 1),
        '"' => through("\"", 1),
        '`' => through("`", 1),
        '-' if text.starts_with("--") => through("\n", 2),
        '/' if text.starts_with("/*") => through("*/", 2),
        ':' if text.starts_with("::") => 2,
        // A colon right behind a word or a bracket is no placeholder: `list[a:b]`.
        char if word(char) || char == ']' || char == ')' => {
            let end = text.find(|char| !word(char)).unwrap_or(text.len());
            let end = end.max(char.len_utf8());
            let colon = text.get(end..).is_some_and(|rest| rest.starts_with(':'));
            let casts = text.get(end..).is_some_and(|rest| rest.starts_with("::"));
            end + usize::from(colon && !casts)
        }
        char => char.len_utf8(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parameters(text: &str) -> Vec<String> {
        let pieces = pieces(text, 1).unwrap();
        let name = |(_, piece): (Place, Piece)| match piece {
            Piece::Parameter(name, _) => Some(name),
            Piece::Days => Some("DAYS".to_owned()),
            Piece::Text(_) => None,
        };
        pieces.into_iter().filter_map(name).collect()
    }

    #[test]
    fn placeholders_stand_outside_of_texts_names_and_comments() {
        let check =
            |text: &str, expected: &[&str]| assert_eq!(parameters(text), expected, "{text}");
        check("SELECT :a,:b", &["a", "b"]);
        check("a = :a_1;", &["a_1"]);
        check("(:a)", &["a"]);
        check("a=:a+:b", &["a", "b"]);
        check("':a' 'it''s :a' :b", &["b"]);
        check("\":a\" \"x\"\":a\" `:a` :b", &["b"]);
        check("-- :a\n:b -- :c", &["b"]);
        check("/* :a\n :b */ :c /* :d", &["c"]);
        check("x::bigint, :a::bigint, CAST(x AS y)::z", &["a"]);
        check("list[a:b], list[f(1):b]", &[]);
        check("list[1:2]", &[]);
        check(":DAYS and :days", &["DAYS", "DAYS"]);
        check("12:30 : x", &[]);
        check("'an open text :a", &[]);
    }

    #[test]
    fn a_placeholder_knows_where_it_stands() {
        use Stands::{Alone, Compared, InList};
        let check = |text: &str, expected: &[Stands]| {
            let pieces = pieces(text, 1).unwrap();
            let stands = pieces.iter().filter_map(|(_, piece)| match piece {
                Piece::Parameter(_, stands) => Some(*stands),
                Piece::Days | Piece::Text(_) => None,
            });
            assert_eq!(stands.collect::<Vec<_>>(), expected, "{text}");
        };
        check("x IN (:a)", &[InList]);
        check(
            "x not in\n( -- these\n :a /* two */, 'b', :c )",
            &[InList, InList],
        );
        check("x IN (lower(:a), :b || :c)", &[Alone, InList, Alone]);
        check(
            "x IN (SELECT y FROM z WHERE y = :a AND q IN (:b))",
            &[Compared, InList],
        );
        check("x IN (SELECT y, :a FROM z)", &[Alone]);
        check("(:a = '' OR x = :a)", &[Alone, Compared]);
        check("x <> :a AND y >= /* at least */ :b", &[Compared, Compared]);
        check("\"in\" (:a), begin (:b), f(x, :c)", &[Alone, Alone, Alone]);
    }

    #[test]
    fn a_statement_ends_with_its_semicolon() {
        for text in ["SELECT 1;", "SELECT ';' ; -- done; really\n ", "x; /* y */"] {
            assert!(is_ended(text), "{text}");
        }
        for text in ["", "SELECT 1", "SELECT ';", "SELECT 1 -- ;", "a; b", "\"x;"] {
            assert!(!is_ended(text), "{text}");
        }
    }

    #[test]
    fn pieces_know_their_places() {
        let pieces = pieces("é :a\n  'x\ny' :b", 5).unwrap();
        let places: Vec<_> = pieces
            .iter()
            .filter(|(_, piece)| !matches!(piece, Piece::Text(_)))
            .map(|(place, _)| (place.line, place.column))
            .collect();
        assert_eq!(places, [(5, 3), (7, 4)]);
    }

    proptest! {
        /// Nothing of a text is lost, whatever it is.
        #[test]
        fn the_pieces_make_the_text(text in "(?s)([a:' \n\"/*-]|.){0,60}") {
            prop_assume!(!text.contains('?'));
            let mut joined = String::new();
            for (_, piece) in pieces(&text, 1).unwrap() {
                match piece {
                    Piece::Text(text) => joined.push_str(&text),
                    Piece::Parameter(name, _) => joined.push_str(&format!(":{name}")),
                    Piece::Days => joined.push_str(":days"),
                }
            }
            prop_assert_eq!(joined.to_lowercase(), text.to_lowercase());
        }
    }
}
