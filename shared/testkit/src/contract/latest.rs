//! The contract of the latest ticks.

use app::ports::{LatestTicks, TickStore};
use domain::{MS_PER_DAY, Tick, Token};

use crate::ticks::{in_cohort, tick};

/// The latest tick of each quote of a token is found, unless it is older than yesterday. `now_ms`
/// is the time of the store's clock.
///
/// # Panics
/// If the adapter breaks the contract.
#[expect(clippy::unwrap_used, reason = "a contract suite fails by panicking")]
pub async fn latest_ticks<S: TickStore + LatestTicks>(store: &S, now_ms: i64) {
    let at = |token: &str, quote: &str, n: u32, timestamp_ms: i64| Tick {
        quote: Token::new(quote).unwrap(),
        timestamp_ms,
        ingested_at_ms: timestamp_ms + 20,
        ..tick(token, n)
    };
    let yesterday_ms = now_ms - MS_PER_DAY;
    let stored = [
        at("latest-a", "USD", 1, now_ms - 5_000),
        at("latest-a", "USD", 2, now_ms - 1_000),
        at("latest-a", "USD", 3, now_ms - 3_000),
        at("latest-a", "EUR", 4, now_ms - 9_000),
        at("latest-a", "SOL", 5, yesterday_ms),
        at("latest-b", "USD", 6, now_ms - 3 * MS_PER_DAY),
        at("latest-c", "USD", 7, now_ms + 60_000),
    ];
    let all: Vec<&Tick> = stored.iter().collect();
    store.put(&in_cohort(all)).await.unwrap();

    let latest = async |token: &str| {
        let mut found = store.latest(&Token::new(token).unwrap()).await.unwrap();
        found.sort_by(|a, b| a.quote.cmp(&b.quote));
        found
    };
    let [_, newest, _, euro, sol, _, ahead] = stored;
    assert_eq!(
        latest("latest-a").await,
        [euro, sol, newest],
        "one per quote"
    );
    assert_eq!(latest("latest-b").await, [], "older than yesterday");
    assert_eq!(
        latest("latest-c").await,
        [ahead],
        "from a clock ahead of ours"
    );
    assert_eq!(latest("latest-d").await, [], "an unknown token");
}
