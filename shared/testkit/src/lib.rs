//! For tests only: generated ticks, the archive of the golden results, contract suites that every
//! adapter of a port must pass, in-memory ports, fault injection, a Lambda Runtime API for real
//! bootstraps, and the real payloads if they are available.

pub mod analysis;
pub mod anomalies;
pub mod contract;
pub mod faulty;
pub mod golden;
pub mod killed_objects;
pub mod live;
pub mod market;
pub mod memory_objects;
pub mod real;
pub mod recording_service;
pub mod release_1_0;
pub mod replay;
pub mod runtime_api;
pub mod stream_fault;
pub mod throttled_table;
pub mod ticks;
pub mod written;
