//! Stores the different ticks of a batch, each once: what is known is not written, and what is
//! unknown is written and reported as such.
//!
//! The batch is processed in chunks. A chunk is read consistently, then its unknown ticks are
//! written, so a tick costs one read unit (items are below 4 KB), and one write unit if it is new
//! (below 1 KB). An arrival-stamped tick needs a claim first. Claims are looked up, at half a unit
//! each, so a repeat costs 1.5 read units and no write; a new one costs half a read unit and two
//! writes, its claim and, right after, its item. Chunks of new claims are smaller, because these use
//! up the same capacity as the writes that must follow them.
//!
//! **Progress.** No call begins after the deadline; what is left then is refused, and the sender
//! delivers again. A tick that this process has seen in the table is neither read nor claimed again. A new
//! process must look up what is stored, and begins with a chunk that is chosen at random. The timeout
//! leaves time for writing after all ticks have been read from one partition (see
//! [`super::StoreTimeout`]), so each attempt stores something as long as the table accepts writes and
//! reads as a partition does. At 1,000 write and 3,000 read units a second, 10,000 new ticks of one
//! partition take 2 or 3 attempts, and up to 4 if each meets a new process.
//!
//! Two deliveries of a new tick at the same moment, in two processes, may both find it unknown. Then
//! both report it as stored, and the later write remains; both have the same identity.

use std::collections::{HashMap, HashSet};

use aws_sdk_dynamodb::Client;
use domain::{Tick, TickId};
use futures_util::{StreamExt as _, stream};
use tokio::time::Instant;

use super::arrival_time_claims::{ClaimError, claim};
use super::attributes::{Item, ItemError, PK, SK};
use super::batch_write::{BatchWriter, Failure, without_retries};
use super::known_ticks::{Known, KnownTicks};
use super::reads::{Consistency, KEYS_PER_CALL_MAX, read_once};
use super::tick_item::{ItemPlace, claim_key, claimed_ms, item, stored_tick_of};
use super::tick_row::{Claim, Refusal, Row, RowOutcome};
use crate::error::CallError;
use crate::retry::{Backoff, within};

/// The most concurrent chunks.
const CHUNKS_AT_ONCE_MAX: usize = 4;

/// The most ticks to claim in a chunk.
const CLAIMS_PER_CHUNK_MAX: usize = 16;

/// The ticks to claim in the first chunk, which runs alone. If the table throttles it, the other
/// chunks also run one at a time: concurrent claims could use up the capacity, and leave none for
/// writing the claimed ticks.
const CLAIMS_IN_FIRST_CHUNK: usize = 4;

/// Stores rows in a table.
#[derive(Debug)]
pub(crate) struct RowWriter {
    client: Client,
    table: String,
    retention_days: u32,
    new_ids_from_ms: i64,
    writer: BatchWriter,
    known: KnownTicks,
}

/// A row with its number in the batch.
type Numbered = (usize, Row);

type Outcomes = Vec<(usize, RowOutcome)>;

impl RowWriter {
    pub(crate) fn new(
        client: &Client,
        table: String,
        retention_days: u32,
        new_ids_from_ms: i64,
    ) -> Self {
        Self {
            client: without_retries(client),
            writer: BatchWriter::new(client, table.clone(), [PK, SK]),
            table,
            retention_days,
            new_ids_from_ms,
            known: KnownTicks::default(),
        }
    }

    /// Stores rows, of which no two have the same identity, until `deadline`. Returns the outcome of
    /// each, by its number.
    pub(crate) async fn put(
        &self,
        rows: Vec<Row>,
        deadline: Instant,
    ) -> HashMap<usize, RowOutcome> {
        let mut outcomes = HashMap::with_capacity(rows.len());
        let (mut timed, mut stamped) = (Vec::new(), Vec::new());
        for (number, row) in rows.into_iter().enumerate() {
            match self.known.find(&row.identity) {
                Some(Known::Stored(tick)) => {
                    outcomes.insert(number, RowOutcome::Known(tick));
                }
                Some(Known::Claimed(at_ms)) => timed.push((number, row.claimed(at_ms))),
                None if row.claim == Claim::Done => timed.push((number, row)),
                None => stamped.push((number, row)),
            }
        }
        let (claimed, unclaimed) = self.look_up_claims(stamped, deadline).await;
        timed.extend(claimed);
        let (of_timed, of_unclaimed) = tokio::join!(
            self.put_timed(timed, deadline),
            self.put_unclaimed(unclaimed, deadline)
        );
        outcomes.extend(of_timed.into_iter().chain(of_unclaimed));
        outcomes
    }

