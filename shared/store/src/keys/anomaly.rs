//! Key: timestamp (u64), tick id (16 bytes).
//! Value: the anomaly (postcard).

use domain::analytics::Anomaly;

use super::{key_of, sortable};
use crate::error::StorageError;

pub(crate) const KEYSPACE: &str = "anomalies";

pub(crate) fn key(anomaly: &Anomaly) -> [u8; 8 + 16] {
    let moment = sortable(anomaly.timestamp_ms).into_iter();
    key_of(moment.chain(*anomaly.tick_id.as_bytes()))
}

pub(crate) fn encode(anomaly: &Anomaly) -> Result<Vec<u8>, StorageError> {
    super::encode("anomaly", anomaly)
}

pub(crate) fn decode(bytes: &[u8]) -> Result<Anomaly, StorageError> {
    super::decode("anomaly", bytes)
}
