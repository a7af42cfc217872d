//! Key: timestamp (u64), tick id (16 bytes), pair (text). In rows of release 1.0 the pair is missing.
//! Value: the anomaly (postcard).

use domain::analytics::Anomaly;

use super::sortable;
use crate::error::StorageError;

pub(crate) const KEYSPACE: &str = "anomalies";

pub(crate) fn key(anomaly: &Anomaly) -> Vec<u8> {
    let mut key = sortable(anomaly.timestamp_ms).to_vec();
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