    /// Stores rows whose time is known.
    async fn put_timed(&self, rows: Vec<Numbered>, deadline: Instant) -> Outcomes {
        let chunks = chunks(rotated(rows, KEYS_PER_CALL_MAX), KEYS_PER_CALL_MAX);
        let calls = chunks
            .into_iter()
            .map(|chunk| self.put_chunk(chunk, deadline));
        let mut calls = stream::iter(calls).buffer_unordered(CHUNKS_AT_ONCE_MAX);
        let mut outcomes = Outcomes::new();
        while let Some(of_chunk) = calls.next().await {
            outcomes.extend(of_chunk);
        }
        outcomes
    }

    /// Looks up the claims of rows. Returns those that have one, and the others. A claim that could not
    /// be read is made, or found, with a write.
    async fn look_up_claims(
        &self,
        rows: Vec<Numbered>,
        deadline: Instant,
    ) -> (Vec<Numbered>, Vec<Numbered>) {
        let calls = chunks(rows, KEYS_PER_CALL_MAX)
            .into_iter()
            .map(|chunk| self.look_up_claims_of_chunk(chunk, deadline));
        let rows: Vec<Vec<Numbered>> = stream::iter(calls)
            .buffer_unordered(CHUNKS_AT_ONCE_MAX)
            .collect()
            .await;
        let rows = rows.into_iter().flatten();
        rows.partition(|(_, row)| row.claim == Claim::Done)
    }

    async fn look_up_claims_of_chunk(
        &self,
        mut chunk: Vec<Numbered>,
        deadline: Instant,
    ) -> Vec<Numbered> {
        let ids: HashSet<TickId> = chunk.iter().map(|(_, row)| row.tick.tick_id).collect();
        let keys = ids.into_iter().map(claim_key).collect();
        let call = read_once(&self.client, &self.table, keys, Consistency::Eventual);
        let Some(Ok((found, unprocessed))) = within(deadline, call).await else {
            return chunk;
        };
        let place = |item: &Item| ItemPlace::of_item(item).ok();
        let unread: HashSet<Option<ItemPlace>> = unprocessed.iter().map(place).collect();
        let claims = found.iter().map(|claim| (place(claim), claimed_ms(claim)));
        let claims: HashMap<Option<ItemPlace>, Result<i64, ItemError>> = claims.collect();
        for (_, row) in &mut chunk {
            let place = place(&claim_key(row.tick.tick_id));
            match claims.get(&place) {
                Some(Ok(at_ms)) => {
                    self.known.insert(&row.identity, Known::Claimed(*at_ms));
                    row.retime(*at_ms);
                }
                // The attempt to claim it reports what is wrong.
                Some(Err(_)) => {}
                None if unread.contains(&place) => {}
                None => row.claim = Claim::Absent,
            }
        }
        chunk
    }

    async fn put_unclaimed(&self, rows: Vec<Numbered>, deadline: Instant) -> Outcomes {
        let mut first = rotated(rows, CLAIMS_PER_CHUNK_MAX);
        // Those that certainly have no claim are not stored, so a write for them is not wasted.
        first.sort_by_key(|(_, row)| row.claim != Claim::Absent);
        let others = first.split_off(CLAIMS_IN_FIRST_CHUNK.min(first.len()));
        let (mut outcomes, was_throttled) = self.claim_and_put(first, deadline).await;
        let at_once = match was_throttled {
            true => 1,
            false => CHUNKS_AT_ONCE_MAX,
        };
        let chunks = chunks(others, CLAIMS_PER_CHUNK_MAX);
        let calls = chunks
            .into_iter()
            .map(|chunk| self.claim_and_put(chunk, deadline));
        let mut calls = stream::iter(calls).buffer_unordered(at_once);
        while let Some((of_chunk, _)) = calls.next().await {
            outcomes.extend(of_chunk);
        }
        outcomes
    }

