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
    key_of(day, anomaly.timestamp_ms, anomaly.tick_id, &anomaly.pair())
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
    use domain::detection::AnomalyKind;
    use domain::{Price, Token};
    use testkit::anomalies::jump_at;
    use testkit::ticks::tick;

    use super::*;

    /// An anomaly as release 1.0 stored it.
    #[derive(serde::Serialize)]
    struct V1<'a> {
        token: Token,
        quote: Token,
        tick_id: TickId,
        timestamp_ms: i64,
        price: Price,
        score: f64,
        threshold: f64,
        window_ms: i64,
        reason: ReasonV1,
        message: &'a str,
    }

    #[derive(serde::Serialize)]
    enum ReasonV1 {
        #[expect(dead_code, reason = "its place in the format")]
        Jump,
        JumpAfterSilence,
    }

    #[test]
    fn an_anomaly_of_release_1_0_is_read() {
        let found = tick("BTC", 7);
        let before = V1 {
            token: found.token.clone(),
            quote: found.quote,
            tick_id: found.tick_id,
            timestamp_ms: found.timestamp_ms,
            price: Price::parse("95").unwrap(),
            score: 30.0,
            threshold: 10.0,
            window_ms: 1_200,
            reason: ReasonV1::JumpAfterSilence,
            message: "fell 5.0 % in 1.2 s, 30 times the expected move",
        };
        let read = decode(&postcard::to_stdvec(&before).unwrap()).unwrap();
        assert_eq!((read.token, read.tick_id), (found.token, found.tick_id));
        assert_eq!((read.source, read.score), (None, 0.75));
        assert_eq!(read.detection.kind, AnomalyKind::JumpAfterSilence);
        assert!(
            (read.detection.expected - 100.0).abs() < 1e-9,
            "{:?}",
            read.detection
        );
        assert_eq!(
            read.detection.message(),
            "fell 5.0 % in a silence of 1.2 s, from 100 to 95"
        );
    }

    #[test]
    fn an_anomaly_survives_being_stored() {
        let anomaly = jump_at(&tick("BTC", 7));
        assert_eq!(decode(&encode(&anomaly).unwrap()).unwrap(), anomaly);
    }

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
