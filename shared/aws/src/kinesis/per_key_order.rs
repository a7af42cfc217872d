//! Per-key ordering: which of the pending records may be sent next.

use std::collections::{HashSet, VecDeque};

use app::ports::Refused;
use domain::{Tick, Token};

use crate::chunk::{Filling, Limits};

/// The limits of PutRecords: 500 records and 10 MiB of data and partition keys. We count the base64
/// encoding of the data, which is more than Kinesis counts.
pub(super) const REQUEST: Limits = Limits {
    entries_max: 500,
    bytes_max: 10 * 1_024 * 1_024,
};

/// The largest record that every stream accepts: 1 MiB (larger ones must be enabled).
pub(super) const RECORD_BYTES_MAX: usize = 1_024 * 1_024;

/// A tick that is not in the stream yet.
#[derive(Debug, Clone)]
pub(super) struct PendingRecord {
    /// Its position in the batch.
    pub(super) index: usize,
    /// Its partition key.
    pub(super) token: Token,
    /// Its record.
    pub(super) data: Vec<u8>,
    /// Why it was last refused, if it was sent.
    refused: Option<String>,
}

impl PendingRecord {
    pub(super) fn new(index: usize, tick: &Tick) -> Self {
        let mut data = Vec::new();
        codec::json::write_json(tick, &mut data);
        Self {
            index,
            token: tick.token.clone(),
            data,
            refused: None,
        }
    }

    /// The same record, refused for a reason.
    pub(super) fn refused(self, reason: String) -> Self {
        Self {
            refused: Some(reason),
            ..self
        }
    }

    /// Bytes on the wire.
    pub(super) fn bytes(&self) -> usize {
        self.data.len().div_ceil(3) * 4 + self.token.as_str().len()
    }
}

/// Ticks in the order in which they should reach the stream. Refused ones come before those that
/// were not sent yet.
#[derive(Debug, Default)]
pub(super) struct OrderedQueue {
    waiting: VecDeque<PendingRecord>,
}

impl OrderedQueue {
    /// How many records are pending.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// The positions in the batch of all pending records.
    pub(super) fn positions(&self) -> Vec<usize> {
        self.waiting.iter().map(|waiting| waiting.index).collect()
    }

    /// Adds ticks at the end.
    pub(super) fn extend(&mut self, group: Vec<PendingRecord>) {
        self.waiting.extend(group);
    }

    /// Restores the order of the batch; only used before the first request.
    pub(super) fn sort(&mut self) {
        self.waiting
            .make_contiguous()
            .sort_by_key(|waiting| waiting.index);
    }

    /// Takes the records for the next request: refused ones, and unsent ones of tokens without
    /// refused ones.
    pub(super) fn next_chunk(&mut self, limits: &Limits) -> Vec<PendingRecord> {
        let blocked: HashSet<Token> = self
            .waiting
            .iter()
            .filter(|waiting| waiting.refused.is_some())
            .map(|waiting| waiting.token.clone())
            .collect();
        let mut filling = Filling::default();
        let mut full = false;
        let mut chunk = Vec::new();
        let mut staying = VecDeque::new();
        for waiting in std::mem::take(&mut self.waiting) {
            let allowed = waiting.refused.is_some() || !blocked.contains(&waiting.token);
            // Once a record does not fit, no later one may be taken, or it would overtake.
            full = full || (allowed && !filling.take(waiting.bytes(), limits));
            if allowed && !full {
                chunk.push(waiting);
            } else {
                staying.push_back(waiting);
            }
        }
        self.waiting = staying;
        chunk
    }

    /// Returns refused records to the front.
    pub(super) fn return_refused(&mut self, refused: Vec<PendingRecord>) {
        for waiting in refused.into_iter().rev() {
            self.waiting.push_front(waiting);
        }
    }

