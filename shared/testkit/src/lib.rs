//! For tests only: made ticks, contract suites that every adapter of a port must pass, faults
//! over any port, and the real payloads where they are at hand.

pub mod contract;
pub mod faulty;
pub mod real;
pub mod ticks;
