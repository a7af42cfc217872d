//! Objects in memory.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use app::objects::{Condition, Object, Objects, Replaced};
use app::ports::PortError;
use async_trait::async_trait;

/// An archive in memory.
#[derive(Debug, Default)]
pub struct MemoryObjects(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    /// Contents and versions, by name.
    objects: BTreeMap<String, (Vec<u8>, String)>,
    writes: u64,
}

impl Held {
    fn put(&mut self, name: &str, content: Vec<u8>) -> String {
        self.writes += 1;
        let version = self.writes.to_string();
        self.objects
            .insert(name.to_owned(), (content, version.clone()));
        version
    }
}

impl MemoryObjects {
    /// The names of all objects.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.held().objects.keys().cloned().collect()
    }

    /// How many objects were written, replaced ones too.
    #[must_use]
    pub fn writes(&self) -> u64 {
        self.held().writes
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn of_file(error: std::io::Error) -> PortError {
    PortError {
        operation: "a file of the test",
        retryable: false,
        source: Box::new(error),
    }
}

#[async_trait]
impl Objects for MemoryObjects {
    fn place(&self) -> String {
        "memory".to_owned()
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Object>, PortError> {
        let held = self.held();
        let named = held
            .objects
            .iter()
            .filter(|(name, _)| name.starts_with(prefix));
        let object = |(name, (content, version)): (&String, &(Vec<u8>, String))| Object {
            name: name.clone(),
            bytes: content.len() as u64,
            version: version.clone(),
        };
        Ok(named.map(object).collect())
    }

    async fn folders(&self, of: &str) -> Result<Vec<String>, PortError> {
        let held = self.held();
        let below = held.objects.keys().filter_map(|name| name.strip_prefix(of));
        let mut found: Vec<String> = below
            .filter_map(|rest| Some(format!("{of}{}/", rest.split_once('/')?.0)))
            .collect();
        found.dedup();
        Ok(found)
    }

    async fn read(&self, name: &str) -> Result<Option<(Vec<u8>, String)>, PortError> {
        Ok(self.held().objects.get(name).cloned())
    }

    async fn replace(
        &self,
        name: &str,
        content: Vec<u8>,
        condition: Condition<'_>,
    ) -> Result<Replaced, PortError> {
        let mut held = self.held();
        let version = held.objects.get(name).map(|(_, version)| version.as_str());
        if condition.holds(version) {
            Ok(Replaced::Done(held.put(name, content)))
        } else {
            Ok(Replaced::Changed)
        }
    }

    async fn fetch(&self, name: &str, to: &Path) -> Result<bool, PortError> {
        match self.read(name).await? {
            Some((content, _)) => std::fs::write(to, content).map(|()| true).map_err(of_file),
            None => Ok(false),
        }
    }

    async fn put(&self, name: &str, from: &Path) -> Result<(), PortError> {
        let content = std::fs::read(from).map_err(of_file)?;
        self.held().put(name, content);
        Ok(())
    }

    async fn copy(&self, from: &str, to: &str) -> Result<bool, PortError> {
        let mut held = self.held();
        let content = held.objects.get(from).map(|(content, _)| content.clone());
        Ok(content.map(|content| held.put(to, content)).is_some())
    }

    async fn delete(&self, names: &[String]) -> Result<(), PortError> {
        let mut held = self.held();
        for name in names {
            held.objects.remove(name);
        }
        Ok(())
    }
}
