//! Finds the records for which a consumer fails, so that one of them does not stop all that follow.
//!
//! A record is at fault only if it fails by itself, twice, while others succeed. If nothing succeeds, the cause
//! is elsewhere, such as a full disk or a defect that affects every record, and nothing is set aside.

use std::any::Any;
use std::sync::Arc;

use async_trait::async_trait;

/// An error of any kind.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// How often a record is tried by itself, so that a coincidence is not taken for its fault.
const SINGLE_ATTEMPTS: u32 = 2;

/// Why records were not processed.
#[derive(Debug)]
pub enum Failed {
    /// The cause is not in the records, such as a store that refuses writes.
    Transient(Cause),
    /// The cause may be in one of the records.
    Suspected(Cause),
}

impl Failed {
    /// The cause, whatever its kind.
    #[must_use]
    pub fn into_cause(self) -> Cause {
        match self {
            Self::Transient(cause) | Self::Suspected(cause) => cause,
        }
    }

    /// A panic, from its payload.
    #[must_use]
    pub fn panicked(payload: &(dyn Any + Send)) -> Self {
        Self::Suspected(format!("panic: {}", panic_text(payload)).into())
    }
}

/// The text of a panic.
#[must_use]
pub fn panic_text(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no text")
}

/// A record that fails by itself, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Suspect<R> {
    /// The record.
    pub record: R,
    /// The error or panic.
    pub cause: String,
}

/// Processes records, all or none of them.
#[async_trait]
pub trait Attempt<R>: Send {
    /// Processes records that follow each other, and sets suspects aside, which come before them, in the same
    /// step. A panic must be returned as [`Failed::panicked`].
    async fn process(
        &mut self,
        records: &[R],
        suspects: &Arc<Vec<Suspect<R>>>,
    ) -> Result<(), Failed>;
}

/// Processes records in order, and sets those aside that fail by themselves. Returns how many these are. If no
/// record succeeds, one of the `witnesses` must: other records, which may be processed without effect.
///
/// # Errors
/// [`Failed::Transient`] ends it at once. [`Failed::Suspected`] if nothing succeeded. What was processed before
/// remains so.
pub async fn bisect<R: Clone + Send + Sync>(
    records: &[R],
    witnesses: &[R],
    attempt: &mut dyn Attempt<R>,
) -> Result<u64, Failed> {
    let mut suspects: Arc<Vec<Suspect<R>>> = Arc::default();
    let (mut set_aside, mut any_succeeded) = (0, false);
    let mut first_cause = None;
    // The next part is on top.
    let mut parts = vec![records];
    while let Some(part) = parts.pop() {
        let mut outcome = attempt.process(part, &suspects).await;
        if part.len() == 1 {
            for _ in 1..SINGLE_ATTEMPTS {
                if let Err(Failed::Suspected(_)) = outcome {
                    outcome = attempt.process(part, &suspects).await;
                }
            }
        }
        match (outcome, part) {
            (Ok(()), _) => {
                any_succeeded |= !part.is_empty();
                set_aside += std::mem::take(&mut suspects).len() as u64;
            }
            (Err(Failed::Suspected(cause)), [record]) => {
                Arc::make_mut(&mut suspects).push(Suspect {
                    record: record.clone(),
                    cause: text(cause.as_ref()),
                });
                first_cause.get_or_insert(cause);
            }
            (Err(Failed::Suspected(_)), _) => {
                let (first, second) = part.split_at(part.len() / 2);
                parts.push(second);
                parts.push(first);
            }
            (Err(failed), _) => return Err(failed),
        }
    }
    if !suspects.is_empty() {
        for witness in witnesses {
            any_succeeded = any_succeeded || succeeds(witness, attempt).await?;
        }
    }
    if any_succeeded && !suspects.is_empty() {
        attempt.process(&[], &suspects).await?;
        set_aside += std::mem::take(&mut suspects).len() as u64;
    }
    match first_cause {
        Some(cause) if !suspects.is_empty() => Err(Failed::Suspected(cause)),
        _ => Ok(set_aside),
    }
}

async fn succeeds<R: Clone + Send + Sync>(
    record: &R,
    attempt: &mut dyn Attempt<R>,
) -> Result<bool, Failed> {
    match attempt
        .process(std::slice::from_ref(record), &Arc::default())
        .await
    {
        Ok(()) => Ok(true),
        Err(Failed::Suspected(_)) => Ok(false),
        Err(failed) => Err(failed),
    }
}

