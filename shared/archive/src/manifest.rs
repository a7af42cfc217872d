//! The manifest of a day: a small object that lists the visible files. Writing it is the commit
//! point of a compaction.
//!
//! Its name begins with an underscore, so Hive, Athena and our own listing ignore it. A day without
//! a manifest was never compacted: all its files are read.

use std::collections::HashSet;

use domain::Tick;
use serde::{Deserialize, Serialize};

use crate::identity_sum::IdentitySum;
use crate::layout::is_data_file;

/// The manifest's name in the folder of its day.
pub const MANIFEST: &str = "_compaction.json";

/// The prefix of a new file's name until it is published.
pub(crate) const HIDDEN: &str = "_next-";

/// The version of the manifest's format.
const VERSION: u32 = 1;

/// Which files of a day are visible.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of this format.
    version: u32,
    /// Grows by one with each commit of the day.
    pub generation: u64,
    /// When it was committed, epoch milliseconds.
    pub committed_ms: i64,
    /// Files that are not visible any more. They are removed once no query can be reading them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replaced: Vec<String>,
    /// Visible files, some of which may still have their hidden names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub added: Vec<Added>,
    /// For each shard of the stream, the last range that was compacted. A writer that repeats the
    /// range after a crash finds it here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[serde(rename = "folded")]
    pub merged_ranges: Vec<MergedRange>,
}

/// A file that a compaction wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Added {
    /// Its final name.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// Its rows.
    pub rows: u64,
    /// The checksum of its ticks, see [`crate::IdentitySum`].
    pub ids: String,
}

/// A file of the archive's writer whose rows are now in a compacted file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MergedRange {
    /// Its former name.
    pub name: String,
    /// Its rows.
    pub rows: u64,
    /// The checksum of its ticks, see [`crate::IdentitySum`].
    pub ids: String,
    /// Whether the checksum is of what identifies the ticks. In a manifest of release 1.0, it is of their
    /// ids alone.
    #[serde(default)]
    pub by_identity: bool,
}

impl MergedRange {
    /// Whether the range had exactly these ticks.
    pub(crate) fn has(&self, ticks: &[&Tick], sum: &IdentitySum) -> bool {
        let of_ids_alone = || {
            let ids: Vec<String> = ticks.iter().map(|tick| tick.tick_id.to_string()).collect();
            IdentitySum::of_ids_alone(ids.iter().map(String::as_str)).to_string()
        };
        let found = match self.by_identity {
            true => sum.to_string(),
            false => of_ids_alone(),
        };
        self.rows == sum.rows() && self.ids == found
    }
}

/// Why a manifest cannot be read. Without it, the visible files are unknown.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// It is not a manifest.
    #[error("{MANIFEST} cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    /// A newer release wrote it.
    #[error(
        "{MANIFEST} has version {0}, but this release only reads {VERSION}: upgrade this \
             program"
    )]
    Version(u32),
}

impl Manifest {
    /// The manifest of a day that was never compacted.
    #[must_use]
    pub fn none() -> Self {
        Self {
            version: VERSION,
            generation: 0,
            committed_ms: 0,
            replaced: Vec::new(),
            added: Vec::new(),
            merged_ranges: Vec::new(),
        }
    }

    /// Reads a manifest.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn parse(content: &[u8]) -> Result<Self, ManifestError> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let Versioned { version } = serde_json::from_slice(content)?;
        if version != VERSION {
            return Err(ManifestError::Version(version));
        }
        Ok(serde_json::from_slice(content)?)
    }

    /// The manifest as it is stored.
    ///
    /// # Errors
    /// [`ManifestError::Json`], which should never happen.
    pub fn to_json(&self) -> Result<Vec<u8>, ManifestError> {
        Ok(serde_json::to_vec_pretty(self)?)
    }

    /// Whether the commit is complete.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.replaced.is_empty() && self.added.is_empty()
    }
}

/// The hidden name of a file that is not published yet.
#[must_use]
pub fn hidden(name: &str) -> String {
    format!("{HIDDEN}{name}")
}

/// The visible files among all names in a day's folder, in order. A committed file that is not yet
/// published is visible under its hidden name.
#[must_use]
pub fn visible(manifest: &Manifest, names: &[String]) -> Vec<String> {
    let there: HashSet<&str> = names.iter().map(String::as_str).collect();
    let mut apart: HashSet<&str> = manifest.replaced.iter().map(String::as_str).collect();
    apart.extend(manifest.added.iter().map(|added| added.name.as_str()));
    let plain = names
        .iter()
        .filter(|name| is_data_file(name) && !apart.contains(name.as_str()))
        .cloned();
    let added = manifest.added.iter().map(|Added { name, .. }| {
        if there.contains(name.as_str()) {
            name.clone()
        } else {
            hidden(name)
        }
    });
    let mut visible: Vec<String> = plain.chain(added).collect();
    visible.sort();
    visible
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn committed() -> Manifest {
        Manifest {
            generation: 1,
            replaced: names(&["a.parquet", "b.parquet"]),
            added: vec![Added {
                name: "n.parquet".to_owned(),
                bytes: 1,
                rows: 2,
                ids: String::new(),
            }],
            ..Manifest::none()
        }
    }

    #[test]
    fn without_a_manifest_all_but_hidden_files_are_visible() {
        let all = names(&["b.parquet", "_next-n.parquet", "a.parquet", MANIFEST, ".x"]);
        assert_eq!(visible(&Manifest::none(), &all), ["a.parquet", "b.parquet"]);
    }

    #[test]
    fn after_the_commit_new_files_are_visible_under_either_name() {
        let late = ["a.parquet", "b.parquet", "late.parquet"];
        let staged = [&late[..], &["_next-n.parquet"]].concat();
        assert_eq!(
            visible(&committed(), &names(&staged)),
            ["_next-n.parquet", "late.parquet"]
        );
        let published = [&staged[..], &["n.parquet"]].concat();
        let expected = ["late.parquet", "n.parquet"];
        assert_eq!(visible(&committed(), &names(&published)), expected);
        let cleaned = ["late.parquet", "n.parquet"];
        assert_eq!(visible(&committed(), &names(&cleaned)), expected);
        assert_eq!(visible(&Manifest::none(), &names(&cleaned)), expected);
    }

    #[test]
    fn a_manifest_round_trips_and_one_of_a_newer_release_is_refused() {
        let manifest = committed();
        let stored = manifest.to_json().unwrap();
        assert_eq!(Manifest::parse(&stored).unwrap(), manifest);
        assert!(!manifest.is_complete() && Manifest::none().is_complete());
        let newer = br#"{"version": 2, "files": []}"#;
        let error = Manifest::parse(newer).unwrap_err();
        assert!(error.to_string().contains("upgrade"), "{error}");
        for broken in [&b""[..], b"{", b"[]", br#"{"version": 1}"#] {
            assert!(matches!(
                Manifest::parse(broken),
                Err(ManifestError::Json(_))
            ));
        }
    }
}
