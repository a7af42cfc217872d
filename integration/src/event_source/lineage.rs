//! Which shards may be read: after a reshard, a parent is read to its end before its children,
//! which keeps the order per partition key.

use std::collections::BTreeSet;

/// A shard from ListShards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its id.
    pub id: String,
    /// The shards that it was split or merged from.
    pub parents: Vec<String>,
}

/// The unfinished shards whose parents are finished or no longer listed (their records have
/// expired).
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
