//! What `trim` takes away, and the casts of texts to times: the spaces of Java, without those that do not break lines.

/// The characters.
pub(crate) const SPACES: &str = "\t\n\u{0B}\u{0C}\r\u{1C}\u{1D}\u{1E}\u{1F} \u{1680}\u{2000}\u{2001}\u{2002}\u{2003}\
    \u{2004}\u{2005}\u{2006}\u{2008}\u{2009}\u{200A}\u{2028}\u{2029}\u{205F}\u{3000}";

/// A text without them at its ends.
pub(crate) fn trimmed(text: &str) -> &str {
    text.trim_matches(|char| SPACES.contains(char))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spaces_that_do_not_break_stay() {
        assert_eq!(SPACES.chars().count(), 25);
        assert_eq!(trimmed("\t a\u{2003}\n"), "a");
        for kept in ["\u{A0}a", "a\u{85}", "\0a", "a\u{2007}", "\u{202F}a"] {
            assert_eq!(trimmed(kept), kept);
        }
    }
}
