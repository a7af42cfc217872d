//! The embedded store: one folder, one engine, one writer.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use fjall::Database;
use tokio::sync::watch;

use crate::disk::Disk;
use crate::error::StorageError;
use crate::keys::{self, meta};
use crate::keyspaces::{Keyspaces, Memtables};
use crate::shared_state::SharedState;
use crate::state::State;
use crate::upgrade::{check_layout, new_ids_from_ms, upgrade};
use crate::writer::{Commit, Writer};

/// Memory for blocks read from disk.
const CACHE_BYTES: u64 = 32 * 1_024 * 1_024;

/// The size of the journal at which memory is flushed: the most that a start after a crash replays.
const JOURNAL_BYTES_MAX: u64 = 64 * 1_024 * 1_024;

/// Threads that flush and compact: while one merges files, which takes seconds under load, the other one
/// flushes memory. See `docs/storage.md`.
const WORKERS: usize = 2;

/// The engine's file that each of its folders has, from the moment the folder is complete.
pub(crate) const FORMAT_FILE: &str = "version";

/// How long closing may take to flush memory to sorted files.
const FLUSH_WITHIN: Duration = Duration::from_secs(10);

/// The configuration of the store.
#[derive(Debug, Clone)]
pub struct EmbeddedConfig {
    /// The folder; it is created if it does not exist.
    pub folder: PathBuf,
    /// While the disk has less room than this, new ticks are refused.
    pub min_free_bytes: u64,
}

impl EmbeddedConfig {
    /// A store in a folder, whose disk is not checked.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            min_free_bytes: 0,
        }
    }
}

/// The embedded store. Cloning gives another handle to the same store.
#[derive(Clone)]
pub struct EmbeddedStore {
    pub(crate) inner: Arc<SharedState>,
    writer: Arc<Writer>,
    closing: Arc<Closing>,
    new_ids_from_ms: i64,
}

/// What the last handle needs to close the store.
struct Closing {
    db: Database,
    thread: std::sync::Mutex<Option<JoinHandle<()>>>,
}

impl EmbeddedStore {
    /// Opens the store, or creates it. A folder with the previous layout is upgraded.
    ///
    /// # Errors
    /// [`StorageError`] if the folder cannot be used, is in use, or has an unknown layout.
    pub fn open(config: &EmbeddedConfig) -> Result<Self, StorageError> {
        Self::open_with(config, Memtables::default())
    }

    /// Opens the store that a folder has, and leaves a folder alone that has none, or has another layout. It is for
    /// tools: that they look into a folder must not keep the version of tickstream that wrote it from using it.
    ///
    /// # Errors
    /// [`StorageError`] as for [`EmbeddedStore::open`], and [`StorageError::Missing`] and
    /// [`StorageError::NotUpgraded`].
    pub fn open_existing(config: &EmbeddedConfig) -> Result<Self, StorageError> {
        let has_store = config.folder.join(FORMAT_FILE).try_exists();
        if !has_store.map_err(fjall::Error::from)? {
            return Err(StorageError::Missing(config.folder.display().to_string()));
        }
        let db = open_engine(config)?;
        check_layout(&db)?;
        Self::open_in(db, config, Memtables::default())
    }

    pub(crate) fn open_with(
        config: &EmbeddedConfig,
        memtables: Memtables,
    ) -> Result<Self, StorageError> {
        Self::open_in(open_engine(config)?, config, memtables)
    }

