//! The options of the commands that work on a tickstream on this machine, or on a project on AWS.

use clap::Args;

/// The heading of options that only a project on AWS has. Without `--aws`, they are refused.
pub(crate) const ON_AWS: &str = "On AWS";

/// Whether a project on AWS is meant, and which.
#[derive(Debug, Clone, Args)]
pub struct ProjectOptions {
    /// The project on AWS, in the account and region of the environment, instead of the tickstream on this machine.
    #[arg(long, help_heading = ON_AWS)]
    pub aws: bool,
    /// The project's name, which is the prefix of its stacks.
    #[arg(
        id = "project",
        long,
        env = "PROJECT",
        default_value = "tickstream",
        value_name = "NAME",
        help_heading = ON_AWS
    )]
    pub name: String,
}
