//! Reads the rows of a file on a separate thread, and gathers them into batches when they are due.

use std::collections::VecDeque;

use anyhow::Context as _;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::formats::{ReadError, Row, RowPosition, Rows};
use crate::pace::{Pace, Speed};

/// How many rows the reading thread sends at once, since sending costs more than reading a row.
const ROWS_PER_CHUNK: usize = 256;

/// How many chunks are read ahead.
const CHUNKS_AHEAD_MAX: usize = 8;

/// Rows that are sent together.
#[derive(Debug)]
pub struct Batch {
    /// At least one, in the file's order.
    pub rows: Vec<Row>,
}

/// The next event of a file.
#[derive(Debug)]
pub enum Event {
    /// Rows that are due.
    Batch(Batch),
    /// A row or a rest that cannot be read. The rows before it were already returned.
    Bad(ReadError),
    /// The end of the file.
    End,
}

/// Gathers rows into batches.
#[derive(Debug)]
pub struct Batches {
    chunks: mpsc::Receiver<Vec<Result<Row, ReadError>>>,
    ready: VecDeque<Result<Row, ReadError>>,
    /// The rows of the current batch. They are kept here, so the future of [`Batches::next`] may be
    /// dropped.
    rows: Vec<Row>,
    pace: Pace,
    batch_max: usize,
}

impl Batches {
    /// Starts to read. `open` runs on the reading thread, since it may wait for its input. The
    /// first `skip` rows are skipped, including bad ones.
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn new(
        open: impl FnOnce() -> Result<Rows, ReadError> + Send + 'static,
        skip: u64,
        speed: Speed,
        batch_max: usize,
    ) -> anyhow::Result<Self> {
        let (sender, chunks) = mpsc::channel(CHUNKS_AHEAD_MAX);
        // Not on tokio's blocking pool: the process must be able to end while this waits for stdin.
        std::thread::Builder::new()
            .name("reader".to_owned())
            .spawn(move || read(open, skip, &sender))
            .context("could not start a thread to read the file")?;
        let (ready, rows) = (VecDeque::new(), Vec::with_capacity(batch_max));
        Ok(Self {
            chunks,
            ready,
            rows,
            pace: Pace::new(speed),
            batch_max: batch_max.max(1),
        })
    }

    /// Waits until rows are due and returns them, up to a full batch. Dropping the future loses no
    /// row.
    pub async fn next(&mut self) -> Event {
        while self.rows.len() < self.batch_max {
            if self.ready.is_empty() && !self.receive().await {
                break;
            }
            let Some(Ok(row)) = self.ready.front() else {
                break;
            };
            let now = Instant::now();
            let due = self.pace.due(row.event_ms, now);
            if due > now {
                if !self.rows.is_empty() {
                    break;
                }
                tokio::time::sleep_until(due).await;
            }
            if let Some(Ok(row)) = self.ready.pop_front() {
                self.rows.push(row);
            }
        }
        if !self.rows.is_empty() {
            let rows = std::mem::replace(&mut self.rows, Vec::with_capacity(self.batch_max));
            return Event::Batch(Batch { rows });
        }
        match self.ready.pop_front() {
            Some(Err(error)) => Event::Bad(error),
            Some(Ok(row)) => Event::Batch(Batch { rows: vec![row] }),
            None => Event::End,
        }
    }

    /// Receives the next chunk; false if there is none (or none yet, while due rows are waiting).
    async fn receive(&mut self) -> bool {
        let chunk = if self.rows.is_empty() || self.pace.is_max() {
            self.chunks.recv().await
        } else {
            self.chunks.try_recv().ok()
        };
        match chunk {
            Some(rows) => {
                self.ready.extend(rows);
                true
            }
            None => false,
        }
    }
}

fn read(
    open: impl FnOnce() -> Result<Rows, ReadError>,
    skip: u64,
    sender: &mpsc::Sender<Vec<Result<Row, ReadError>>>,
) {
    let rows = match open() {
        Ok(rows) => rows,
        Err(error) => Box::new(std::iter::once(Err(error))) as Rows,
    };
    let mut rows = rows.filter(|row| place(row).is_none_or(|place| place.number > skip));
    loop {
        let chunk: Vec<_> = rows.by_ref().take(ROWS_PER_CHUNK).collect();
        // The receiver is gone if the replay ended early.
        if chunk.is_empty() || sender.blocking_send(chunk).is_err() {
            return;
        }
    }
}

