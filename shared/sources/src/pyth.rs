//! Pyth's Hermes: the array of v1 (`latest_price_feeds`) and the `parsed` array of v2.
//!
//! A price is exactly `price` × 10^`expo`. Feed, publish time and slot identify it. The time only
//! has whole seconds, so without a slot (in v1) the price itself distinguishes two prices of one
//! second.

use domain::{Method, Price, Reason, Tick, TickId, Token};
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::delivery::{self, Answer, Outcome};
use crate::refused::Refused;
use crate::value::{Value, optional, required};
use crate::{Entry, Source, Unreadable, name};

/// Feeds with their names; each is a price in USD. The token of any other feed is its id.
const FEEDS: &[(&str, &str)] = &[
    (
        "e62df6c8b4a85fe1a67db44dc12de5db330f7ac66b72dc658afedf0f4a415b43",
        "BTC",
    ),
    (
        "ff61491a931112ddf1bd8147cd1b641375f79f5825126d665480874634fd0ace",
        "ETH",
    ),
    (
        "ef0d8b6fda2ceba41da15d4095d1da392a0d2f8ed0c6c7bc0f4cfac8c280b56d",
        "SOL",
    ),
    (
        "eaa020c61cc479712813461ce153894a96a6c00b21ed0cfc2798d1f9a9e9c94a",
        "USDC",
    ),
    (
        "2b89b9dc8fdf9f34709a5b106b472f0f39bb6ca9ce04b0fd7f2e971688e2e53b",
        "USDT",
    ),
    (
        "2f95862b045670cd22bee3114c39763a4a08beeb663b145d283c31d7d1101c4f",
        "BNB",
    ),
    (
        "dcef50dd0a4cd2dcc17e45df1676dcb336a11a61c69df7a0299b0150c672d25c",
        "DOGE",
    ),
    (
        "c415de8d2eba7db216527dff4b60e8f3a5311c740dadb233e13e12547e226750",
        "NEAR",
    ),
];
const QUOTE: &str = "USD";

/// Hexadecimal digits of a feed id.
const FEED_DIGITS: usize = 64;

/// The most digits after the point of a decimal.
const SCALE_MAX: u32 = 28;

/// Pyth's Hermes.
#[derive(Debug)]
pub(crate) struct Pyth;

impl Source for Pyth {
    fn name(&self) -> &'static str {
        "pyth"
    }

    fn parse(&self, body: &[u8], now_ms: i64) -> Result<Vec<Entry>, Unreadable> {
        Answer::of_each(feeds(delivery::text(body)?)?, |raw| feed(raw, now_ms))
    }
}

/// The envelope of v2.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    parsed: Option<&'a RawValue>,
    #[serde(borrow)]
    binary: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Feed<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    price: Option<&'a RawValue>,
    #[serde(borrow)]
    metadata: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Quotation<'a> {
    #[serde(borrow)]
    price: Option<&'a RawValue>,
    #[serde(borrow)]
    expo: Option<&'a RawValue>,
    #[serde(borrow)]
    publish_time: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Metadata<'a> {
    #[serde(borrow)]
    slot: Option<&'a RawValue>,
}

fn feeds(text: &str) -> Result<Vec<&RawValue>, Unreadable> {
    let whole = delivery::one_or_many(text)?;
    let [single] = whole.as_slice() else {
        return Ok(whole);
    };
    if text.trim_start().starts_with('[') {
        return Ok(whole);
    }
    let envelope: Envelope = Value::new("delivery", single)
        .object()
        .map_err(delivery::unreadable)?;
    match optional("parsed", envelope.parsed) {
        Some(parsed) if parsed.raw().starts_with('[') => delivery::many(parsed.raw()),
        Some(parsed) => Err(delivery::unreadable(
            parsed.wrong_type("an array of price feeds"),
        )),
        None if envelope.binary.is_some() => Err(delivery::unreadable(
            "`parsed` is missing: request parsed=true from Hermes",
        )),
        None => Ok(whole),
    }
}

