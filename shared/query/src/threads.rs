//! Threads that queries run on. A query may hold one for long, so nothing waits for it.

use tokio::runtime::{Builder, Handle, Runtime};

use crate::error::SqlError;

/// Threads of a query's own. After a drop, each ends as soon as its work yields.
pub(crate) struct Threads {
    handle: Handle,
    /// `None` only during the drop.
    runtime: Option<Runtime>,
}

impl Threads {
    pub(crate) fn start(count: usize) -> Result<Self, SqlError> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(count)
            .thread_name("sql")
            .enable_all()
            .build()
            .map_err(|error| SqlError::Engine(error.to_string()))?;
        Ok(Self {
            handle: runtime.handle().clone(),
            runtime: Some(runtime),
        })
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        // A drop within another runtime must not block.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
