//! Runs a query on the service: starts it, watches it, stops it if it is no longer wanted, and
//! reads its rows.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use athena::error::AthenaError;
use athena::{Execution, Query, Rows};
use futures_util::{StreamExt as _, stream};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::rendered_statement::RenderedStatement;
use super::{Athena, athena_errors, engine_error};
use crate::athena_bill::Bill;
use crate::engine::{Answer, Cancelled, End, EngineError, Figures, Progress, State};
use crate::statement::Statement;

/// How often progress is reported while nothing changes.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);

/// How long to wait for the answer to a start once the query is no longer wanted. Together with the two
/// below it is shorter than the grace period of `stop`.
const START_TIME_MAX: Duration = Duration::from_secs(6);

/// How long to wait for the answer to a stop.
const STOP_TIME_MAX: Duration = Duration::from_secs(5);

/// How long to wait for a stopped query to end, to report what it had read.
const END_TIME_MAX: Duration = Duration::from_secs(3);

/// Why a query that was watched gave no answer.
enum Unanswered {
    /// It ended with this error.
    Ended(AthenaError),
    /// Its state can no longer be read.
    Lost(AthenaError),
}

impl Athena {
    /// Runs a query until its rows can be read.
    pub(super) async fn run_rendered(
        &self,
        statement: &Statement,
        rendered: &RenderedStatement,
        query: Query,
        progress: &(dyn Fn(Progress) + Send + Sync),
        cancel: CancellationToken,
    ) -> Result<Answer, EngineError> {
        progress(Progress::start());
        let Some(started) = self.started(query, &cancel).await else {
            return Err(EngineError::Cancelled(Cancelled {
                end: End::Unknown("Athena has not answered its start".to_owned()),
                ..Cancelled::default()
            }));
        };
        let id = match started {
            Ok(id) => id,
            Err(error) => return Err(self.explained(error, statement, rendered).await),
        };
        let ended = tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(self.stopped(&id).await),
            ended = self.watched(&id, progress) => ended,
        };
        let ended = match ended {
            Ok(ended) => ended,
            Err(Unanswered::Ended(error)) => {
                return Err(self.explained(error, statement, rendered).await);
            }
            Err(Unanswered::Lost(error)) => return Err(self.lost(&id, &error).await),
        };
        progress(Progress {
            state: State::Reading,
            ..Progress::of(&ended)
        });
        let rows = tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(EngineError::Cancelled(unread(&ended))),
            rows = self.athena.rows(&ended) => rows.map_err(|error| engine_error(&error))?,
        };
        Ok(answer(ended, rows, cancel))
    }

    /// The id of a query that is started, or why it is not.
    async fn started(
        &self,
        query: Query,
        cancel: &CancellationToken,
    ) -> Option<Result<String, AthenaError>> {
        let (starts, stops) = (self.athena.clone(), self.athena.clone());
        let start = async move { starts.start(&query).await };
        let stop = |id: String| async move {
            // If this fails there is nobody left to report it to.
            _ = stops.stop(&id).await;
        };
        started(start, stop, cancel).await
    }

    /// Waits until a query has ended, and reports its progress meanwhile.
    async fn watched(
        &self,
        id: &str,
        progress: &(dyn Fn(Progress) + Send + Sync),
    ) -> Result<Execution, Unanswered> {
        let has_ended = AtomicBool::new(false);
        let last = Mutex::new((Progress::start(), Instant::now()));
        let seen = |execution: &Execution| {
            has_ended.store(execution.state.has_ended(), Ordering::Relaxed);
            let now = Progress::of(execution);
            *last.lock().unwrap_or_else(PoisonError::into_inner) = (now, Instant::now());
            progress(now);
        };
        let mut ended = std::pin::pin!(self.athena.wait(id, seen));
        let mut turns = tokio::time::interval(PROGRESS_EVERY);
        loop {
            tokio::select! {
                biased;
                ended = &mut ended => return ended.map_err(|error| {
                    match has_ended.load(Ordering::Relaxed) {
                        true => Unanswered::Ended(error),
                        false => Unanswered::Lost(error),
                    }
                }),
                _ = turns.tick() => {
                    let (last, at) = *last.lock().unwrap_or_else(PoisonError::into_inner);
                    progress(last.after(at.elapsed()));
                }
            }
        }
    }

    /// Stops a query whose state can no longer be read, so that running it again does not cost twice.
    async fn lost(&self, id: &str, error: &AthenaError) -> EngineError {
        let why = athena_errors::without_advice(error);
        EngineError::Service(match self.stop(id).await {
            Ok(()) => format!(
                "{why}; query {id} could no longer be watched and was stopped: what it had read is \
                 billed, and `ticksql history` shows it"
            ),
            Err(_) => format!(
                "{why}; query {id} can no longer be watched and may still run: stop it with \
                 `ticksql cancel {id}` before you run it again"
            ),
        })
    }

    /// Stops a query and waits a moment for its end.
    async fn stopped(&self, id: &str) -> EngineError {
        if let Err(why) = self.stop(id).await {
            return EngineError::Cancelled(Cancelled {
                query_id: Some(id.to_owned()),
                end: End::Unknown(why),
                ..Cancelled::default()
            });
        }
        let mut last = None;
        let ended = self
            .athena
            .wait(id, |execution| last = Some(execution.clone()));
        // It ends as cancelled, as expected; if it does not end, nothing more can be done.
        _ = tokio::time::timeout(END_TIME_MAX, ended).await;
        EngineError::Cancelled(match last {
            Some(execution) => Cancelled {
                end: match execution.state {
                    athena::State::Succeeded => End::Succeeded,
                    athena::State::Queued
                    | athena::State::Running
                    | athena::State::Failed
                    | athena::State::Cancelled => End::Stopped,
                },
                ..unread(&execution)
            },
            None => Cancelled {
                query_id: Some(id.to_owned()),
                ..Cancelled::default()
            },
        })
    }

    /// Asks the service to stop a query; an error says why it may still run.
    async fn stop(&self, id: &str) -> Result<(), String> {
        match tokio::time::timeout(STOP_TIME_MAX, self.athena.stop(id)).await {
            Ok(stopped) => stopped.map_err(|error| athena_errors::without_advice(&error)),
            Err(_) => Err("Athena has not answered its stop".to_owned()),
        }
    }
}

