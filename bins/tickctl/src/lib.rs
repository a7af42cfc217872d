//! The operators' command line: one file a subcommand, under [`commands`].
//!
//! A subcommand takes its arguments and a [`cli::World`], and returns what went wrong. To add
//! one, write its file and name it in [`cli::Command`].

pub mod batches;
pub mod cli;
pub mod client;
pub mod commands;
pub mod delivery;
pub mod formats;
#[cfg(feature = "aws")]
mod health;
pub mod market;
pub mod open_loop;
#[cfg(feature = "aws")]
mod operator_clients;
pub mod pace;
