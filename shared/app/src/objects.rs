//! The objects of an archive, wherever they are: a folder of this machine, or a prefix of a bucket.
//!
//! A name is relative to the archive's table, with `/` between folders, such as
//! `year=2026/month=03/day=07/000-….parquet`.

use std::path::Path;

use async_trait::async_trait;

use crate::ports::PortError;

/// An object as a listing tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Its name.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// Differs once the object was written anew under its name.
    pub version: String,
}

/// What an object must be like, for it to be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition<'a> {
    /// There is none of that name.
    Absent,
    /// It still is of the version that [`Objects::read`] or [`Objects::replace`] told.
    Is(&'a str),
}

/// What became of a [`Objects::replace`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replaced {
    /// It is done; the object now has this version.
    Done(String),
    /// Somebody else was there first: the condition does not hold, and nothing was changed.
    Changed,
}

/// Objects of an archive. What a call has done is durable when it returns, and an object is seen
/// as a whole or not at all.
#[async_trait]
pub trait Objects: Send + Sync {
    /// Where they are, for a person: a folder, or `s3://bucket/prefix/`.
    fn place(&self) -> String;

    /// All objects whose names begin with `prefix`, in order of their names.
    async fn list(&self, prefix: &str) -> Result<Vec<Object>, PortError>;

    /// A small object and its version; `None` where there is none.
    async fn read(&self, name: &str) -> Result<Option<(Vec<u8>, String)>, PortError>;

    /// Writes a small object, under a condition that is checked in the same step.
    async fn replace(
        &self,
        name: &str,
        content: Vec<u8>,
        condition: Condition<'_>,
    ) -> Result<Replaced, PortError>;

    /// Copies an object to a new file of this machine; `false` where there is no such object.
    async fn fetch(&self, name: &str, to: &Path) -> Result<bool, PortError>;

    /// Writes an object from a file of this machine, over one of the same name.
    async fn put(&self, name: &str, from: &Path) -> Result<(), PortError>;

    /// Copies an object to another name, over one that has it; `false` where there is no such
    /// object.
    async fn copy(&self, from: &str, to: &str) -> Result<bool, PortError>;

    /// Removes objects; those that are not there are no error.
    async fn delete(&self, names: &[String]) -> Result<(), PortError>;
}
