//! What every adapter of a port must do, whatever is behind it.

use app::ports::{PutOutcome, TickQueue, TickStore, TickStream};
use domain::Tick;

use crate::ticks::{tick, ticks};

/// A store keeps each tick once, says which it had, and answers for every position.
///
/// # Panics
/// Where the adapter breaks the contract.
#[expect(clippy::unwrap_used, reason = "a contract suite fails by panicking")]
pub async fn tick_store(store: &dyn TickStore, tells_duplicates: bool) {
    let made = ticks(&["contract-a", "contract-b"], 30);
    let all: Vec<&Tick> = made.iter().collect();
    let receipt = store.put(&all).await.unwrap();
    assert_eq!(
        receipt.outcomes,
        vec![PutOutcome::Stored; 60],
        "new ticks are stored"
    );

    let again = store.put(&all).await.unwrap();
    assert_eq!(
        again.outcomes.len(),
        60,
        "a replay is answered for every position"
    );
    let expected = if tells_duplicates {
        PutOutcome::Duplicate
    } else {
        PutOutcome::Stored
    };
    assert!(
        again.outcomes.iter().all(|outcome| *outcome == expected),
        "{:?}",
        again.outcomes
    );

    let twice = tick("contract-c", 1);
    let receipt = store.put(&[&twice, &twice]).await.unwrap();
    assert_eq!(receipt.outcomes.first(), Some(&PutOutcome::Stored));
    if tells_duplicates {
        assert_eq!(
            receipt.outcomes.get(1),
            Some(&PutOutcome::Duplicate),
            "twice in one batch"
        );
    }

    let empty = store.put(&[]).await.unwrap();
    assert!(empty.outcomes.is_empty(), "an empty batch is no error");
}

/// A stream takes batches of any size and refuses none.
///
/// # Panics
/// Where the adapter breaks the contract.
#[expect(clippy::unwrap_used, reason = "a contract suite fails by panicking")]
pub async fn tick_stream(stream: &dyn TickStream) {
    for count in [0, 1, 600] {
        let made = ticks(&["contract-a"], count);
        let all: Vec<&Tick> = made.iter().collect();
        assert_eq!(stream.append(&all).await.unwrap(), vec![], "{count} ticks");
    }
}

/// A queue takes batches of any size and refuses none.
///
/// # Panics
/// Where the adapter breaks the contract.
#[expect(clippy::unwrap_used, reason = "a contract suite fails by panicking")]
pub async fn tick_queue(queue: &dyn TickQueue) {
    for count in [0, 1, 25] {
        let made = ticks(&["contract-a"], count);
        let all: Vec<&Tick> = made.iter().collect();
        assert_eq!(queue.send(&all).await.unwrap(), vec![], "{count} ticks");
    }
}