/// An error with its causes.
fn text(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    let texts: Vec<String> = causes.map(ToString::to_string).collect();
    texts.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails for some records, and from some call on for all.
    #[derive(Default)]
    struct Consumer {
        poison: Vec<u32>,
        fails_once: Vec<u32>,
        full_after: Option<usize>,
        processed: Vec<u32>,
        set_aside: Vec<u32>,
    }

    #[async_trait]
    impl Attempt<u32> for Consumer {
        async fn process(
            &mut self,
            records: &[u32],
            suspects: &Arc<Vec<Suspect<u32>>>,
        ) -> Result<(), Failed> {
            if self
                .full_after
                .is_some_and(|most| self.processed.len() >= most)
            {
                return Err(Failed::Transient("the disk is full".into()));
            }
            if let Some(bad) = records.iter().find(|it| self.poison.contains(it)) {
                return Err(Failed::Suspected(format!("{bad} is bad").into()));
            }
            if let [single] = records
                && let Some(at) = self.fails_once.iter().position(|it| it == single)
            {
                self.fails_once.remove(at);
                return Err(Failed::Suspected("once".into()));
            }
            if records.len() > 1 && records.iter().any(|it| self.fails_once.contains(it)) {
                return Err(Failed::Suspected("once".into()));
            }
            self.set_aside.extend(suspects.iter().map(|it| it.record));
            self.processed.extend(records);
            Ok(())
        }
    }

    async fn run(consumer: &mut Consumer, count: u32) -> Result<u64, Failed> {
        let records: Vec<u32> = (0..count).collect();
        bisect(&records, &[], consumer).await
    }

    #[tokio::test]
    async fn poison_is_set_aside_wherever_it_is_and_the_others_stay_in_order() {
        for poison in [vec![], vec![0], vec![99], vec![41], vec![0, 1, 50, 98, 99]] {
            let mut consumer = Consumer {
                poison: poison.clone(),
                ..Consumer::default()
            };
            let set_aside = run(&mut consumer, 100).await.unwrap();
            assert_eq!(set_aside, poison.len() as u64);
            assert_eq!(consumer.set_aside, poison);
            let others: Vec<u32> = (0..100).filter(|it| !poison.contains(it)).collect();
            assert_eq!(consumer.processed, others);
        }
    }

    #[tokio::test]
    async fn nothing_is_set_aside_if_everything_fails() {
        for count in [1, 8] {
            let mut consumer = Consumer {
                poison: (0..count).collect(),
                ..Consumer::default()
            };
            let failed = run(&mut consumer, count).await.unwrap_err();
            assert!(matches!(failed, Failed::Suspected(_)), "{failed:?}");
            assert_eq!(failed.into_cause().to_string(), "0 is bad");
            assert_eq!((consumer.set_aside, consumer.processed), (vec![], vec![]));
        }
    }

    #[tokio::test]
    async fn a_witness_shows_that_all_records_are_poison() {
        let mut consumer = Consumer {
            poison: vec![0, 1, 7],
            ..Consumer::default()
        };
        let failed = bisect(&[0, 1], &[7], &mut consumer).await.unwrap_err();
        assert!(matches!(failed, Failed::Suspected(_)), "{failed:?}");
        assert_eq!(bisect(&[0, 1], &[7, 8], &mut consumer).await.unwrap(), 2);
        assert_eq!(consumer.set_aside, [0, 1]);
    }

    #[tokio::test]
    async fn a_full_disk_is_not_taken_for_poison() {
        let mut consumer = Consumer {
            poison: vec![1],
            full_after: Some(1),
            ..Consumer::default()
        };
        let failed = run(&mut consumer, 8).await.unwrap_err();
        assert!(matches!(failed, Failed::Transient(_)), "{failed:?}");
        assert_eq!((consumer.set_aside, consumer.processed), (vec![], vec![0]));
    }

    #[tokio::test]
    async fn a_record_that_fails_once_is_processed() {
        let mut consumer = Consumer {
            fails_once: vec![3],
            ..Consumer::default()
        };
        assert_eq!(run(&mut consumer, 8).await.unwrap(), 0);
        assert_eq!(consumer.processed, (0..8).collect::<Vec<_>>());
    }
}
