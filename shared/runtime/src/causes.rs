//! An error with its causes, in one line for people.

use std::error::Error;

/// The error and its causes, each behind the one that it led to. A cause whose text its effect
/// repeats already is left out, since wrappers often repeat their inner error.
#[must_use]
pub fn joined(error: &(dyn Error + 'static)) -> String {
    let mut line = error.to_string();
    let mut last = line.clone();
    for cause in std::iter::successors(error.source(), |&cause| cause.source()) {
        let text = cause.to_string();
        if !last.contains(&text) {
            line.push_str(": ");
            line.push_str(&text);
            last = text;
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Step {
        text: &'static str,
        source: Option<Box<Step>>,
    }

    fn chain(texts: &[&'static str]) -> Step {
        let (first, rest) = texts.split_first().unwrap();
        let source = (!rest.is_empty()).then(|| Box::new(chain(rest)));
        Step {
            text: first,
            source,
        }
    }

    #[test]
    fn each_cause_is_named_once() {
        for (texts, expected) in [
            (&["cannot open"][..], "cannot open"),
            (
                &["cannot open", "no disk", "os error 5"],
                "cannot open: no disk: os error 5",
            ),
            (
                &["cannot open", "engine: disk full", "disk full"],
                "cannot open: engine: disk full",
            ),
        ] {
            assert_eq!(joined(&chain(texts)), expected);
        }
    }
}
