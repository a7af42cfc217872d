//! Lambda: ticks that the stream refused go back into it.

use std::process::ExitCode;

fn main() -> ExitCode {
    runtime::lambda::main(redrive::lambda::run)
}
