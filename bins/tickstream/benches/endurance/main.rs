//! What the process survives, tried from outside on the built program. `docs/reliability.md` has the results.
//!
//! - `kills=100`: `kill -9` under load, this many times; then every answered tick must be found once in the
//!   store, the candles and the archive.
//! - `disk=5`: rounds in which the disk fills up and gets room again (Linux, as root: it mounts a small tmpfs).
//! - `overload=3600`: twice the load that the process can take, for this many seconds.
//! - `hostile=60`: ten hostile clients for this many seconds, beside 1,000 honest requests a second.
//!
//! `cargo bench -p tickstream --bench endurance -- kills=100`

#![expect(
    clippy::indexing_slicing,
    reason = "a missing member of a JSON value is null"
)]

mod disk;
mod hostile;
mod kills;
mod load;
mod overload;
mod process;
mod verify;

use std::env;
use std::error::Error;
use std::io::Write as _;

pub(crate) type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Outcome {
    let mut tried = false;
    for argument in env::args().skip(1) {
        let Some((name, value)) = argument.split_once('=') else {
            // Cargo passes `--bench`.
            continue;
        };
        let count: u64 = value.parse()?;
        tried = true;
        match name {
            "kills" => kills::run(count).await?,
            "disk" => disk::run(count).await?,
            "overload" => overload::run(count).await?,
            "hostile" => hostile::run(count).await?,
            _ => return Err(format!("{name} is not one of kills, disk, overload, hostile").into()),
        }
    }
    if !tried {
        say("name what to try, such as: cargo bench -p tickstream --bench endurance -- kills=100");
    }
    Ok(())
}

pub(crate) fn say(line: &str) {
    drop(writeln!(std::io::stdout(), "{line}"));
}
