//! Which signed messages came lately: a bounded memory that informs and never refuses.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};

use super::standard::TOLERANCE_SECONDS;

/// Most ids remembered, about 6 MB of them; past it the oldest are forgotten first.
pub const SEEN_IDS_MAX: usize = 100_000;

/// How long an id is remembered, in ms. A signature dated [`TOLERANCE_SECONDS`] ahead is still
/// good that long after its date, hence twice the tolerance.
const REMEMBER_MS: i64 = 2 * TOLERANCE_SECONDS.cast_signed() * 1_000;

/// The ids of signed messages that came lately.
///
/// An id is noted when its message is authenticated, before it is stored: a message that was
/// then not stored and comes again counts as replayed too.
#[derive(Debug, Default)]
pub struct SeenIds {
    memory: Mutex<Memory>,
    /// Keyed anew in each process, so that no sender can choose ids that collide.
    hasher: RandomState,
}

/// What is known of an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sighting {
    /// It is new, or forgotten.
    First,
    /// It came with this body.
    SameBody,
    /// It came with other bodies only.
    OtherBody,
}

/// Hashes in place of ids and bodies: a collision misinforms once, and costs nothing else.
#[derive(Debug, Default)]
struct Memory {
    /// The id's hash and the hash of its first body.
    bodies: HashMap<u64, u64>,
    /// When each id came, oldest first.
    order: VecDeque<(i64, u64)>,
}

impl SeenIds {
    /// Notes a message, and tells whether it came before; `now_ms` in epoch ms.
    pub(super) fn note(&self, id: &str, body: &[u8], now_ms: i64) -> Sighting {
        let (id, body) = (self.hasher.hash_one(id), self.hasher.hash_one(body));
        // A panic elsewhere leaves at worst one id in one of the two collections.
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        memory.forget(now_ms, SEEN_IDS_MAX);
        match memory.bodies.get(&id) {
            Some(known) if *known == body => Sighting::SameBody,
            Some(_) => Sighting::OtherBody,
            None => {
                memory.bodies.insert(id, body);
                memory.order.push_back((now_ms, id));
                Sighting::First
            }
        }
    }
}

impl Memory {
    /// Makes room for one more.
    fn forget(&mut self, now_ms: i64, ids_max: usize) {
        while let Some((came_ms, id)) = self.order.front().copied() {
            let expired = now_ms.saturating_sub(came_ms) > REMEMBER_MS;
            if !expired && self.order.len() < ids_max {
                return;
            }
            self.order.pop_front();
            self.bodies.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: i64 = 1_763_000_000_000;

    #[test]
    fn an_id_is_known_with_its_body() {
        let seen = SeenIds::default();
        assert_eq!(seen.note("a", b"1", NOW_MS), Sighting::First);
        assert_eq!(seen.note("b", b"1", NOW_MS), Sighting::First);
        assert_eq!(seen.note("a", b"1", NOW_MS), Sighting::SameBody);
        assert_eq!(seen.note("a", b"2", NOW_MS), Sighting::OtherBody);
        assert_eq!(seen.note("a", b"1", NOW_MS), Sighting::SameBody);
    }

    #[test]
    fn an_id_is_forgotten_once_its_signature_is_void() {
        let seen = SeenIds::default();
        seen.note("a", b"1", NOW_MS);
        assert_eq!(
            seen.note("a", b"1", NOW_MS + REMEMBER_MS),
            Sighting::SameBody
        );
        assert_eq!(
            seen.note("a", b"1", NOW_MS + REMEMBER_MS + 1),
            Sighting::First
        );
        // A clock that is set back forgets nothing.
        assert_eq!(seen.note("a", b"1", NOW_MS), Sighting::SameBody);
    }

    #[test]
    fn the_memory_is_bounded() {
        let seen = SeenIds::default();
        for number in 0..=SEEN_IDS_MAX {
            seen.note(&number.to_string(), b"1", NOW_MS);
        }
        let memory = seen.memory.lock().unwrap();
        assert_eq!(memory.order.len(), SEEN_IDS_MAX);
        assert_eq!(memory.bodies.len(), SEEN_IDS_MAX);
        drop(memory);
        assert_eq!(
            seen.note("1", b"1", NOW_MS),
            Sighting::First,
            "the oldest were forgotten"
        );
        assert_eq!(seen.note("5", b"1", NOW_MS), Sighting::SameBody);
    }
}
