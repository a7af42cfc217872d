//! For tests only: made ticks, the made archive of the golden answers, contract suites that every
//! adapter of a port must pass, ports in memory, faults over any port, a Lambda Runtime API for real
//! bootstraps, and the real payloads where they are at hand.

pub mod analysis;
pub mod contract;
pub mod faulty;
pub mod golden;
pub mod live;
pub mod market;
pub mod objects;
pub mod real;
pub mod runtime_api;
pub mod ticks;