    /// Claims the rows of a chunk, and stores those that could be claimed before it tries to claim
    /// the others again. Also returns whether the table throttled a claim.
    async fn claim_and_put(&self, chunk: Vec<Numbered>, deadline: Instant) -> (Outcomes, bool) {
        let mut backoff = Backoff::until(deadline);
        let mut outcomes = Outcomes::with_capacity(chunk.len());
        let (mut left, mut was_throttled) = (chunk, false);
        loop {
            let claims = left.into_iter().map(|row| self.claim(row, deadline));
            let claims: Vec<_> = stream::iter(claims)
                .buffer_unordered(CLAIMS_PER_CHUNK_MAX)
                .collect()
                .await;
            let (mut claimed, mut throttled) = (Vec::new(), Vec::new());
            for (number, row, result) in claims {
                match result {
                    Ok(at_ms) => claimed.push((number, row.claimed(at_ms))),
                    Err(error) if error.is_transient() => throttled.push((number, row, error)),
                    Err(error) => {
                        let refused = RowOutcome::Refused(Refusal::of_claim(&error));
                        outcomes.push((number, refused));
                    }
                }
            }
            if !claimed.is_empty() {
                outcomes.extend(self.put_chunk(claimed, deadline).await);
            }
            if throttled.is_empty() {
                return (outcomes, was_throttled);
            }
            was_throttled = true;
            if !backoff.wait().await {
                let refused = |(number, _, error): (usize, Row, ClaimError)| {
                    (number, RowOutcome::Refused(Refusal::of_claim(&error)))
                };
                outcomes.extend(throttled.into_iter().map(refused));
                return (outcomes, was_throttled);
            }
            left = throttled
                .into_iter()
                .map(|(number, row, _)| (number, row))
                .collect();
        }
    }

    /// Claims a row in one attempt.
    async fn claim(
        &self,
        (number, row): Numbered,
        deadline: Instant,
    ) -> (usize, Row, Result<i64, ClaimError>) {
        let (table, days) = (&self.table, self.retention_days);
        let claimed = claim(&self.client, table, &row.tick, days, deadline).await;
        if let Ok(at_ms) = &claimed {
            self.known.insert(&row.identity, Known::Claimed(*at_ms));
        }
        (number, row, claimed)
    }

    /// Reads a chunk and writes what is unknown. Keys that the table leaves unprocessed are read again
    /// after the ticks of the others have been written.
    async fn put_chunk(&self, chunk: Vec<Numbered>, deadline: Instant) -> Outcomes {
        let mut outcomes = Outcomes::with_capacity(chunk.len());
        let mut left: HashMap<ItemPlace, Numbered> = HashMap::with_capacity(chunk.len());
        // Different ticks have the same place if only their quotes differ, before the new ids.
        let mut repeats = Vec::new();
        for (number, row) in chunk {
            match ItemPlace::of(&row.tick, self.new_ids_from_ms) {
                Err(error) => {
                    outcomes.push((number, RowOutcome::Refused(Refusal::of_item(&error))))
                }
                Ok(place) => match left.get(&place) {
                    Some((first, _)) => repeats.push((number, *first)),
                    None => {
                        left.insert(place, (number, row));
                    }
                },
            }
        }
        let mut new: Vec<_> = left
            .extract_if(|_, (_, row)| row.claim == Claim::New)
            .collect();
        new.sort_by_key(|(_, (number, _))| *number);
        outcomes.extend(self.write(new, deadline).await);
        let mut backoff = Backoff::until(deadline);
        let refusal = loop {
            if left.is_empty() {
                break None;
            }
            let keys = left.keys().map(ItemPlace::key).collect();
            let call = read_once(&self.client, &self.table, keys, Consistency::Strong);
            let read = within(deadline, call).await;
            let late = || CallError::Unanswered("the batch timed out".to_owned());
            let refusal = match read.ok_or_else(late).flatten() {
                Ok((found, unprocessed)) => {
                    let unknown = self.sort_out(&mut left, &found, &unprocessed, &mut outcomes);
                    outcomes.extend(self.write(unknown, deadline).await);
                    if left.is_empty() {
                        break None;
                    }
                    Refusal::of_write(&Failure::Unprocessed)
                }
                Err(error) if error.is_transient() => Refusal::of_call(&error),
                Err(error) => break Some(Refusal::of_call(&error)),
            };
            if !backoff.wait().await {
                break Some(refusal);
            }
        };
        if let Some(refusal) = refusal {
            let refused = |(number, _)| (number, RowOutcome::Refused(refusal.clone()));
            outcomes.extend(left.into_values().map(refused));
        }
        for (number, first) in repeats {
            let of_first = outcomes.iter().find(|(number, _)| *number == first);
            let outcome = match of_first {
                Some((_, RowOutcome::Refused(refusal))) => RowOutcome::Refused(refusal.clone()),
                Some((_, RowOutcome::Stored(_) | RowOutcome::Known(_))) | None => {
                    RowOutcome::Known(None)
                }
            };
            outcomes.push((number, outcome));
        }
        outcomes
    }

