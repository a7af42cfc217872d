//! What the system does: the use cases, and the ports they need from the outside.
//!
//! A use case is a struct of ports with one or two methods. It knows no storage, no network
//! service and no clock but through a port, so that the same code runs on an embedded store and
//! on AWS.

pub mod analyse;
pub mod digest;
pub mod ingest;
pub mod ledger;
pub mod live;
pub mod objects;
pub mod poison;
pub mod ports;
mod quarantine;
pub mod redrive;
pub mod rollout;
pub mod sequence;
