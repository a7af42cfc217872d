//! Contract suites: what every adapter of a port must do.

mod analytics;
mod latest;
mod objects;
mod shard_analysis;
mod subscribers;

use app::ports::{PutOutcome, TickQueue, TickStore, TickStream};
use domain::{Tick, Token};

pub use analytics::{ANALYTICS_TOKENS, analytics_store};
pub use latest::latest_ticks;
pub use objects::objects;
pub use shard_analysis::{blocks, checkpoints};
pub use subscribers::subscribers;

use crate::ticks::{in_cohort, tick, ticks};

/// A store keeps each tick once, reports duplicates, and returns an outcome for every position.
///
/// # Panics
/// If the adapter breaks the contract.
#[expect(clippy::unwrap_used, reason = "a contract suite fails by panicking")]
pub async fn tick_store(store: &dyn TickStore) {
    let made = ticks(&["contract-a", "contract-b"], 30);
    let all: Vec<&Tick> = made.iter().collect();
    let receipt = store.put(&in_cohort(all.clone())).await.unwrap();
    assert_eq!(
        receipt.outcomes,
        vec![PutOutcome::Stored; 60],
        "new ticks are stored"
    );

    let again = store.put(&in_cohort(all.clone())).await.unwrap();
    assert_eq!(
        again.outcomes,
        vec![PutOutcome::Duplicate; 60],
        "a replay has an outcome for every position"
    );

    let twice = tick("contract-c", 1);
    let receipt = store.put(&in_cohort([&twice, &twice])).await.unwrap();
    assert_eq!(
        receipt.outcomes,
        [PutOutcome::Stored, PutOutcome::Duplicate],
        "twice in one batch"
    );
    assert_eq!(receipt.offer_again, [], "the first is offered");

    let euro = Tick {
        quote: Token::new("EUR").unwrap(),
        ..twice.clone()
    };
    let later = Tick {
        timestamp_ms: twice.timestamp_ms + 1,
        ..twice
    };
    let receipt = store.put(&in_cohort([&euro, &later])).await.unwrap();
    assert_eq!(
        receipt.outcomes,
        [PutOutcome::Stored; 2],
        "pair and time belong to the identity"
    );

    let empty = store.put(&[]).await.unwrap();
    assert!(empty.outcomes.is_empty(), "an empty batch is not an error");

    arrival_stamped(store).await;
}

/// An event without its own time gets the time of arrival. Delivered again, it has another time but
/// is still recognized as a duplicate.
#[expect(clippy::unwrap_used, reason = "a contract suite fails by panicking")]
async fn arrival_stamped(store: &dyn TickStore) {
    let stamped = |n, at_ms| Tick {
        timestamp_ms: at_ms,
        ingested_at_ms: at_ms,
        ..tick("contract-d", n)
    };
    let first_ms = tick("contract-d", 0).timestamp_ms;
    let first = store
        .put(&in_cohort([&stamped(1, first_ms), &stamped(2, first_ms)]))
        .await
        .unwrap();
    assert_eq!(first.outcomes, [PutOutcome::Stored; 2]);
    assert_eq!(first.retimed, [], "the first delivery keeps its time");

    let later_ms = first_ms + 3_000;
    let own_time = tick("contract-d", 3);
    let again = store
        .put(&in_cohort([
            &own_time,
            &stamped(1, later_ms),
            &stamped(4, later_ms),
        ]))
        .await
        .unwrap();
    let [own, replayed, new] = &again.outcomes[..] else {
        panic!("an outcome for each: {again:?}")
    };
    assert_eq!([own, new], [&PutOutcome::Stored; 2]);
    assert_eq!(*replayed, PutOutcome::Duplicate);
    assert_eq!(again.retimed, []);
}

/// A stream takes batches of any size and refuses none.
///
/// # Panics
/// If the adapter breaks the contract.
#[expect(clippy::unwrap_used, reason = "a contract suite fails by panicking")]
pub async fn tick_stream(stream: &dyn TickStream) {
    for count in [0, 1, 600] {
        let made = ticks(&["contract-a"], count);
        let all: Vec<&Tick> = made.iter().collect();
        assert_eq!(
            stream.append(&all, None).await.unwrap(),
            vec![],
            "{count} ticks"
        );
    }
}

/// A queue takes batches of any size and refuses none.
///
/// # Panics
/// If the adapter breaks the contract.
#[expect(clippy::unwrap_used, reason = "a contract suite fails by panicking")]
pub async fn tick_queue(queue: &dyn TickQueue) {
    for count in [0, 1, 25] {
        let made = ticks(&["contract-a"], count);
        let all: Vec<&Tick> = made.iter().collect();
        assert_eq!(queue.send(&all).await.unwrap(), vec![], "{count} ticks");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::MemoryAnalytics;
    use crate::live::Connections;

    #[tokio::test]
    async fn the_in_memory_ports_satisfy_their_contracts() {
        analytics_store(&MemoryAnalytics::default(), true).await;
        subscribers(&Connections::default()).await;
    }
}
