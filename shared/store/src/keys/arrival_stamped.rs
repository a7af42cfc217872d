//! Key: id (16 bytes) of a tick whose event time is its arrival, because its source gives none.
//! Value: that time (u64). A repeated delivery of the event has another time; its id identifies it.

pub(crate) const KEYSPACE: &str = "clocked";
