//! What people say about anomalies.
//!
//! Key of a false alarm: 0, timestamp (u64), tick id (16 bytes), pair (text). Key of a muted pair: 1, pair (text).
//! Value: postcard.

use domain::{Pair, TickId};

use super::sortable;

pub(crate) const KEYSPACE: &str = "anomaly-marks";

pub(crate) const FALSE_ALARMS: [u8; 1] = [0];
pub(crate) const MUTED_PAIRS: [u8; 1] = [1];

pub(crate) fn false_alarm(timestamp_ms: i64, tick_id: TickId, pair: &Pair) -> Vec<u8> {
    let mut key = FALSE_ALARMS.to_vec();
    key.extend(sortable(timestamp_ms));
    key.extend(tick_id.as_bytes());
    key.extend(pair.to_string().into_bytes());
    key
}

pub(crate) fn muted_pair(pair: &Pair) -> Vec<u8> {
    let mut key = MUTED_PAIRS.to_vec();
    key.extend(pair.to_string().into_bytes());
    key
}
