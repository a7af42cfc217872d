//! Finds the duplicate rows of a day, which are the same event as another row, in bounded memory.
//!
//! Each row gives a record: the hash of its identity, the time of ingestion, and the row's ordinal.
//! Records that do not fit into memory are written to files by the first byte of the hash. Hashes
//! are evenly distributed, so each file holds a small part of the day.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use super::CompactionError;
use crate::identity_sum::{IdentityHash, IdentitySum};

/// The number of files: one for each value of a hash's first byte.
const BUCKETS: usize = 256;

/// The write buffer of one of these files.
const BUCKET_BUFFER_BYTES: usize = 16 * 1024;

/// The size of a record: hash, time, ordinal.
const RECORD_BYTES: usize = 32 + 8 + 8;

/// A row that has a tick id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Record {
    pub(super) hash: IdentityHash,
    /// `false` sorts first: rows of kept files always stay.
    pub(super) rewritten: bool,
    /// Epoch milliseconds; the row that was ingested first stays.
    pub(super) ingested_ms: i64,
    pub(super) ordinal: u64,
}

/// The records of a day.
pub(super) struct Records {
    held: Vec<Record>,
    held_max: usize,
    dir: PathBuf,
    buckets: Vec<BufWriter<File>>,
    /// Ordinals below this number belong to kept files.
    kept_rows: u64,
}

/// The duplicate rows, which are removed.
#[derive(Debug, Default)]
pub(super) struct Duplicates {
    /// A bit for each ordinal.
    bits: Vec<u64>,
    /// Their identities.
    pub(super) ids: IdentitySum,
    /// The ordinals of duplicates in files that should be kept.
    pub(super) kept: Vec<u64>,
}

impl Duplicates {
    /// Whether a row is a duplicate.
    pub(super) fn has(&self, ordinal: u64) -> bool {
        let word = usize::try_from(ordinal / 64).ok();
        let word = word.and_then(|word| self.bits.get(word));
        word.is_some_and(|word| word >> (ordinal % 64) & 1 == 1)
    }

    fn add(&mut self, record: &Record, kept_rows: u64) {
        self.ids.add(&record.hash);
        if record.ordinal < kept_rows {
            self.kept.push(record.ordinal);
        }
        let Ok(word) = usize::try_from(record.ordinal / 64) else {
            return;
        };
        if self.bits.len() <= word {
            self.bits.resize(word + 1, 0);
        }
        if let Some(word) = self.bits.get_mut(word) {
            *word |= 1 << (record.ordinal % 64);
        }
    }

    /// Adds all but the first of each run of equal hashes.
    fn of_sorted(&mut self, records: &[Record], kept_rows: u64) {
        for pair in records.windows(2) {
            if let [before, record] = pair
                && before.hash == record.hash
            {
                self.add(record, kept_rows);
            }
        }
    }
}

impl Records {
    /// Keeps up to `held_max` records in memory, and writes more to files in `dir`.
    pub(super) fn new(dir: &Path, held_max: usize) -> Self {
        Self {
            held: Vec::new(),
            held_max: held_max.max(1),
            dir: dir.to_owned(),
            buckets: Vec::new(),
            kept_rows: 0,
        }
    }

    /// Marks the end of the rows of kept files.
    pub(super) fn end_of_kept(&mut self, rows: u64) {
        self.kept_rows = rows;
    }

    pub(super) fn push(&mut self, record: Record) -> Result<(), CompactionError> {
        self.held.push(record);
        if self.held.len() >= self.held_max {
            self.spill()?;
        }
        Ok(())
    }

    fn bucket_path(&self, bucket: usize) -> PathBuf {
        self.dir.join(format!("ids-{bucket:03}"))
    }

    fn spill(&mut self) -> Result<(), CompactionError> {
        while self.buckets.len() < BUCKETS {
            let path = self.bucket_path(self.buckets.len());
            let file = File::create_new(&path).map_err(CompactionError::work("write", &path))?;
            self.buckets
                .push(BufWriter::with_capacity(BUCKET_BUFFER_BYTES, file));
        }
        for record in self.held.drain(..) {
            let [first, ..] = record.hash;
            if let Some(bucket) = self.buckets.get_mut(usize::from(first)) {
                let written = write(bucket, &record);
                written.map_err(CompactionError::work("write", &self.dir))?;
            }
        }
        Ok(())
    }

