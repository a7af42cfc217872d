//! The operators' command line. Each subcommand has a file under [`commands`].
//!
//! A subcommand gets its arguments and a [`process::ProcessContext`], and returns its error. To add
//! one, write its file and list it in [`cli::Command`].

#[cfg(feature = "aws")]
mod archive_by_sql;
pub mod batches;
pub mod cli;
pub mod client;
#[cfg(feature = "aws")]
mod cloud_verify;
pub mod commands;
pub mod data_access;
pub mod delivery;
pub mod formats;
#[cfg(feature = "aws")]
mod health;
pub mod market;
pub mod moment;
mod observe;
pub mod open_loop;
#[cfg(feature = "aws")]
mod operator_clients;
pub mod pace;
pub mod process;
pub mod project_options;
#[cfg(feature = "aws")]
mod quarantine_bucket;
pub mod server_client;
mod spinner;
pub mod target;
mod watch;
