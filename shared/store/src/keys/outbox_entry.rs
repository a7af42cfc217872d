//! Key: outbox entry (u64), counted from 1.
//! Value: how many of its ticks are in the stream (u64), then the keys of the others, 30 bytes each.

use std::collections::HashSet;

use super::tick::{Identity, KEY_BYTES, TickKey, identity_of};
use crate::error::StorageError;

pub(crate) const KEYSPACE: &str = "outbox";

/// An outbox entry.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// How many of its ticks are in the stream.
    pub(crate) streamed: u64,
    /// The keys of the others.
    pub(crate) keys: Vec<TickKey>,
}

impl Entry {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut value = Vec::with_capacity(8 + self.keys.len() * KEY_BYTES);
        value.extend_from_slice(&self.streamed.to_be_bytes());
        value.extend(self.keys.iter().flatten());
        value
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, StorageError> {
        let corrupt = || StorageError::corrupt("outbox entry", "it ends inside a key");
        let (streamed, keys) = bytes.split_first_chunk::<8>().ok_or_else(corrupt)?;
        let (keys, []) = keys.as_chunks::<KEY_BYTES>() else {
            return Err(corrupt());
        };
        Ok(Self {
            streamed: u64::from_be_bytes(*streamed),
            keys: keys.to_vec(),
        })
    }

    /// Marks these ticks as appended to the stream.
    pub(crate) fn mark_streamed(&mut self, streamed: &HashSet<Identity>) {
        let before = self.keys.len();
        self.keys
            .retain(|key| !streamed.contains(&identity_of(key)));
        self.streamed += (before - self.keys.len()) as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::super::tick::{self, identity as of};
    use super::*;

    #[test]
    fn an_entry_round_trips_and_a_truncated_one_is_refused() {
        let ids = [[1; 16], [2; 16], [3; 16]];
        let mut entry = Entry {
            streamed: 2,
            keys: ids.map(|id| tick::key(3, &of(7, 1_000, &id))).to_vec(),
        };
        let value = entry.encode();
        assert_eq!(Entry::decode(&value).unwrap(), entry);
        assert!(Entry::decode(&value[..value.len() - 1]).is_err());
        assert!(Entry::decode(&value[..7]).is_err());
        // The same id of another pair, or at another time, is another tick.
        let [other_pair, other_time] = [(8, 1_000), (7, 1_001)].map(|(n, ms)| of(n, ms, &ids[1]));
        let [first, _, third] = ids.map(|id| of(7, 1_000, &id));
        entry.mark_streamed(&HashSet::from([first, third, other_pair, other_time]));
        assert_eq!((entry.streamed, entry.keys.len()), (4, 1));
        assert_eq!(entry.keys[0], tick::key(3, &of(7, 1_000, &ids[1])));
    }
}