    /// The duplicates: all rows of an event except one.
    pub(super) fn duplicates(mut self) -> Result<Duplicates, CompactionError> {
        let mut duplicates = Duplicates::default();
        if self.buckets.is_empty() {
            self.held.sort_unstable();
            duplicates.of_sorted(&self.held, self.kept_rows);
            return Ok(duplicates);
        }
        self.spill()?;
        for bucket in &mut self.buckets {
            let flushed = bucket.flush();
            flushed.map_err(CompactionError::work("write", &self.dir))?;
        }
        self.buckets.clear();
        for bucket in 0..BUCKETS {
            let path = self.bucket_path(bucket);
            let mut records = read(&path, self.kept_rows)?;
            records.sort_unstable();
            duplicates.of_sorted(&records, self.kept_rows);
            std::fs::remove_file(&path).map_err(CompactionError::work("remove", &path))?;
        }
        Ok(duplicates)
    }
}

fn write(to: &mut impl Write, record: &Record) -> io::Result<()> {
    to.write_all(&record.hash)?;
    to.write_all(&record.ingested_ms.to_le_bytes())?;
    to.write_all(&record.ordinal.to_le_bytes())
}

fn read(path: &Path, kept_rows: u64) -> Result<Vec<Record>, CompactionError> {
    let failed = || CompactionError::work("read", path);
    let file = File::open(path).map_err(failed())?;
    let bytes = file.metadata().map_err(failed())?.len();
    let count = usize::try_from(bytes).unwrap_or_default() / RECORD_BYTES;
    let mut reader = BufReader::new(file);
    let mut records = Vec::with_capacity(count);
    for _ in 0..count {
        let mut hash = IdentityHash::default();
        let (mut ingested_ms, mut ordinal) = ([0; 8], [0; 8]);
        for part in [&mut hash[..], &mut ingested_ms, &mut ordinal] {
            reader.read_exact(part).map_err(failed())?;
        }
        let ordinal = u64::from_le_bytes(ordinal);
        records.push(Record {
            hash,
            rewritten: ordinal >= kept_rows,
            ingested_ms: i64::from_le_bytes(ingested_ms),
            ordinal,
        });
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::identity_sum::RowIdentity;

    fn hash(id: u8) -> IdentityHash {
        let identity = RowIdentity {
            token: Some("BTC"),
            quote: None,
            ts: Some(1),
            tick_id: Some(&id.to_string()),
        };
        identity.hash()
    }

    /// The rows that stay, computed with a plain map: those of kept files first, then the first
    /// ingested.
    fn expected(rows: &[(u8, i64)], kept: usize) -> Vec<usize> {
        let mut stay: BTreeMap<u8, (bool, i64, usize)> = BTreeMap::new();
        for (ordinal, (id, ingested)) in rows.iter().enumerate() {
            let rank = (ordinal >= kept, *ingested, ordinal);
            let best = stay.entry(*id).or_insert(rank);
            *best = rank.min(*best);
        }
        let mut ordinals: Vec<usize> = stay.values().map(|(_, _, ordinal)| *ordinal).collect();
        ordinals.sort_unstable();
        ordinals
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn one_row_of_each_event_stays_in_memory_and_in_files(
            rows in proptest::collection::vec((0_u8..12, 0_i64..3), 0..60),
            kept in 0_usize..60,
            held_max in prop_oneof![Just(1), Just(7), Just(1_000)],
        ) {
            let kept = kept.min(rows.len());
            let dir = tempfile::tempdir().unwrap();
            let mut records = Records::new(dir.path(), held_max);
            for (ordinal, (id, ingested_ms)) in rows.iter().enumerate() {
                if ordinal == kept {
                    records.end_of_kept(kept as u64);
                }
                records.push(Record {
                    hash: hash(*id),
                    rewritten: ordinal >= kept,
                    ingested_ms: *ingested_ms,
                    ordinal: ordinal as u64,
                }).unwrap();
            }
            if kept == rows.len() {
                records.end_of_kept(kept as u64);
            }
            let duplicates = records.duplicates().unwrap();
            let stay: Vec<usize> = (0..rows.len()).filter(|row| !duplicates.has(*row as u64)).collect();
            prop_assert_eq!(&stay, &expected(&rows, kept));
            prop_assert_eq!(duplicates.ids.rows(), (rows.len() - stay.len()) as u64);
            let mut of_kept = duplicates.kept.clone();
            of_kept.sort_unstable();
            let lost_kept: Vec<u64> = (0..kept as u64).filter(|row| duplicates.has(*row)).collect();
            prop_assert_eq!(of_kept, lost_kept);
            prop_assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "no file is left \
                behind");
        }
    }
}
