//! Options for the emulator: environment variables for the tests, flags for the program `emulator`.

use std::ffi::OsString;

use clap::{Parser, ValueEnum};

/// How the emulator is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Way {
    /// A container if a Docker engine responds and has the image or can get it, otherwise a
    /// process.
    Auto,
    /// A container, or an error.
    Container,
    /// A local process, from a Python environment, or an error.
    Process,
}

/// Starts the emulated AWS of the integration tests, and ends it with Ctrl-C.
#[derive(Debug, Clone, Parser)]
#[command(name = "emulator", version)]
pub struct EmulatorOptions {
    /// An emulator that runs already, such as http://127.0.0.1:4566; nothing is started then
    #[arg(long, env = "TICKSTREAM_EMULATOR_ENDPOINT")]
    pub endpoint: Option<String>,
    /// How to start one
    #[arg(long, env = "TICKSTREAM_EMULATOR", value_enum, default_value = "auto")]
    pub way: Way,
    /// The container's image
    #[arg(
        long,
        env = "TICKSTREAM_EMULATOR_IMAGE",
        default_value = "local/ministack"
    )]
    pub image: String,
    /// The image's tag
    #[arg(long, env = "TICKSTREAM_EMULATOR_TAG", default_value = "1.5.33")]
    pub tag: String,
    /// How functions in the emulator reach this machine, if it is already running elsewhere
    #[arg(long, env = "TICKSTREAM_EMULATOR_HOST_FOR_FUNCTIONS")]
    pub host_for_functions: Option<String>,
    /// The port to listen on, instead of any free one
    #[arg(long)]
    pub port: Option<u16>,
    /// Stop when stdin is closed, so the emulator ends with the program that started it
    #[arg(long)]
    pub until_stdin_closes: bool,
}

impl EmulatorOptions {
    /// The options from the environment only.
    ///
    /// # Errors
    ///
    /// A variable is not valid.
    pub fn from_environment() -> Result<Self, clap::Error> {
        Self::try_parse_from([OsString::from("emulator")])
    }
}