/// A query that had succeeded, and whose answer is not read to the end.
fn unread(ended: &Execution) -> Cancelled {
    let is_free = ended.reused || ended.state == athena::State::Failed;
    Cancelled {
        query_id: Some(ended.id.clone()),
        scanned_bytes: ended.scanned_bytes,
        bill: Some(match is_free {
            true => Bill::NOTHING,
            false => Bill::of_scanned(ended.scanned_bytes),
        }),
        end: End::Succeeded,
    }
}

/// Starts a query in a task of its own. Without its id it could not be stopped, so a start is never
/// aborted: if its answer comes too late, the query is stopped then. `None` if `cancel` fired and
/// no answer came in time.
async fn started<E, Stop>(
    start: impl Future<Output = Result<String, E>> + Send + 'static,
    stop: impl FnOnce(String) -> Stop + Send + 'static,
    cancel: &CancellationToken,
) -> Option<Result<String, E>>
where
    E: Send + 'static,
    Stop: Future<Output = ()> + Send,
{
    let (sender, mut receiver) = oneshot::channel();
    tokio::spawn(async move {
        if let Err(Ok(id)) = sender.send(start.await) {
            stop(id).await;
        }
    });
    let given_up = async {
        cancel.cancelled().await;
        tokio::time::sleep(START_TIME_MAX).await;
    };
    tokio::select! {
        biased;
        // It ends without an answer only if its task was aborted.
        started = &mut receiver => started.ok(),
        () = given_up => {
            receiver.close();
            // An answer at the last moment must not be lost.
            receiver.try_recv().ok()
        }
    }
}

fn answer(ended: Execution, rows: Rows, cancel: CancellationToken) -> Answer {
    let figures = Figures {
        query_id: Some(ended.id.clone()),
        scanned_bytes: ended.scanned_bytes,
        files: None,
        reused: ended.reused,
        queued: ended.queued,
        ran: ended.ran,
    };
    let state = (rows.batches, cancel, unread(&ended));
    let batches = stream::try_unfold(state, async |(mut batches, cancel, unread)| {
        let next = tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(EngineError::Cancelled(unread)),
            next = batches.next() => next,
        };
        match next {
            None => Ok(None),
            Some(Ok(batch)) => Ok(Some((batch, (batches, cancel, unread)))),
            Some(Err(error)) => Err(engine_error(&error)),
        }
    });
    Answer {
        schema: rows.schema,
        batches: Box::pin(batches),
        figures: Arc::new(move || figures.clone()),
    }
}

impl Progress {
    fn start() -> Self {
        Self {
            state: State::Queued,
            queued: Duration::ZERO,
            ran: Duration::ZERO,
            scanned_bytes: 0,
        }
    }

    fn of(execution: &Execution) -> Self {
        Self {
            state: match execution.state {
                athena::State::Queued => State::Queued,
                athena::State::Running
                | athena::State::Succeeded
                | athena::State::Failed
                | athena::State::Cancelled => State::Running,
            },
            queued: execution.queued,
            ran: execution.ran,
            scanned_bytes: execution.scanned_bytes,
        }
    }

    /// An extrapolation for when nothing newer is known.
    fn after(self, elapsed: Duration) -> Self {
        match self.state {
            State::Queued => Self {
                queued: self.queued + elapsed,
                ..self
            },
            State::Running | State::Reading => Self {
                ran: self.ran + elapsed,
                ..self
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Starts a query that answers after some seconds, and cancels it after one: the answer, if it
    /// was awaited, and the id of the query that was stopped in the end.
    async fn start_of(seconds: u64) -> (Option<Result<String, ()>>, Option<String>) {
        let cancel = CancellationToken::new();
        let (stopped, mut stop) = oneshot::channel();
        let start = async move {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            Ok("q1".to_owned())
        };
        let stop_it = |id| async move {
            _ = stopped.send(id);
        };
        let cancelled = cancel.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            cancelled.cancel();
        });
        let answer = started(start, stop_it, &cancel).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        (answer, stop.try_recv().ok())
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_start_is_awaited_and_a_slower_one_is_stopped_once_it_answers() {
        let q1 = || "q1".to_owned();
        assert_eq!(start_of(0).await, (Some(Ok(q1())), None));
        assert_eq!(start_of(5).await, (Some(Ok(q1())), None));
        assert_eq!(start_of(13).await, (None, Some(q1())));
    }

    #[test]
    fn all_waits_fit_into_the_grace_period() {
        let longest = START_TIME_MAX + STOP_TIME_MAX + END_TIME_MAX;
        assert!(longest < crate::stop::GRACE, "{longest:?}");
    }
}
