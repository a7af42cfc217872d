//! The objects of an archive, in a local folder or under a prefix of a bucket.
//!
//! A name is relative to the archive's root, with `/` between folders, such as
//! `year=2026/month=03/day=07/000-….parquet`.

use std::path::Path;

use async_trait::async_trait;

use crate::ports::PortError;

/// An object in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Its name.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// Changes when the object is overwritten.
    pub version: String,
}

/// The condition for replacing an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition<'a> {
    /// No object of that name exists.
    Absent,
    /// It still has the version that [`Objects::read`] or [`Objects::replace`] returned.
    Is(&'a str),
    /// None: it is replaced or created.
    Always,
}

impl Condition<'_> {
    /// Whether it holds for an object of this version; `None` if there is none.
    #[must_use]
    pub fn holds(self, version: Option<&str>) -> bool {
        match self {
            Self::Absent => version.is_none(),
            Self::Is(expected) => version == Some(expected),
            Self::Always => true,
        }
    }
}

/// The result of [`Objects::replace`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replaced {
    /// The object was replaced and now has this version.
    Done(String),
    /// The condition does not hold, since somebody else changed the object; nothing was changed.
    Changed,
}

/// Objects of an archive. Changes are durable when a call returns, and readers see an object as a
/// whole or not at all.
#[async_trait]
pub trait Objects: Send + Sync {
    /// The location, for people: a folder, or `s3://bucket/prefix/`.
    fn place(&self) -> String;

    /// All objects whose names begin with `prefix`, in order of their names.
    async fn list(&self, prefix: &str) -> Result<Vec<Object>, PortError>;

    /// The names of the folders right below a folder, in order: `""`, or a name that ends with a slash, as those that it
    /// returns. Objects deeper down are not listed.
    async fn folders(&self, of: &str) -> Result<Vec<String>, PortError>;

    /// A small object and its version; `None` if it does not exist.
    async fn read(&self, name: &str) -> Result<Option<(Vec<u8>, String)>, PortError>;

    /// Writes a small object if the condition holds, atomically.
    async fn replace(
        &self,
        name: &str,
        content: Vec<u8>,
        condition: Condition<'_>,
    ) -> Result<Replaced, PortError>;

    /// Copies an object to a new local file; `false` if there is no such object.
    async fn fetch(&self, name: &str, to: &Path) -> Result<bool, PortError>;

    /// Writes an object from a local file, replacing one of the same name.
    async fn put(&self, name: &str, from: &Path) -> Result<(), PortError>;

    /// Copies an object to another name, replacing an object of that name; `false` if there is no
    /// such object.
    async fn copy(&self, from: &str, to: &str) -> Result<bool, PortError>;

    /// Removes objects. Missing objects are not an error.
    async fn delete(&self, names: &[String]) -> Result<(), PortError>;
}
