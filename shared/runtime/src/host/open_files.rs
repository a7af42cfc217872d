//! How many connections the system lets the process have.

use std::fs;

/// Most connections at once, those of the live feed included.
pub const CONNECTIONS_MAX: usize = 2_048;

/// The share of the files that the process may have open that connections use; the rest is for the store
/// and the archive, since a connection is a file to the system.
const SHARE: usize = 2;

/// [`CONNECTIONS_MAX`], or fewer if the system allows fewer open files.
#[must_use]
pub fn connections_max() -> usize {
    // Only on Linux; other systems report the limit by a call that needs `unsafe`.
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let Some(files) = open_files(&limits) else {
        return CONNECTIONS_MAX;
    };
    let max = CONNECTIONS_MAX.min(files / SHARE);
    if max < CONNECTIONS_MAX {
        tracing::warn!(
            open_files = files,
            connections = max,
            "the process may only have few files open, so fewer connections are accepted: raise \
             the limit to {} (`ulimit -n`, `LimitNOFILE=` in systemd)",
            CONNECTIONS_MAX * SHARE
        );
    }
    max
}

/// The soft limit in the text of `/proc/self/limits`; `None` if there is none.
fn open_files(limits: &str) -> Option<usize> {
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_of_open_files_is_read() {
        let text = "Limit                     Soft Limit           Hard Limit           Units     \n\
                    Max processes             96264                96264                processes \n\
                    Max open files            1024                 524288               files     \n";
        assert_eq!(open_files(text), Some(1_024));
        assert_eq!(open_files(&text.replace("1024  ", "unlimited")), None);
        assert_eq!(open_files(""), None);
        assert!((1..=CONNECTIONS_MAX).contains(&connections_max()));
    }
}
