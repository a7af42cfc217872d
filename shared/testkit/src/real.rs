//! Real payloads of providers, in a folder beside the checkout. A user's clone does not have them.

use std::path::PathBuf;

/// The path of a real payload such as `trades/binance-BTCUSDT-2021-01-08.csv`. If the folder is
/// missing, prints that and returns `None`: the test then only uses fixtures.
#[must_use]
#[expect(clippy::print_stderr, reason = "a test that does less must say so")]
pub fn payload(name: &str) -> Option<PathBuf> {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data"));
    let path = folder.join(name);
    if path.exists() {
        return Some(path);
    }
    eprintln!("the real payload {name} is missing: this part is only tested with fixtures");
    None
}
