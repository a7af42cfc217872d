//! Results without a name.

/// Begins the name of a result without one; Athena calls it `_col` and its place.
pub(crate) const UNNAMED: &str = "__unnamed";
