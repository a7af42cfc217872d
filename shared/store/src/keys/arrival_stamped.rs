//! Key: day of receipt (u16), and id (16 bytes), of a tick whose event time is its arrival, because its
//! source gives none. Value: none. A repeated delivery of the event has another time; its id identifies it.

use super::day::Day;
use super::key_of;

pub(crate) const KEYSPACE: &str = "arrivals-by-day";

pub(crate) fn key(day: Day, id: &[u8; 16]) -> [u8; 2 + 16] {
    key_of(day.to_be_bytes().into_iter().chain(*id))
}
