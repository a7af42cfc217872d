//! The whole flow in one process: webhook, store, rollout flag, stream, analytics, archive,
//! broadcast, read API and dashboard, on embedded storage.
//!
//! The same use cases as on AWS in one process: [`Server`] connects them to the ports of `store`.

mod access;
mod api;
pub mod config;
mod consumers;
mod dashboard;
pub mod demo;
mod greeting;
mod guard;
mod job;
mod live;
mod metrics;
mod operator;
pub mod own_process;
pub mod secret_files;
mod server;
mod supervisor;
mod traffic_history;

pub use server::{Ended, Server};
pub use supervisor::{Failure, Progress, Supervisor};
