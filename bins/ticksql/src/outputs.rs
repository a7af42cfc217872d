//! Standard output and standard error, or their replacements in tests.

use std::io::Write;

/// Where an answer and what is reported about it go.
pub(crate) struct Outputs<'a> {
    pub(crate) output: &'a mut (dyn Write + Send),
    pub(crate) status: &'a mut (dyn Write + Send),
}
