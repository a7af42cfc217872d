//! The embedded store: one folder, one engine, one writer.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use fjall::Database;
use tokio::sync::watch;

use crate::error::StorageError;
use crate::inner::Inner;
use crate::keys::{self, meta};
use crate::pairs::Pairs;
use crate::spaces::{Memtables, Spaces};
use crate::state::State;
use crate::upgrade::upgrade;
use crate::writer::{Commit, Writer};

/// Memory for blocks read from disk.
const CACHE_BYTES: u64 = 32 * 1_024 * 1_024;

/// Journal on disk before memory is flushed: what a start after a crash reads back at most.
const JOURNAL_BYTES_MAX: u64 = 64 * 1_024 * 1_024;

/// Threads that flush and compact: while one merges files, for seconds under load, the other keeps
/// memory from filling up. See `docs/storage.md`.
const WORKERS: usize = 2;

/// How long an orderly end may take to send memory to sorted files.
const FLUSH_WITHIN: Duration = Duration::from_secs(10);

/// Pairs that a store takes by default.
const PAIRS_MAX: u32 = 1_000_000;

/// Where and how the store is opened.
#[derive(Debug, Clone)]
pub struct EmbeddedConfig {
    /// The folder; it is created if it does not exist.
    pub folder: PathBuf,
    /// Most pairs of token and quote: each is held in memory, about 1 KB with its latest tick.
    /// Ticks of further pairs are refused.
    pub pairs_max: u32,
}

impl EmbeddedConfig {
    /// A store in a folder, with room for a million pairs.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            pairs_max: PAIRS_MAX,
        }
    }
}

/// The embedded store. Cloning gives another handle to the same store.
#[derive(Clone)]
pub struct Embedded {
    pub(crate) inner: Arc<Inner>,
    writer: Arc<Writer>,
    closing: Arc<Closing>,
}

/// What the last handle needs to close in order.
struct Closing {
    db: Database,
    thread: std::sync::Mutex<Option<JoinHandle<()>>>,
}

impl Embedded {
    /// Opens the store, or creates it. A folder of the build before is upgraded.
    ///
    /// # Errors
    /// [`StorageError`] if the folder cannot be used, is in use, or has an unknown layout.
    pub fn open(config: &EmbeddedConfig) -> Result<Self, StorageError> {
        Self::open_with(config, Memtables::default())
    }

    fn open_with(config: &EmbeddedConfig, memtables: Memtables) -> Result<Self, StorageError> {
        let db = Database::builder(&config.folder)
            .cache_size(CACHE_BYTES)
            .max_journaling_size(JOURNAL_BYTES_MAX)
            .journal_compression(fjall::CompressionType::None)
            .worker_threads(WORKERS)
            .open()
            .map_err(|error| open_error(&config.folder, error))?;
        let spaces = Spaces::open(&db, memtables)?;
        upgrade(&db, &spaces)?;
        let state = match spaces.meta.get(meta::STATE)? {
            Some(bytes) => keys::decode("state", &bytes)?,
            None => State::default(),
        };
        let pairs = Pairs::open(&spaces)?;
        let inner = Arc::new(Inner::new(spaces, pairs, config.pairs_max, state));
        let (writer, thread) = Writer::start(Arc::clone(&inner), db.clone())
            .map_err(|error| StorageError::from(fjall::Error::Io(error)))?;
        let closing = Closing {
            db,
            thread: std::sync::Mutex::new(Some(thread)),
        };
        Ok(Self {
            inner,
            writer: Arc::new(writer),
            closing: Arc::new(closing),
        })
    }

    /// Counts commits; it changes whenever something new is readable.
    #[must_use]
    pub fn commits(&self) -> watch::Receiver<u64> {
        self.inner.commits()
    }

