//! The shell's own commands, which begin with a backslash, as psql's meta-commands do.

/// A command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MetaCommand {
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
pub(super) const META_COMMANDS: [(&str, MetaCommand); 10] = [
    ("q", MetaCommand::Quit),
    ("?", MetaCommand::Help),
    ("d", MetaCommand::Tables),
    ("l", MetaCommand::Queries),
    ("run", MetaCommand::Run),
    ("format", MetaCommand::Format),
    ("timing", MetaCommand::Timing),
    ("chart", MetaCommand::Chart),
    ("set", MetaCommand::Set),
    ("unset", MetaCommand::Unset),
];

/// Plain words for users who do not know the commands yet; each must be a line of its own.
const PLAIN: [(&str, MetaCommand); 3] = [
    ("help", MetaCommand::Help),
    ("quit", MetaCommand::Quit),
    ("exit", MetaCommand::Quit),
];

/// The command that a line consists of, with a backslash or as a plain word, and without arguments.
pub(super) fn parse_bare_word(line: &str) -> Option<MetaCommand> {
    let line = line.trim().trim_end_matches(';').trim_end();
    if let Some(typed) = line.strip_prefix('\\') {
        return MetaCommand::of(typed);
    }
    let mut words = PLAIN.iter();
    let found = words.find(|(word, _)| line.eq_ignore_ascii_case(word));
    found.map(|(_, word)| *word)
}

impl MetaCommand {
    pub(super) fn of(typed: &str) -> Option<Self> {
        let mut words = META_COMMANDS.iter();
        words
            .find(|(word, _)| *word == typed)
            .map(|(_, word)| *word)
    }
}

/// The words of a line; quotes keep white space together: `from='2026-03-07 10:00'`.
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
            ("exit", Some(MetaCommand::Quit)),
            (" Quit; ", Some(MetaCommand::Quit)),
            ("help", Some(MetaCommand::Help)),
            ("\\q", Some(MetaCommand::Quit)),
            ("help me", None),
            ("SELECT 1 AS\nquit", None),
            ("", None),
        ] {
            assert_eq!(parse_bare_word(line), expected, "{line}");
        }
    }

    #[test]
    fn quotes_keep_blanks_together() {
        assert_eq!(
            words("run x a=1 b='2 3' c=\"it's\" d=''"),
            ["run", "x", "a=1", "b=2 3", "c=it's", "d="]
        );
        assert_eq!(words("  "), Vec::<String>::new());
        assert_eq!(MetaCommand::of("d"), Some(MetaCommand::Tables));
        assert_eq!(MetaCommand::of("D"), None);
    }
}
