//! `:days`, which is replaced by the condition on year, month and day that two times imply.

/// The word for the condition on year, month and day.
pub(super) const DAYS: &str = "days";

/// The parameters that `:days` uses in a text without a header.
pub(super) const TIMES: [&str; 2] = ["from", "to"];
