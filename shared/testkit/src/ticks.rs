//! Generated ticks.

use app::ports::CohortTick;
use app::read_back::ArchivedTick;
use domain::{Method, Pair, Price, SourceName, Tick, TickId, Token, Volume};
use rust_decimal::Decimal;

/// The event time of the first generated tick: 2026-01-01T00:00:00Z.
pub const START_MS: i64 = 1_767_225_600_000;

/// Tick number `n` of a token: a second after the previous one, at a distinct price.
///
/// # Panics
/// If `token` is not a valid name.
#[must_use]
#[expect(
    clippy::unwrap_used,
    reason = "a test without a valid token should fail"
)]
pub fn tick(token: &str, n: u32) -> Tick {
    Tick {
        tick_id: TickId::derive("testkit", &[token, &n.to_string()]),
        token: Token::new(token).unwrap(),
        quote: Token::new("USD").unwrap(),
        price: Price::new(Decimal::new(i64::from(n) + 1_000, 2)).unwrap(),
        volume: Some(Volume::new(Decimal::new(i64::from(n % 7) + 1, 1)).unwrap()),
        timestamp_ms: START_MS + i64::from(n) * 1_000,
        ingested_at_ms: START_MS + i64::from(n) * 1_000 + 20,
        source: SourceName::new("testkit:made").unwrap(),
        slot: None,
        method: Method::Reported,
        sequence: None,
        quality: None,
    }
}

/// A tick as the archive has it.
#[must_use]
pub fn archived(tick: &Tick) -> ArchivedTick {
    ArchivedTick {
        tick_id: tick.tick_id,
        pair: Pair::of(tick),
        price: tick.price.to_f64(),
        volume: tick.volume.map(Volume::to_f64),
        timestamp_ms: tick.timestamp_ms,
        ingested_at_ms: Some(tick.ingested_at_ms),
        source: tick.source.clone(),
        slot: tick.slot,
        method: tick.method,
        sequence: tick.sequence,
        quality: tick.quality,
    }
}

/// Ticks of several tokens in turn.
#[must_use]
pub fn ticks(tokens: &[&str], count: u32) -> Vec<Tick> {
    (0..count)
        .flat_map(|n| tokens.iter().map(move |token| tick(token, n)))
        .collect()
}

/// Ticks that belong to the stream, for a store. Those whose time is that of their receipt are
/// arrival-stamped.
#[must_use]
pub fn in_cohort<'a>(ticks: impl IntoIterator<Item = &'a Tick>) -> Vec<CohortTick> {
    let decided = |tick: &Tick| CohortTick {
        tick: tick.clone(),
        in_cohort: true,
        arrival_stamped: tick.timestamp_ms == tick.ingested_at_ms,
    };
    ticks.into_iter().map(decided).collect()
}
