//! The control plane: how the rollout moves from stage to stage, what is checked before and watched
//! after each step, whether everything works, how a provisioned stream is scaled, and what a month on AWS costs. Nothing
//! here is on the path of a tick.

pub mod bill;
pub mod doctor;
pub mod flag_record;
pub mod ports;
pub mod project_series;
pub mod rollout_controller;
pub mod scaling;
pub mod stage_gate;
pub mod stage_proof;
pub mod stream_history;
pub mod text;
pub mod verify;
