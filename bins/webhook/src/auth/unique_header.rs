//! Headers that must not be repeated.

use axum::http::{HeaderMap, HeaderValue};

use super::AuthError;

/// The value of a header that must not be repeated.
pub(super) fn unique_header<'a>(
    headers: &'a HeaderMap,
    name: &str,
    known_as: &'static str,
) -> Result<Option<&'a HeaderValue>, AuthError> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(AuthError::RepeatedHeader(known_as));
    }
    Ok(first)
}
