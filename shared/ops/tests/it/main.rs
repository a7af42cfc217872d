//! The rollout controller on in-memory ports.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod rollout_controller;
mod stage_proof;
