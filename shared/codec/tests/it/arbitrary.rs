//! Any tick that the domain allows.

use domain::{Method, Price, SourceName, Tick, TickId, Token, Volume};
use proptest::prelude::*;
use rust_decimal::Decimal;

/// 10^21 as a mantissa: the largest amount.
const AMOUNT_MAX: u128 = 1_000_000_000_000_000_000_000;

fn name() -> impl Strategy<Value = String> {
    const KNOWN: [&str; 4] = [
        "USD",
        "BTC",
        "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v",
        "So11111111111111111111111111111111111111112",
    ];
    prop_oneof![
        proptest::sample::select(&KNOWN[..]).prop_map(str::to_owned),
        proptest::collection::vec(proptest::sample::select(&b"aZ09._:$+-"[..]), 1..=64)
            .prop_map(|bytes| String::from_utf8(bytes).unwrap()),
    ]
}

fn amount(min: u128) -> impl Strategy<Value = Decimal> {
    // Mantissas of every length, and every scale.
    let mantissa = (0_u32..96, any::<u128>())
        .prop_map(move |(bits, value)| (value & ((1 << (bits + 1)) - 1)).max(min));
    (mantissa, 0_u32..=28).prop_filter_map("above the largest amount", |(mantissa, scale)| {
        let value = Decimal::try_from_i128_with_scale(mantissa.try_into().ok()?, scale).ok()?;
        let max = Decimal::try_from_i128_with_scale(AMOUNT_MAX.try_into().ok()?, 0).ok()?;
        (value <= max).then_some(value)
    })
}

/// Any tick at all: names of every length, amounts of every size, times at both ends.
pub(crate) fn tick() -> impl Strategy<Value = Tick> {
    let names = (name(), name(), name());
    let amounts = (amount(1), proptest::option::of(amount(0)));
    let time = || prop_oneof![any::<i64>(), 946_684_800_000_i64..4_102_444_800_000];
    let rest = (
        any::<[u8; 16]>(),
        time(),
        time(),
        proptest::option::of(any::<u64>()),
        proptest::sample::select(&Method::ALL[..]),
    );
    (names, amounts, rest).prop_map(|((token, quote, source), (price, volume), rest)| Tick {
        tick_id: TickId::from_bytes(rest.0),
        token: Token::new(&token).unwrap(),
        quote: Token::new(&quote).unwrap(),
        price: Price::new(price).unwrap(),
        volume: volume.map(|volume| Volume::new(volume).unwrap()),
        timestamp_ms: rest.1,
        ingested_at_ms: rest.2,
        source: SourceName::new(&source).unwrap(),
        slot: rest.3,
        method: rest.4,
        sequence: None,
        quality: None,
    })
}

/// A swap as Helius reports it, with a mint that is not well known.
pub(crate) fn swap() -> Tick {
    Tick {
        tick_id: TickId::derive("helius", &["5xSig", "0"]),
        token: Token::new("DezXAZ8z7PnrnRJjz3wXBoRgixCa6xjnB7YaB1pPB263").unwrap(),
        quote: Token::new("EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v").unwrap(),
        price: Price::parse("0.00001913482756").unwrap(),
        volume: Some(Volume::parse("120394.55103").unwrap()),
        timestamp_ms: 1_790_000_000_000,
        ingested_at_ms: 1_790_000_000_456,
        source: SourceName::new("helius:raydium").unwrap(),
        slot: Some(398_123_456),
        method: Method::SwapEvent,
        sequence: None,
        quality: None,
    }
}

/// A ticker price: no volume and no slot.
pub(crate) fn ticker() -> Tick {
    Tick {
        token: Token::new("BTC").unwrap(),
        quote: Token::new("USD").unwrap(),
        price: Price::parse("39432.48").unwrap(),
        volume: None,
        source: SourceName::new("coinbase:exchange").unwrap(),
        slot: None,
        method: Method::Ticker,
        sequence: None,
        quality: None,
        ..swap()
    }
}
