//! What the tests of the checks assert of a line.

use super::check_line::{CheckLine, CheckState};

/// Asserts the state of a line, and that its evidence and its advice contain some text; without advice, that it
/// has none.
#[track_caller]
pub(super) fn check(line: &CheckLine, state: CheckState, evidence: &str, advice: &str) {
    assert_eq!(line.state, state, "{line:?}");
    assert!(line.evidence.contains(evidence), "{evidence}: {line:?}");
    match &line.advice {
        Some(given) => assert!(!advice.is_empty() && given.contains(advice), "{line:?}"),
        None => assert!(advice.is_empty(), "{line:?}"),
    }
}
