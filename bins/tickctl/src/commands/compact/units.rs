//! Numbers of files and sizes as text.

use domain::count_of;

pub(super) fn files(count: usize, bytes: u64) -> String {
    format!("{}, {}", count_of(count as u64, "file"), size(bytes))
}

/// A size in decimal units, with at least three digits.
#[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
fn size(bytes: u64) -> String {
    match bytes {
        0..10_000 => format!("{bytes} B"),
        10_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.2} GB", bytes as f64 / 1e9),
    }
}
