//! The rollout controller on ports that live in memory.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod rollout_controller;
