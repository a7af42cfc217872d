//! Objects of an archive for a process that is killed: from a chosen call on, every call fails.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use app::objects::{Condition, Object, Objects, Replaced};
use app::ports::PortError;
use async_trait::async_trait;

/// When the process is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KillPoint {
    /// Before the call does anything.
    Before,
    /// After the call took effect, before its response.
    After,
}

/// Objects for a process that is killed at its call number `at`, counted from 0.
pub struct KilledObjects {
    inner: Arc<dyn Objects>,
    at: usize,
    kill_point: KillPoint,
    calls: AtomicUsize,
}

impl KilledObjects {
    /// Wraps objects.
    #[must_use]
    pub fn new(inner: Arc<dyn Objects>, at: usize, kill_point: KillPoint) -> Self {
        Self {
            inner,
            at,
            kill_point,
            calls: AtomicUsize::new(0),
        }
    }

    /// The number of calls so far, including failed ones.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }

    async fn call<T>(
        &self,
        call: impl Future<Output = Result<T, PortError>> + Send,
    ) -> Result<T, PortError> {
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        if number > self.at || (number == self.at && self.kill_point == KillPoint::Before) {
            return Err(killed());
        }
        let done = call.await?;
        if number == self.at {
            return Err(killed());
        }
        Ok(done)
    }
}

fn killed() -> PortError {
    PortError {
        operation: "anything",
        retryable: false,
        source: "the process is killed".into(),
    }
}

#[async_trait]
impl Objects for KilledObjects {
    fn place(&self) -> String {
        self.inner.place()
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Object>, PortError> {
        self.call(self.inner.list(prefix)).await
    }

    async fn folders(&self, of: &str) -> Result<Vec<String>, PortError> {
        self.call(self.inner.folders(of)).await
    }

    async fn read(&self, name: &str) -> Result<Option<(Vec<u8>, String)>, PortError> {
        self.call(self.inner.read(name)).await
    }

    async fn replace(
        &self,
        name: &str,
        content: Vec<u8>,
        condition: Condition<'_>,
    ) -> Result<Replaced, PortError> {
        self.call(self.inner.replace(name, content, condition))
            .await
    }

    async fn fetch(&self, name: &str, to: &Path) -> Result<bool, PortError> {
        self.call(self.inner.fetch(name, to)).await
    }

    async fn put(&self, name: &str, from: &Path) -> Result<(), PortError> {
        self.call(self.inner.put(name, from)).await
    }

    async fn copy(&self, from: &str, to: &str) -> Result<bool, PortError> {
        self.call(self.inner.copy(from, to)).await
    }

    /// A process may be killed between removing two objects.
    async fn delete(&self, names: &[String]) -> Result<(), PortError> {
        for name in names {
            self.call(self.inner.delete(std::slice::from_ref(name)))
                .await?;
        }
        Ok(())
    }
}
