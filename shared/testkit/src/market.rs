//! A small generated market, the same at every run.

use domain::{Method, Price, SourceName, Tick, TickId, Token, Volume};

/// 2026-03-07T00:00:00Z.
pub const DAY_MS: i64 = 1_772_841_600_000;

/// A tick of `token` at `timestamp_ms`; its id follows from both.
///
/// # Panics
/// If `token` is not a valid name or `price` not a valid price.
#[must_use]
#[expect(
    clippy::unwrap_used,
    reason = "a test without a valid tick should fail"
)]
pub fn tick(token: &str, price: &str, timestamp_ms: i64) -> Tick {
    Tick {
        tick_id: TickId::derive("test", &[token, &timestamp_ms.to_string()]),
        token: Token::new(token).unwrap(),
        quote: Token::new("USD").unwrap(),
        price: Price::parse(price).unwrap(),
        volume: None,
        timestamp_ms,
        ingested_at_ms: timestamp_ms + 250,
        source: SourceName::new("test:market").unwrap(),
        slot: None,
        method: Method::Reported,
        sequence: None,
        quality: None,
    }
}

/// `count` ticks, one per minute from the start of 2026-03-07, of three tokens in turn. Every
/// second one has a volume, every third a slot.
///
/// # Panics
/// If `count` is negative.
#[must_use]
#[expect(clippy::unwrap_used, reason = "the text consists of digits")]
pub fn market(count: i64) -> Vec<Tick> {
    let tokens = ["SOL", "BTC", "ETH"].into_iter().cycle();
    let made = |(number, token): (i64, &str)| {
        let price = format!("{}.{:02}", 100 + number % 7, number % 100);
        Tick {
            volume: (number % 2 == 0).then(|| Volume::parse(&format!("{number}.5")).unwrap()),
            slot: (number % 3 == 0).then(|| 400_000_000 + number.cast_unsigned()),
            ..tick(token, &price, DAY_MS + number * 60_000)
        }
    };
    (0..count).zip(tokens).map(made).collect()
}
