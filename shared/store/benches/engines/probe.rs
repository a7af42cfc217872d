//! Reads the kernel's statistics of this process and its files from `/proc` (Linux only).

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::Outcome;

/// Jiffies a second in `/proc/self/stat`: fixed at 100 in the kernel's interface.
const JIFFIES_PER_S: f64 = 100.0;
/// `st_blocks` counts in this unit, whatever the file system's block is.
const BLOCK_BYTES: u64 = 512;

/// What the process has used so far.
#[derive(Clone, Copy, Default)]
pub(crate) struct Usage {
    /// User and system time of all threads.
    pub(crate) cpu_s: f64,
    /// Bytes handed to the disk, those of background threads included.
    pub(crate) written_bytes: u64,
    /// Memory held now.
    pub(crate) rss_bytes: u64,
    /// The most memory held.
    pub(crate) rss_max_bytes: u64,
}

impl Usage {
    /// Reads the process's own counters.
    pub(crate) fn now() -> Outcome<Self> {
        let stat = fs::read_to_string("/proc/self/stat")?;
        // The command in parentheses may contain spaces; the 12th and 13th field after it are the times.
        let after = stat.rsplit_once(')').map_or("", |(_, after)| after);
        let jiffies: f64 = after
            .split_whitespace()
            .skip(11)
            .take(2)
            .filter_map(|field| field.parse::<f64>().ok())
            .sum();
        Ok(Self {
            cpu_s: jiffies / JIFFIES_PER_S,
            written_bytes: field("/proc/self/io", "write_bytes:")?,
            rss_bytes: field("/proc/self/status", "VmRSS:")? * 1_024,
            rss_max_bytes: field("/proc/self/status", "VmHWM:")? * 1_024,
        })
    }
}

/// Bytes that a folder's files use on disk, without holes.
pub(crate) fn disk_bytes(folder: &Path) -> Outcome<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        // A compaction may remove a table in the meantime.
        let Ok(metadata) = entry.metadata() else {
            continue;
        };
        sum += if metadata.is_dir() {
            disk_bytes(&entry.path())?
        } else {
            metadata.blocks() * BLOCK_BYTES
        };
    }
    Ok(sum)
}

fn field(file: &str, name: &str) -> Outcome<u64> {
    let text = fs::read_to_string(file)?;
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .and_then(|rest| rest.split_whitespace().next())
        .ok_or_else(|| format!("{file} has no {name}"))?;
    Ok(value.parse()?)
}
