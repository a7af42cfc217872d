//! The options of the commands that work on a tickstream on this machine, or on a project on AWS.

use clap::Args;

/// Whether a project on AWS is meant, and which.
#[derive(Debug, Clone, Args)]
pub struct ProjectOptions {
    /// The project on AWS, in the account and region of the environment, instead of the tickstream on this machine.
    #[arg(long)]
    pub aws: bool,
    /// The project's name, which is the prefix of its stacks.
    #[arg(
        id = "project",
        long,
        env = "PROJECT",
        default_value = "tickstream",
        value_name = "NAME"
    )]
    pub name: String,
}