    /// Closes in order: what waits is written, and memory goes to sorted files, so that the next
    /// start has no journal to read. Close the last handle: while there are others, nothing is
    /// done.
    pub fn close(self) {
        let Self {
            inner,
            writer,
            closing,
        } = self;
        drop(writer);
        if Arc::strong_count(&closing) > 1 {
            tracing::warn!("the store is still in use; the next start reads the journal");
            return;
        }
        let thread = closing
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the storage writer ended by a panic");
        }
        if let Err(error) = inner.pairs.save_latest(&inner.spaces) {
            tracing::warn!(error = %error, "the latest ticks were not saved; the next start looks them up");
        }
        flush_memory(&inner.spaces);
        if let Err(error) = closing.db.persist(fjall::PersistMode::SyncAll) {
            tracing::warn!(error = %error, "the last flush of the disk failed");
        }
    }

    /// Bytes on disk.
    ///
    /// # Errors
    /// [`StorageError::Engine`].
    pub fn disk_bytes(&self) -> Result<u64, StorageError> {
        Ok(self.closing.db.disk_space()?)
    }

    /// Runs a job in the next commit.
    pub(crate) async fn commit<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Commit<'_>) -> Result<R, StorageError> + Send + 'static,
    ) -> Result<R, StorageError> {
        self.writer.submit(work).await
    }

    /// Runs a job in one of the next commits without waiting for it.
    pub(crate) async fn enqueue(
        &self,
        work: impl FnOnce(&mut Commit<'_>) -> Result<(), StorageError> + Send + 'static,
    ) -> Result<(), StorageError> {
        self.writer.enqueue(work).await
    }

    /// Reads on a thread that may wait for the disk.
    pub(crate) async fn read<R: Send + 'static>(
        &self,
        look: impl FnOnce(&Inner) -> Result<R, StorageError> + Send + 'static,
    ) -> Result<R, StorageError> {
        let inner = Arc::clone(&self.inner);
        tokio::task::spawn_blocking(move || look(&inner))
            .await
            .map_err(|_| StorageError::Stopped)?
    }
}

/// Sends all memory to sorted files, and waits for it within a limit: an engine that has failed
/// would never be done.
fn flush_memory(spaces: &Spaces) {
    for space in spaces.all() {
        if let Err(error) = space.rotate_memtable() {
            tracing::warn!(error = %error, "memory was not flushed; the journal has it");
            return;
        }
    }
    let begun = Instant::now();
    while spaces.all().any(|space| space.sealed_memtable_count() > 0) {
        if begun.elapsed() > FLUSH_WITHIN {
            tracing::warn!("memory was not flushed in time; the journal has it");
            return;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn open_error(folder: &Path, error: fjall::Error) -> StorageError {
    if matches!(error, fjall::Error::Locked) {
        return StorageError::Locked(folder.display().to_string());
    }
    error.into()
}

#[cfg(test)]
mod tests {
    use app::ports::TickStore as _;
    use fjall::AbstractTree as _;

    use super::*;

    /// Left to the engine, every commit asked its worker again, which could stop it for ever: memory
    /// then grew without limit, and the store could not be closed.
    #[tokio::test]
    async fn full_memory_is_handed_over_with_the_commit_that_fills_it() {
        let folder = tempfile::tempdir().unwrap();
        let limits = Memtables {
            ticks_bytes: 4 * 1_024,
            other_bytes: 2 * 1_024,
        };
        let config = EmbeddedConfig::new(folder.path().to_owned());
        let store = Embedded::open_with(&config, limits).unwrap();
        let tables = |store: &Embedded| store.inner.spaces.ticks.table_count();
        let mut puts = 0;
        while tables(&store) < 3 {
            puts += 1;
            let tick = testkit::ticks::tick("BTC", puts);
            store.put(&[&tick]).await.unwrap();
            for space in store.inner.spaces.all() {
                let held_bytes = space.tree.active_memtable().size();
                let most_bytes = store.inner.spaces.memtable_bytes(space);
                assert!(held_bytes <= most_bytes, "{held_bytes} of {most_bytes}");
            }
            assert!(puts < 100_000, "nothing reached a sorted file");
        }
        store.close();
        let store = Embedded::open(&config).unwrap();
        assert_eq!(store.inner.state().stored_rows, u64::from(puts));
        store.close();
    }
}
