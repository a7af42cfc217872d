//! Key: day on which it was written (u16), timestamp (u64), tick id (16 bytes), pair (text). In rows of
//! release 1.0 the pair is missing.
//! Value: [`FORMAT`] and the anomaly (postcard). Release 1.0 had anomalies of version 1 without it.

use domain::analytics::{Anomaly, AnomalyV1};
use domain::{Pair, TickId};

use super::day::Day;
use super::sortable;
use crate::error::StorageError;

pub(crate) const KEYSPACE: &str = "anomalies-by-day";

pub(crate) fn key(day: Day, anomaly: &Anomaly) -> Vec<u8> {
    let pair = Pair {
        token: anomaly.token.clone(),
        quote: anomaly.quote.clone(),
    };
    key_of(day, anomaly.timestamp_ms, anomaly.tick_id, &pair)
}

pub(crate) fn key_of(day: Day, timestamp_ms: i64, tick_id: TickId, pair: &Pair) -> Vec<u8> {
    let mut key = day.to_be_bytes().to_vec();
    key.extend(sortable(timestamp_ms));
    key.extend(tick_id.as_bytes());
    key.extend(pair.to_string().into_bytes());
    key
}

/// The first byte of a value. An anomaly of version 1 begins with the length of a name, at most 64.
const FORMAT: u8 = 0xc3;

pub(crate) fn encode(anomaly: &Anomaly) -> Result<Vec<u8>, StorageError> {
    super::encode("anomaly", &(FORMAT, anomaly))
}

pub(crate) fn decode(bytes: &[u8]) -> Result<Anomaly, StorageError> {
    match bytes.split_first() {
        Some((&FORMAT, anomaly)) => super::decode("anomaly", anomaly),
        _ => super::decode::<AnomalyV1>("anomaly", bytes).map(Anomaly::from),
    }
}

#[cfg(test)]
mod tests {
    use testkit::anomalies::jump_at;
    use testkit::ticks::tick;

    use super::*;

    #[test]
    fn anomalies_of_two_pairs_have_two_keys() {
        let of = |token: &str| Anomaly {
            token: tick(token, 7).token,
            ..jump_at(&tick("BTC", 7))
        };
        assert_eq!(key(7, &of("A")), key(7, &of("A")));
        assert_ne!(key(7, &of("A")), key(7, &of("B")));
    }
}
