//! A statement cut into words, as far as its clauses can be told by them: no parser reads every
//! dialect, and a text of the service's must not be refused for a word that is new.

/// Words that begin a clause.
const CLAUSES: [&str; 17] = [
    "SELECT",
    "FROM",
    "WHERE",
    "GROUP",
    "HAVING",
    "ORDER",
    "LIMIT",
    "OFFSET",
    "WINDOW",
    "UNION",
    "EXCEPT",
    "INTERSECT",
    "QUALIFY",
    "FETCH",
    "WITH",
    "VALUES",
    "ON",
];

/// What a piece of the text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A word or number without quotes.
    Word,
    /// A name in double quotes or backquotes.
    Quoted,
    /// `?`
    Mark,
    /// `(`
    Open,
    /// `)`
    Close,
    /// `,`
    Comma,
    /// Any other sign, and a text in quotes.
    Other,
}

/// A piece of the text, where it starts in bytes, and the clause that it stands in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece<'a> {
    pub(super) kind: Kind,
    pub(super) text: &'a str,
    pub(super) start: usize,
    /// The word that began the innermost clause of a SELECT; empty where there is none.
    pub(super) clause: &'static str,
}

impl Piece<'_> {
    pub(super) fn is(&self, word: &str) -> bool {
        self.kind == Kind::Word && self.text.eq_ignore_ascii_case(word)
    }
}

/// What a bracket holds.
#[derive(Debug, Clone, Copy)]
struct Level {
    /// Whether a SELECT was seen in it: only then do its words begin clauses.
    selects: bool,
    clause: &'static str,
}

/// Cuts a text; comments and spaces are left out.
pub(super) fn pieces(sql: &str) -> Vec<Piece<'_>> {
    let mut found = Vec::new();
    let mut levels = vec![Level {
        selects: false,
        clause: "",
    }];
    let mut at = 0;
    while let Some((kind, length)) = next(sql.get(at..).unwrap_or_default()) {
        let start = at;
        at += length;
        let text = sql.get(start..at).unwrap_or_default();
        let Some(kind) = kind else {
            continue;
        };
        match kind {
            // A bracket stands in the clause around it until a SELECT says otherwise.
            Kind::Open => {
                let clause = levels.last().map_or("", |level| level.clause);
                levels.push(Level {
                    selects: false,
                    clause,
                });
            }
            Kind::Close if levels.len() > 1 => {
                levels.pop();
            }
            Kind::Word => {
                let begins = CLAUSES
                    .into_iter()
                    .find(|word| text.eq_ignore_ascii_case(word));
                if let (Some(word), Some(level)) = (begins, levels.last_mut()) {
                    level.selects |= word == "SELECT";
                    if level.selects {
                        level.clause = word;
                    }
                }
            }
            Kind::Close | Kind::Quoted | Kind::Mark | Kind::Comma | Kind::Other => {}
        }
        found.push(Piece {
            kind,
            text,
            start,
            clause: levels.last().map_or("", |level| level.clause),
        });
    }
    found
}

/// The kind (`None` for spaces and comments) and the length of what a text starts with.
fn next(text: &str) -> Option<(Option<Kind>, usize)> {
    let first = text.chars().next()?;
    let through = |end: &str, from: usize| {
        let rest = text.get(from..).unwrap_or_default();
        rest.find(end)
            .map_or(text.len(), |at| from + at + end.len())
    };
    let run =
        |belongs: fn(char) -> bool| text.find(|char: char| !belongs(char)).unwrap_or(text.len());
    Some(match first {
        '\'' => (Some(Kind::Other), through("'", 1)),
        '"' => (Some(Kind::Quoted), through("\"", 1)),
        '`' => (Some(Kind::Quoted), through("`", 1)),
        '?' => (Some(Kind::Mark), 1),
        '(' => (Some(Kind::Open), 1),
        ')' => (Some(Kind::Close), 1),
        ',' => (Some(Kind::Comma), 1),
        _ if text.starts_with("--") => (None, through("\n", 2)),
        _ if text.starts_with("/*") => (None, through("*/", 2)),
        char if char.is_whitespace() => (None, run(char::is_whitespace)),
        char if is_of_a_word(char) => (Some(Kind::Word), run(is_of_a_word)),
        char => (Some(Kind::Other), char.len_utf8()),
    })
}

fn is_of_a_word(char: char) -> bool {
    char.is_alphanumeric() || char == '_'
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn marks(sql: &str) -> Vec<&'static str> {
        let marks = pieces(sql)
            .into_iter()
            .filter(|piece| piece.kind == Kind::Mark);
        marks.map(|piece| piece.clause).collect()
    }

    #[test]
    fn marks_know_their_clause() {
        let check = |sql: &str, expected: &[&str]| assert_eq!(marks(sql), expected, "{sql}");
        check("SELECT ? FROM t WHERE a = ?", &["SELECT", "WHERE"]);
        check(
            "select ? from t where (a = ? or (b = ?))",
            &["SELECT", "WHERE", "WHERE"],
        );
        check(
            "SELECT a FROM t WHERE a IN (SELECT ? FROM u WHERE b = ?) AND c = ?",
            &["SELECT", "WHERE", "WHERE"],
        );
        check(
            "SELECT '?', \"?\", `?` -- ?\n/* ? */ FROM t LIMIT ?",
            &["LIMIT"],
        );
        check(
            "WITH a AS (SELECT x FROM t WHERE y = ?) SELECT ? FROM a",
            &["WHERE", "SELECT"],
        );
        // A filter's WHERE is none of the statement's.
        check("SELECT count(*) FILTER (WHERE a = ?) FROM t", &["SELECT"]);
        check(
            "SELECT extract(year FROM ?) FROM t WHERE extract(year FROM ?) = ?",
            &["SELECT", "WHERE", "WHERE"],
        );
        check(
            "SELECT a FROM t JOIN u ON t.a = ? WHERE b = ?",
            &["ON", "WHERE"],
        );
        check(
            "SELECT a FROM t WHERE b = ? GROUP BY a HAVING count(*) > ?",
            &["WHERE", "HAVING"],
        );
        check(
            "SELECT a FROM t WHERE b = ? UNION ALL SELECT ? FROM t",
            &["WHERE", "SELECT"],
        );
        check("VALUES (?)", &[""]);
    }

    proptest! {
        /// Whatever the text, it is cut without loss of a mark outside of quotes.
        #[test]
        fn any_text_is_cut(text in "(?s)([a(),?'\"` \n/*-]|SELECT |WHERE |.){0,40}") {
            for piece in pieces(&text) {
                prop_assert_eq!(&text[piece.start..piece.start + piece.text.len()], piece.text);
            }
        }
    }
}
