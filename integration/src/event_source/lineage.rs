//! Which shards may be read: after a reshard, a parent to its end before its children, so that the
//! order of a partition key is kept.

use std::collections::BTreeSet;

/// A shard as ListShards gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its id.
    pub id: String,
    /// The shards that it was split or merged from.
    pub parents: Vec<String>,
}

/// The shards that are not read to their end, and whose parents are, or are no longer listed: their
/// records are older than the stream keeps.
#[must_use]
pub fn readable<'a>(listed: &'a [Listed], finished: &BTreeSet<String>) -> Vec<&'a str> {
    let known: BTreeSet<&str> = listed.iter().map(|shard| shard.id.as_str()).collect();
    let is_done = |id: &String| finished.contains(id) || !known.contains(id.as_str());
    listed
        .iter()
        .filter(|shard| !finished.contains(&shard.id) && shard.parents.iter().all(is_done))
        .map(|shard| shard.id.as_str())
        .collect()
}