    /// Empties the queue: all pending records are refused, each for its own reason.
    pub(super) fn refuse_all(&mut self) -> Vec<Refused> {
        std::mem::take(&mut self.waiting)
            .into_iter()
            .map(|waiting| Refused {
                index: waiting.index,
                reason: waiting.refused.unwrap_or_else(|| {
                    "not sent: the stream did not accept the ticks before it in time".to_owned()
                }),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use testkit::ticks::tick;

    fn queue(tokens: &[&str]) -> OrderedQueue {
        let mut queue = OrderedQueue::default();
        queue.extend(
            tokens
                .iter()
                .enumerate()
                .map(|(index, token)| PendingRecord::new(index, &tick(token, 1)))
                .collect(),
        );
        queue
    }

    fn indexes(chunk: &[PendingRecord]) -> Vec<usize> {
        chunk.iter().map(|waiting| waiting.index).collect()
    }

    const TWO: Limits = Limits {
        entries_max: 2,
        bytes_max: usize::MAX,
    };

    #[test]
    fn later_ticks_of_a_refused_token_wait_and_others_are_sent() {
        let mut queue = queue(&["A", "B", "A", "B", "A"]);
        let mut chunk = queue.next_chunk(&TWO);
        assert_eq!(indexes(&chunk), [0, 1]);
        let refused = chunk.remove(0).refused("slow down".to_owned());
        queue.return_refused(vec![refused]);
        let chunk = queue.next_chunk(&TWO);
        assert_eq!(indexes(&chunk), [0, 3], "2 and 4 wait for 0");
        assert_eq!(indexes(&queue.next_chunk(&TWO)), [2, 4]);
    }

    #[test]
    fn every_refused_record_has_its_reason() {
        let mut queue = queue(&["A", "A"]);
        let chunk = queue.next_chunk(&Limits {
            entries_max: 1,
            ..TWO
        });
        queue.return_refused(
            chunk
                .into_iter()
                .map(|waiting| waiting.refused("throttled".to_owned()))
                .collect(),
        );
        let refused = queue.refuse_all();
        assert_eq!(refused[0].reason, "throttled");
        assert!(refused[1].reason.starts_with("not sent"));
        assert_eq!(queue.len(), 0);
    }

    #[test]
    fn the_wire_size_counts_base64_and_key() {
        let waiting = PendingRecord::new(0, &tick("SOL", 1));
        let data_bytes = waiting.data.len();
        assert_eq!(waiting.bytes(), data_bytes.div_ceil(3) * 4 + 3);
    }

    proptest! {
        #[test]
        fn a_tick_is_overtaken_only_from_within_its_own_request(
            tokens in prop::collection::vec(prop::sample::select(vec!["A", "B", "C"]), 1..60),
            entries_max in 1usize..8,
            luck in prop::collection::vec(any::<bool>(), 1..400),
        ) {
            let limits = Limits { entries_max, bytes_max: usize::MAX };
            let mut queue = queue(&tokens);
            let mut luck = luck.into_iter().chain(std::iter::repeat(true));
            let mut requests_of: Vec<Vec<usize>> = vec![Vec::new(); tokens.len()];
            let mut taken = Vec::new();
            for request in 0.. {
                let chunk = queue.next_chunk(&limits);
                if chunk.is_empty() {
                    break;
                }
                prop_assert!(chunk.len() <= entries_max);
                let mut refused = Vec::new();
                for waiting in chunk {
                    requests_of[waiting.index].push(request);
                    if luck.next().unwrap() {
                        taken.push(waiting.index);
                    } else {
                        refused.push(waiting.refused("slow down".to_owned()));
                    }
                }
                queue.return_refused(refused);
            }
            prop_assert_eq!(queue.len(), 0);
            prop_assert_eq!(taken.len(), tokens.len(), "each is sent once");
            for (place, earlier) in taken.iter().enumerate() {
                for later in &taken[..place] {
                    if tokens[*earlier] == tokens[*later] && later > earlier {
                        prop_assert!(
                            requests_of[*later].iter().any(|r| requests_of[*earlier].contains(r)),
                            "{} overtook {}", later, earlier
                        );
                    }
                }
            }
        }
    }
}