    fn open_in(
        db: Database,
        config: &EmbeddedConfig,
        memtables: Memtables,
    ) -> Result<Self, StorageError> {
        let spaces = Keyspaces::open(&db, memtables)?;
        upgrade(&db, &spaces)?;
        let state = match spaces.meta.get(meta::STATE)? {
            Some(bytes) => keys::decode("state", &bytes)?,
            None => State::default(),
        };
        let new_ids_from_ms = new_ids_from_ms(&spaces)?;
        let disk = Disk::new(config.folder.clone(), config.min_free_bytes);
        let inner = Arc::new(SharedState::open(spaces, disk, state)?);
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
            new_ids_from_ms,
        })
    }

    /// From which event time on ticks get the ids of version 1.1, in epoch milliseconds: after the last
    /// tick that a release before stored; 0 if there is none.
    #[must_use]
    pub fn new_ids_from_ms(&self) -> i64 {
        self.new_ids_from_ms
    }

    /// The number of commits; it changes whenever something new is readable.
    #[must_use]
    pub fn commits(&self) -> watch::Receiver<u64> {
        self.inner.commits()
    }

    /// Closes the store: writes pending jobs, and flushes memory to sorted files, so the next start has no
    /// journal to replay. Only closing the last handle has an effect.
    pub fn close(self) {
        let Self {
            inner,
            writer,
            closing,
            ..
        } = self;
        drop(writer);
        if Arc::strong_count(&closing) > 1 {
            tracing::warn!("the store is still in use; the next start replays the journal");
            return;
        }
        let thread = closing
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the storage writer ended with a panic");
        }
        if inner.has_failed() {
            // Nothing can be written any more. What was answered is in the journal.
            return;
        }
        flush_memory(&inner.spaces);
        if let Err(error) = closing.db.persist(fjall::PersistMode::SyncAll) {
            tracing::warn!(error = %error, "the last sync failed");
        }
    }

    /// Waits until the engine has failed: it accepts no writes until the store is opened again.
    pub async fn failed(&self) {
        self.inner.failed().await;
    }

    /// Writes a file in the store's folder to find out whether the disk accepts writes and has room. This blocks.
    ///
    /// # Errors
    /// The failure of the disk.
    pub fn probe_disk(&self) -> std::io::Result<()> {
        self.inner.disk.probe()
    }

    /// Whether the disk has enough room for new ticks.
    ///
    /// # Errors
    /// [`StorageError::DiskFull`].
    pub fn check_disk(&self) -> Result<(), StorageError> {
        self.inner.disk.check()
    }

    /// The room on the disk.
    #[must_use]
    pub fn free_disk_bytes(&self) -> u64 {
        self.inner.disk.free_bytes()
    }

    /// The room below which new ticks are refused.
    #[must_use]
    pub fn min_free_disk_bytes(&self) -> u64 {
        self.inner.disk.min_free_bytes()
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

    /// Runs a job in one of the next commits without waiting for it; `done` gets the outcome.
    pub(crate) async fn enqueue(
        &self,
        work: impl FnOnce(&mut Commit<'_>) -> Result<(), StorageError> + Send + 'static,
        done: impl FnOnce(Result<(), StorageError>) + Send + 'static,
    ) -> Result<(), StorageError> {
        self.writer.enqueue(work, done).await
    }

    /// Reads on a thread that may block on disk I/O.
    pub(crate) async fn read<R: Send + 'static>(
        &self,
        look: impl FnOnce(&SharedState) -> Result<R, StorageError> + Send + 'static,
    ) -> Result<R, StorageError> {
        let inner = Arc::clone(&self.inner);
        tokio::task::spawn_blocking(move || look(&inner))
            .await
            .map_err(|_| StorageError::Stopped)?
    }
}

/// Flushes all memory to sorted files, and waits for it, with a limit, since a failed engine would never
/// finish.
fn flush_memory(spaces: &Keyspaces) {
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

fn open_engine(config: &EmbeddedConfig) -> Result<Database, StorageError> {
    Database::builder(&config.folder)
        .cache_size(CACHE_BYTES)
        .max_journaling_size(JOURNAL_BYTES_MAX)
        .journal_compression(fjall::CompressionType::None)
        .worker_threads(WORKERS)
        .open()
        .map_err(|error| open_error(&config.folder, error))
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

    /// With the engine's own limit, every commit would request a flush from its worker, which could then
    /// deadlock: memory grew without limit, and the store could not be closed.
    #[tokio::test]
    async fn full_memory_is_rotated_with_the_commit_that_fills_it() {
        let folder = tempfile::tempdir().unwrap();
        let limits = Memtables {
            ticks_bytes: 4 * 1_024,
            other_bytes: 2 * 1_024,
            ..Memtables::default()
        };
        let config = EmbeddedConfig::new(folder.path().to_owned());
        let store = EmbeddedStore::open_with(&config, limits).unwrap();
        let tables = |store: &EmbeddedStore| store.inner.spaces.ticks.table_count();
        let mut puts = 0;
        while tables(&store) < 3 {
            puts += 1;
            let tick = testkit::ticks::tick("BTC", puts);
            store
                .put(&testkit::ticks::in_cohort([&tick]))
                .await
                .unwrap();
            for space in store.inner.spaces.all() {
                let held_bytes = space.tree.active_memtable().size();
                let most_bytes = store.inner.spaces.memtable_bytes(space);
                assert!(held_bytes <= most_bytes, "{held_bytes} of {most_bytes}");
            }
            assert!(puts < 100_000, "nothing reached a sorted file");
        }
        store.close();
        let store = EmbeddedStore::open(&config).unwrap();
        assert_eq!(store.inner.state().stored_rows, u64::from(puts));
        store.close();
    }

    #[test]
    fn a_tool_opens_a_store_that_exists_and_creates_none() {
        let folder = tempfile::tempdir().unwrap();
        let config = EmbeddedConfig::new(folder.path().join("store"));
        let refused = EmbeddedStore::open_existing(&config).err().unwrap();
        assert!(matches!(refused, StorageError::Missing(_)), "{refused}");
        assert!(!config.folder.exists());
        // Without the right to look, it is not known whether there is one; nor of a folder in a file.
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let refused = EmbeddedStore::open_existing(&EmbeddedConfig::new(file));
        let refused = refused.err().unwrap();
        assert!(matches!(refused, StorageError::Engine(_)), "{refused}");
        let store = EmbeddedStore::open(&config).unwrap();
        let refused = EmbeddedStore::open_existing(&config).err().unwrap();
        assert!(matches!(refused, StorageError::Locked(_)), "{refused}");
        store.close();
        EmbeddedStore::open_existing(&config).unwrap().close();
    }
}
