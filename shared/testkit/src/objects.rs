//! Objects of an archive whose process dies: from a chosen call on, nothing goes through any more.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use app::objects::{Condition, Object, Objects, Replaced};
use app::ports::PortError;
use async_trait::async_trait;

/// When the process dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Death {
    /// Before the call does anything.
    Before,
    /// After the call was done, before its answer.
    After,
}

/// Objects for a process that dies at its call number `at`, counted from 0.
pub struct Mortal {
    inner: Arc<dyn Objects>,
    at: usize,
    death: Death,
    calls: AtomicUsize,
}

impl Mortal {
    /// Wraps objects.
    #[must_use]
    pub fn new(inner: Arc<dyn Objects>, at: usize, death: Death) -> Self {
        Self {
            inner,
            at,
            death,
            calls: AtomicUsize::new(0),
        }
    }

    /// Calls so far, those after death too.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }

    async fn call<T>(
        &self,
        call: impl Future<Output = Result<T, PortError>> + Send,
    ) -> Result<T, PortError> {
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        if number > self.at || (number == self.at && self.death == Death::Before) {
            return Err(dead());
        }
        let done = call.await?;
        if number == self.at {
            return Err(dead());
        }
        Ok(done)
    }
}

fn dead() -> PortError {
    PortError {
        operation: "anything",
        retryable: false,
        source: "the process is dead".into(),
    }
}

#[async_trait]
impl Objects for Mortal {
    fn place(&self) -> String {
        self.inner.place()
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Object>, PortError> {
        self.call(self.inner.list(prefix)).await
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

    /// A process may die between two of the objects that it removes.
    async fn delete(&self, names: &[String]) -> Result<(), PortError> {
        for name in names {
            self.call(self.inner.delete(std::slice::from_ref(name)))
                .await?;
        }
        Ok(())
    }
}