fn feed(raw: &RawValue, now_ms: i64) -> Result<Outcome, Refused> {
    let feed: Feed = Value::new("entry", raw).object()?;
    let id = feed_id(required("id", feed.id)?)?;
    let quotation: Quotation = required("price", feed.price)?.object()?;
    let metadata: Option<Metadata> = optional("metadata", feed.metadata)
        .map(Value::object)
        .transpose()?;
    let slot = metadata.and_then(|metadata| optional("slot", metadata.slot));
    let slot = slot.map(Value::slot).transpose()?;
    let price = price(&quotation)?;
    let timestamp_ms = required("publish_time", quotation.publish_time)?.time_s(now_ms)?;
    let of_the_second = slot.map_or_else(|| price.to_string(), |slot| format!("slot {slot}"));
    Ok(Outcome::Tick(Tick {
        tick_id: TickId::derive("pyth", &[&id, &timestamp_ms.to_string(), &of_the_second]),
        token: token(&id)?,
        quote: name::token(QUOTE)?,
        price,
        volume: None,
        timestamp_ms,
        ingested_at_ms: now_ms,
        source: name::source("pyth:hermes")?,
        slot,
        method: Method::Oracle,
        sequence: None,
        quality: None,
    }))
}

/// The id in lower case, without the `0x` prefix that some senders use.
fn feed_id(value: Value<'_>) -> Result<String, Refused> {
    let id = value.text()?.to_ascii_lowercase();
    let digits = id.strip_prefix("0x").unwrap_or(&id);
    if digits.len() != FEED_DIGITS || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        let rule = format_args!("a feed id has {FEED_DIGITS} hexadecimal digits");
        return Err(value.refused(Reason::InvalidToken, rule));
    }
    Ok(digits.to_owned())
}

fn token(id: &str) -> Result<Token, Refused> {
    name::token(
        FEEDS
            .iter()
            .find(|(feed, _)| *feed == id)
            .map_or(id, |(_, symbol)| symbol),
    )
}

fn price(quotation: &Quotation<'_>) -> Result<Price, Refused> {
    let value = required("price", quotation.price)?;
    let digits = value.signed()?;
    let expo = required("expo", quotation.expo)?;
    let exponent = expo.signed()?;
    let scaled = scale(digits, exponent).ok_or_else(|| {
        let rule = format_args!("{digits} x 10^{exponent} does not fit in a decimal of 28 digits");
        expo.refused(Reason::InvalidPrice, rule)
    })?;
    Price::new(scaled).map_err(|error| value.refused(Reason::InvalidPrice, error))
}

/// `digits` × 10^`exponent`, if a decimal can hold it.
fn scale(digits: i64, exponent: i64) -> Option<Decimal> {
    let places = u32::try_from(exponent.unsigned_abs())
        .ok()
        .filter(|places| *places <= SCALE_MAX)?;
    if exponent <= 0 {
        return Decimal::try_from_i128_with_scale(i128::from(digits), places).ok();
    }
    let factor = 10_i128.checked_pow(places)?;
    Decimal::try_from_i128_with_scale(i128::from(digits).checked_mul(factor)?, 0).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(digits: i64, exponent: i64, expected: Option<&str>) {
        let seen = scale(digits, exponent).map(|price| price.to_string());
        assert_eq!(seen.as_deref(), expected, "{digits} x 10^{exponent}");
    }

    #[test]
    fn prices_are_scaled_exactly() {
        check(184_136_023_127, -8, Some("1841.36023127"));
        check(5, 0, Some("5"));
        check(5, 3, Some("5000"));
        check(i64::MAX, -28, Some("0.0000000009223372036854775807"));
        check(1, -29, None);
        check(i64::MAX, 28, None);
        check(1, i64::MIN, None);
        check(1, i64::MAX, None);
    }
}