fn place(row: &Result<Row, ReadError>) -> Option<RowPosition> {
    match row {
        Ok(row) => Some(row.place),
        Err(ReadError::Row { place, .. }) => Some(*place),
        Err(ReadError::File(_)) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn row(number: u64, event_ms: i64) -> Result<Row, ReadError> {
        let place = RowPosition {
            number,
            line: number,
            offset_bytes: 0,
        };
        Ok(Row {
            source: "ticks",
            place,
            event_ms,
            json: String::new(),
        })
    }

    fn bad(number: u64) -> Result<Row, ReadError> {
        let place = RowPosition {
            number,
            line: number,
            offset_bytes: 0,
        };
        Err(ReadError::Row {
            place,
            rule: "bad".to_owned(),
        })
    }

    fn batches(
        rows: Vec<Result<Row, ReadError>>,
        skip: u64,
        speed: Speed,
        batch_max: usize,
    ) -> Batches {
        Batches::new(
            move || Ok(Box::new(rows.into_iter())),
            skip,
            speed,
            batch_max,
        )
        .unwrap()
    }

    /// The row numbers of each batch; a bad row is 0.
    async fn all(mut batches: Batches) -> Vec<Vec<u64>> {
        let mut seen = Vec::new();
        loop {
            match batches.next().await {
                Event::Batch(batch) => {
                    seen.push(batch.rows.iter().map(|row| row.place.number).collect());
                }
                Event::Bad(_) => seen.push(vec![0]),
                Event::End => return seen,
            }
        }
    }

    #[tokio::test]
    async fn batches_are_full_and_a_bad_row_ends_one() {
        let rows = || vec![row(1, 0), row(2, 0), row(3, 0), bad(4), bad(5), row(6, 0)];
        for (skip, expected) in [
            (0, vec![vec![1, 2], vec![3], vec![0], vec![0], vec![6]]),
            (2, vec![vec![3], vec![0], vec![0], vec![6]]),
            (4, vec![vec![0], vec![6]]),
            (6, vec![]),
        ] {
            let seen = all(batches(rows(), skip, Speed::Max, 2)).await;
            assert_eq!(seen, expected, "skip {skip}");
        }
    }

    #[tokio::test]
    async fn a_full_batch_may_span_several_chunks() {
        let rows = (1..=1_000).map(|number| row(number, 0)).collect();
        let lengths: Vec<_> = all(batches(rows, 0, Speed::Max, 300))
            .await
            .iter()
            .map(Vec::len)
            .collect();
        assert_eq!(lengths, [300, 300, 300, 100]);
    }

    #[tokio::test(start_paused = true)]
    async fn rows_wait_until_they_are_due_and_overdue_rows_are_batched() {
        let start = Instant::now();
        let rows = vec![
            row(1, 10_000),
            row(2, 10_000),
            row(3, 70_000),
            row(4, 100_000),
        ];
        let mut batches = batches(rows, 0, Speed::Times(10.0), 100);
        let numbers = |event| match event {
            Event::Batch(batch) => batch.rows.iter().map(|row| row.place.number).collect(),
            Event::Bad(_) | Event::End => Vec::new(),
        };
        assert_eq!(numbers(batches.next().await), [1, 2]);
        // Dropped while it waits, like after a stop or a response: no row is lost.
        assert!(
            tokio::time::timeout(Duration::from_secs(1), batches.next())
                .await
                .is_err()
        );
        assert_eq!(numbers(batches.next().await), [3]);
        assert_eq!(start.elapsed().as_millis() / 10, 600);
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(numbers(batches.next().await), [4]);
        assert!(matches!(batches.next().await, Event::End));
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_opened_is_one_bad_event() {
        let error = ReadError::File("no".to_owned());
        let open = move || Err(error);
        let mut batches = Batches::new(open, 5, Speed::Max, 1).unwrap();
        assert!(matches!(
            batches.next().await,
            Event::Bad(ReadError::File(_))
        ));
        assert!(matches!(batches.next().await, Event::End));
    }
}
