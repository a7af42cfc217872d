//! Records on disk, divided by their identity: all records of a tick are in the same part, and each part fits into
//! memory.

use std::fs::File;
use std::hash::Hasher as _;
use std::io::{self, BufReader, BufWriter, Read, Write as _};
use std::path::Path;

use tempfile::TempDir;
use twox_hash::XxHash64;

use super::record::Record;

/// The parts that records are divided into.
const PARTS: usize = 128;

/// The largest part that is compared in memory, where a record needs about three times its bytes on disk. A larger one
/// is divided again.
const PART_BYTES_MAX: u64 = 16 * 1_024 * 1_024;

/// The buffer of a part that is being written.
const BUFFER_BYTES: usize = 32 * 1_024;

/// The most times that records are divided: the largest range has 128^3 parts.
const DEPTH_MAX: u64 = 3;

/// Records that are being divided.
pub(super) struct Runs {
    dir: TempDir,
    parts: Vec<BufWriter<File>>,
    sizes: Vec<Size>,
    /// How often its records were divided before.
    depth: u64,
    buffer: Vec<u8>,
}

/// A part that was written.
pub(super) struct Part {
    file: File,
    size: Size,
    depth: u64,
}

/// What a part has.
#[derive(Clone, Copy, Default)]
struct Size {
    records: usize,
    bytes: u64,
}

impl Runs {
    /// Begins with no records, in a new folder inside `folder` that is removed in the end.
    pub(super) fn new(folder: &Path) -> io::Result<Self> {
        Self::at(folder, 0)
    }

    fn at(folder: &Path, depth: u64) -> io::Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("verify-")
            .tempdir_in(folder)?;
        let mut parts = Vec::with_capacity(PARTS);
        for number in 0..PARTS {
            let path = dir.path().join(format!("{number:03}"));
            let file = File::options()
                .read(true)
                .write(true)
                .create_new(true)
                .open(path)?;
            parts.push(BufWriter::with_capacity(BUFFER_BYTES, file));
        }
        Ok(Self {
            dir,
            parts,
            sizes: vec![Size::default(); PARTS],
            depth,
            buffer: Vec::with_capacity(256),
        })
    }

    /// Adds a record.
    pub(super) fn push(&mut self, record: &Record) -> io::Result<()> {
        self.buffer.clear();
        self.buffer = postcard::to_extend(record, std::mem::take(&mut self.buffer))
            .map_err(io::Error::other)?;
        let number = self.part_of(record);
        if let (Some(part), Some(size)) = (self.parts.get_mut(number), self.sizes.get_mut(number)) {
            part.write_all(&self.buffer)?;
            size.records += 1;
            size.bytes += self.buffer.len() as u64;
        }
        Ok(())
    }

    /// The ids of ticks may be of any kind, so they are hashed, and differently at each depth.
    fn part_of(&self, record: &Record) -> usize {
        let mut hasher = XxHash64::with_seed(self.depth);
        hasher.write(&record.identity.tick_id);
        usize::try_from(hasher.finish() % PARTS as u64).unwrap_or_default()
    }

    /// Ends writing. The folder exists as long as the result's first field.
    pub(super) fn finish(self) -> io::Result<(TempDir, Vec<Part>)> {
        let mut parts = Vec::with_capacity(PARTS);
        for (part, size) in self.parts.into_iter().zip(self.sizes) {
            let file = part.into_inner().map_err(io::IntoInnerError::into_error)?;
            if size.records > 0 {
                parts.push(Part {
                    file,
                    size,
                    depth: self.depth,
                });
            }
        }
        Ok((self.dir, parts))
    }
}

/// Room in memory for one part after another. Taken and given back for each, it would be more than that of the largest.
#[derive(Default)]
pub(super) struct Room {
    bytes: Vec<u8>,
    records: Vec<Record>,
}

impl Part {
    /// Passes the records to `each`, sorted by identity and place, in one or more portions; all records of a tick are
    /// in the same one.
    pub(super) fn sorted(
        mut self,
        folder: &Path,
        room: &mut Room,
        each: &mut dyn FnMut(&mut [Record]) -> io::Result<()>,
    ) -> io::Result<()> {
        io::Seek::rewind(&mut self.file)?;
        if self.size.bytes <= PART_BYTES_MAX || self.depth >= DEPTH_MAX {
            let Room { bytes, records } = room;
            bytes.clear();
            bytes.reserve_exact(usize::try_from(self.size.bytes).unwrap_or_default());
            self.file.read_to_end(bytes)?;
            // The disk gets its room back at once.
            self.file.set_len(0)?;
            records.clear();
            records.reserve_exact(self.size.records);
            decode(bytes, records)?;
            records.sort_unstable_by_key(|record| (record.identity, record.origin));
            return each(records);
        }
        let mut runs = Runs::at(folder, self.depth + 1)?;
        let mut reader = BufReader::with_capacity(1_024 * 1_024, &self.file);
        let mut rest = Vec::new();
        let mut chunk = vec![0; 1_024 * 1_024];
        loop {
            let read = reader.read(&mut chunk)?;
            rest.extend_from_slice(chunk.get(..read).unwrap_or_default());
            let mut left = rest.as_slice();
            // A record at the end may be cut: it is read with the next chunk.
            while let Ok((record, after)) = postcard::take_from_bytes::<Record>(left) {
                runs.push(&record)?;
                left = after;
            }
            let done = rest.len() - left.len();
            rest.drain(..done);
            if read == 0 {
                break;
            }
        }
        if !rest.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "a record is cut",
            ));
        }
        drop(reader);
        self.file.set_len(0)?;
        let (_dir, parts) = runs.finish()?;
        for part in parts {
            part.sorted(folder, room, each)?;
        }
        Ok(())
    }
}

fn decode(mut bytes: &[u8], records: &mut Vec<Record>) -> io::Result<()> {
    while !bytes.is_empty() {
        let (record, rest) = postcard::take_from_bytes(bytes).map_err(io::Error::other)?;
        records.push(record);
        bytes = rest;
    }
    Ok(())
}
