//! What a machine cannot show, because something is missing there that the tests do not need otherwise.

use std::io::Write as _;

/// Prints what is not shown and why, also if the test passes.
pub fn not_shown(what: &str, why: &str) {
    // Not with `eprintln`, which a passing test hides. A closed standard error is not a failure of the test.
    drop(writeln!(
        std::io::stderr(),
        "== NOT SHOWN HERE: {what}: {why}"
    ));
}
