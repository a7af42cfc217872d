//! Files of an archive that tickstream and tickctl of release 1.0 wrote, before ticks had `sequence`
//! and `quality`: 16 ticks of 2026-03-07, 8 of BTC and 8 of SOL, in two ranges of a shard.

use std::path::{Path, PathBuf};

/// The files as tickstream wrote them.
pub const RANGES: &str = "ranges";

/// The day after `tickctl compact`, with its manifest.
pub const COMPACTED: &str = "compacted";

/// The names of the two ranges' files, with the first and last sequence numbers of the stream.
pub const FILES: [(&str, u64, u64); 2] = [
    (
        "003-00000000000000000001-00000000000000000008.parquet",
        1,
        8,
    ),
    (
        "003-00000000000000000009-00000000000000000016.parquet",
        9,
        16,
    ),
];

/// The shard of the ranges.
pub const SHARD: u8 = 3;

/// The folder of [`RANGES`] or [`COMPACTED`].
#[must_use]
pub fn folder(which: &str) -> PathBuf {
    let release = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/release-1.0");
    release.join(which)
}

/// Copies the files into the archive of a data folder.
///
/// # Panics
/// If a file cannot be copied.
#[expect(clippy::unwrap_used, reason = "a test without its files should fail")]
pub fn copy_to(data_dir: &Path, which: &str) {
    let day = data_dir.join("price-archive/year=2026/month=03/day=07");
    std::fs::create_dir_all(&day).unwrap();
    for entry in std::fs::read_dir(folder(which)).unwrap() {
        let file = entry.unwrap();
        std::fs::copy(file.path(), day.join(file.file_name())).unwrap();
    }
}
