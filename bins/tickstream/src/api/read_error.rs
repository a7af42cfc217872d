//! The response to a read that fails.

use axum::http::StatusCode;
use runtime::problem::Problem;

/// The response to a failed read; the cause is logged.
pub(super) fn unreadable(error: impl std::error::Error) -> Problem {
    tracing::error!(error = %error, "the store cannot be read");
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "the store cannot be read; the cause is in the log",
    )
}
