//! Key: day on which it was written (u16), timestamp (u64), tick id (16 bytes), pair (text). In rows of
//! release 1.0 the pair is missing.
//! Value: the anomaly (postcard).

use domain::analytics::Anomaly;

use super::day::Day;
use super::sortable;
use crate::error::StorageError;

pub(crate) const KEYSPACE: &str = "anomalies-by-day";

pub(crate) fn key(day: Day, anomaly: &Anomaly) -> Vec<u8> {
    let mut key = day.to_be_bytes().to_vec();
    key.extend(sortable(anomaly.timestamp_ms));
    key.extend(anomaly.tick_id.as_bytes());
    key.extend(format!("{}/{}", anomaly.token, anomaly.quote).into_bytes());
    key
}

pub(crate) fn encode(anomaly: &Anomaly) -> Result<Vec<u8>, StorageError> {
    super::encode("anomaly", anomaly)
}

pub(crate) fn decode(bytes: &[u8]) -> Result<Anomaly, StorageError> {
    super::decode("anomaly", bytes)
}

#[cfg(test)]
mod tests {
    use domain::analytics::AnomalyReason;
    use testkit::ticks::tick;

    use super::*;

    #[test]
    fn anomalies_of_two_pairs_have_two_keys() {
        let of = |token: &str| {
            let found = tick("BTC", 7);
            Anomaly {
                token: tick(token, 7).token,
                quote: found.quote,
                tick_id: found.tick_id,
                timestamp_ms: found.timestamp_ms,
                price: found.price,
                score: 14.0,
                threshold: 8.0,
                window_ms: 1_000,
                reason: AnomalyReason::Jump,
                message: "rose 5 % in 1 s".to_owned(),
            }
        };
        assert_eq!(key(7, &of("A")), key(7, &of("A")));
        assert_ne!(key(7, &of("A")), key(7, &of("B")));
    }
}