    /// Removes the rows that were read from `left`: those that were found become outcomes, and the
    /// others are returned.
    fn sort_out(
        &self,
        left: &mut HashMap<ItemPlace, Numbered>,
        found: &[Item],
        unprocessed: &[Item],
        outcomes: &mut Outcomes,
    ) -> Vec<(ItemPlace, Numbered)> {
        for item in found {
            let row = ItemPlace::of_item(item)
                .ok()
                .and_then(|it| left.remove(&it));
            if let Some((number, row)) = row {
                let tick = as_stored(item);
                self.known
                    .insert(&row.identity, Known::Stored(tick.clone()));
                outcomes.push((number, RowOutcome::Known(tick)));
            }
        }
        let unprocessed: Result<HashSet<ItemPlace>, ItemError> =
            unprocessed.iter().map(ItemPlace::of_item).collect();
        // An unreadable key means that nothing is known about any row.
        let Ok(unprocessed) = unprocessed else {
            return Vec::new();
        };
        let mut unknown: Vec<_> = left
            .extract_if(|place, _| !unprocessed.contains(place))
            .collect();
        unknown.sort_by_key(|(_, (number, _))| *number);
        unknown
    }

    /// Writes rows that the table does not have.
    async fn write(&self, rows: Vec<(ItemPlace, Numbered)>, deadline: Instant) -> Outcomes {
        let mut outcomes = Outcomes::with_capacity(rows.len());
        let (mut written, mut writes) = (Vec::new(), Vec::new());
        for (place, (number, row)) in rows {
            match item(&row.tick, row.in_cohort, &place, self.retention_days) {
                Ok(item) => {
                    writes.push(item);
                    written.push((number, row));
                }
                Err(error) => {
                    outcomes.push((number, RowOutcome::Refused(Refusal::of_item(&error))));
                }
            }
        }
        let failures = self.writer.write(writes, deadline).await;
        for ((number, row), failure) in written.into_iter().zip(failures) {
            let outcome = match failure {
                Some(failure) => RowOutcome::Refused(Refusal::of_write(&failure)),
                None => {
                    let at_ms = row.tick.timestamp_ms;
                    let tick = row.in_cohort.then_some(row.tick);
                    self.known.insert(&row.identity, Known::Stored(tick));
                    RowOutcome::Stored(at_ms)
                }
            };
            outcomes.push((number, outcome));
        }
        outcomes
    }
}

/// The tick of an item, if it belongs to the stream. Release 1.0 did not keep that, and offered its
/// ticks itself.
fn as_stored(item: &Item) -> Option<Tick> {
    match stored_tick_of(item) {
        Ok(stored) => (stored.in_cohort == Some(true)).then_some(stored.tick),
        Err(error) => {
            tracing::error!(cause = %error, "a stored tick cannot be read, and is not offered again");
            None
        }
    }
}

/// Rows that begin at a random one, if they are more than fit into a chunk.
fn rotated(mut rows: Vec<Numbered>, chunk: usize) -> Vec<Numbered> {
    if rows.len() > chunk {
        let start = fastrand::usize(..rows.len());
        rows.rotate_left(start);
    }
    rows
}

fn chunks(rows: Vec<Numbered>, rows_max: usize) -> Vec<Vec<Numbered>> {
    let mut rows = rows.into_iter().peekable();
    let mut chunks = Vec::new();
    while rows.peek().is_some() {
        chunks.push(rows.by_ref().take(rows_max).collect());
    }
    chunks
}
