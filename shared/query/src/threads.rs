//! Threads that queries run on. A query may hold one for as long as it likes, so nobody waits for it.

use tokio::runtime::{Builder, Handle, Runtime};

use super::error::SqlError;

/// Threads of their own. When they are dropped, each ends as soon as its work lets go of it.
pub(super) struct Threads {
    handle: Handle,
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
}

impl Threads {
    pub(super) fn start(count: usize) -> Result<Self, SqlError> {
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

    pub(super) fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        // A runtime that is dropped where others run would wait, which is not allowed there.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
