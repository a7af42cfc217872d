//! The shell's own commands, which begin with a backslash.

/// A command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    Quit,
    Help,
    Tables,
    Queries,
    Run,
    Format,
    Timing,
    Chart,
    Set,
    Unset,
}

/// The commands as they are typed.
pub(super) const WORDS: [(&str, Word); 10] = [
    ("q", Word::Quit),
    ("?", Word::Help),
    ("d", Word::Tables),
    ("l", Word::Queries),
    ("run", Word::Run),
    ("format", Word::Format),
    ("timing", Word::Timing),
    ("chart", Word::Chart),
    ("set", Word::Set),
    ("unset", Word::Unset),
];

/// What stands alone on a line, as people type it who do not know the commands yet.
const PLAIN: [(&str, Word); 3] = [
    ("help", Word::Help),
    ("quit", Word::Quit),
    ("exit", Word::Quit),
];

/// The command that a line is, with a backslash or as a plain word, where it is one without arguments.
pub(super) fn of_line(line: &str) -> Option<Word> {
    let line = line.trim().trim_end_matches(';').trim_end();
    if let Some(typed) = line.strip_prefix('\\') {
        return Word::of(typed);
    }
    let mut words = PLAIN.iter();
    let found = words.find(|(word, _)| line.eq_ignore_ascii_case(word));
    found.map(|(_, word)| *word)
}

impl Word {
    pub(super) fn of(typed: &str) -> Option<Self> {
        let mut words = WORDS.iter();
        words
            .find(|(word, _)| *word == typed)
            .map(|(_, word)| *word)
    }
}

/// The words of a line; quotes keep blanks together: `from='2026-03-07 10:00'`.
pub(super) fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for char in line.chars() {
        match (quote, char) {
            (Some(open), char) if char == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(char);
                word.get_or_insert_default();
            }
            (None, char) if char.is_whitespace() => words.extend(word.take()),
            (_, char) => word.get_or_insert_default().push(char),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_words_stand_alone() {
        for (line, expected) in [
            ("exit", Some(Word::Quit)),
            (" Quit; ", Some(Word::Quit)),
            ("help", Some(Word::Help)),
            ("\\q", Some(Word::Quit)),
            ("help me", None),
            ("SELECT 1 AS\nquit", None),
            ("", None),
        ] {
            assert_eq!(of_line(line), expected, "{line}");
        }
    }

    #[test]
    fn quotes_keep_blanks_together() {
        assert_eq!(
            words("run x a=1 b='2 3' c=\"it's\" d=''"),
            ["run", "x", "a=1", "b=2 3", "c=it's", "d="]
        );
        assert_eq!(words("  "), Vec::<String>::new());
        assert_eq!(Word::of("d"), Some(Word::Tables));
        assert_eq!(Word::of("D"), None);
    }
}
