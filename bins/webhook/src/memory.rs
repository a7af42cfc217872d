//! Memory as a semaphore, and what becomes of a delivery without any.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use runtime::problem::Problem;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::wire::RETRY_AFTER_SECONDS;

/// The bytes that a permit represents.
const PERMIT_BYTES: usize = 1_024;

/// How long a delivery waits if the memory for bodies is used up.
pub(crate) const RESERVE_WITHIN: Duration = Duration::from_secs(1);

/// The permits for this many bytes.
pub(crate) fn permits(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(PERMIT_BYTES)).unwrap_or(u32::MAX)
}

/// A semaphore with the permits for this many bytes.
pub(crate) fn memory(bytes: usize) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(bytes / PERMIT_BYTES))
}

/// Waits briefly for memory.
pub(crate) async fn reserve(
    of: &Arc<Semaphore>,
    bytes: usize,
) -> Result<OwnedSemaphorePermit, Problem> {
    let waiting = Arc::clone(of).acquire_many_owned(permits(bytes));
    tokio::time::timeout(RESERVE_WITHIN, waiting)
        .await
        .map_err(|_| busy())?
        .map_err(|_| busy())
}

/// Memory, if it is free now.
pub(crate) fn try_reserve(of: &Arc<Semaphore>, bytes: usize) -> Option<OwnedSemaphorePermit> {
    Arc::clone(of).try_acquire_many_owned(permits(bytes)).ok()
}

/// There is no memory for a delivery.
pub(crate) fn busy() -> Problem {
    let detail = "too many concurrent deliveries: deliver again in a second";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).retry_after(RETRY_AFTER_SECONDS)
}
