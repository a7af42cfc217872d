//! The response to a read that fails.

use axum::http::StatusCode;
use runtime::log_rate::LogRate;
use runtime::problem::Problem;

/// The response to a failed read; the cause is logged.
pub(super) fn unreadable(error: impl std::error::Error) -> Problem {
    static RATE: LogRate = LogRate::new();
    if let Some(left_out) = RATE.line_due() {
        tracing::error!(error = %error, left_out, "the store cannot be read");
    }
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "the store cannot be read; the cause is in the log",
    )
}
