//! The tick of a swap.

use domain::aliases::SOL_MINT;
use domain::{Method, Quality, Reason, Tick, TickId};
use rust_decimal::Decimal;

use crate::delivery::Outcome;
use crate::helius::decimals::LAMPORT_DECIMALS;
use crate::helius::movements::Decimals;
use crate::helius::quote_side::{Side, Sides, priced};
use crate::name;
use crate::refused::Refused;
use crate::value::Value;

/// The longest signature in bytes; a real one has at most 88.
const SIGNATURE_BYTES_MAX: usize = 128;

/// The fewest base units of each side at which a price is precise: one unit more or less is a basis
/// point.
const BASE_UNITS_MIN: i128 = 10_000;

/// Where and when a trade happened.
pub(super) struct Event<'a> {
    pub(super) signature: Value<'a>,
    pub(super) timestamp_s: Value<'a>,
    pub(super) slot: Option<Value<'a>>,
    pub(super) venue: &'a str,
}

/// The tick of a trade.
pub(super) fn tick(
    event: &Event<'_>,
    sides: &Sides<'_>,
    method: Method,
    decimals: &Decimals<'_>,
    now_ms: i64,
) -> Result<Outcome, Refused> {
    let priced = priced(sides)?;
    let signature = event.signature.text()?;
    if signature.is_empty() || signature.len() > SIGNATURE_BYTES_MAX {
        let rule = format_args!("a signature must have 1 to {SIGNATURE_BYTES_MAX} bytes");
        return Err(event.signature.refused(Reason::InvalidId, rule));
    }
    Ok(Outcome::Tick(Tick {
        tick_id: TickId::derive("helius", &[&signature]),
        token: priced.token,
        quote: priced.quote,
        price: priced.price,
        volume: Some(priced.volume),
        timestamp_ms: event.timestamp_s.time_s(now_ms)?,
        ingested_at_ms: now_ms,
        source: name::source(&format!("helius:{}", event.venue.to_ascii_lowercase()))?,
        slot: event.slot.map(Value::slot).transpose()?,
        method,
        sequence: None,
        quality: quality(sides, decimals),
    }))
}

/// [`Quality::LowPrecision`] if either amount is so small that a pool's rounding to whole base units
/// may change the price by more than a basis point.
fn quality(sides: &Sides<'_>, decimals: &Decimals<'_>) -> Option<Quality> {
    let is_dust = |side: &Side<'_>| {
        let places = match decimals.get(&side.mint) {
            Some(places) => *places,
            None if side.mint == SOL_MINT => LAMPORT_DECIMALS,
            None => return false,
        };
        // The least amount has no more digits after the point than the mint.
        let least = Decimal::try_from_i128_with_scale(BASE_UNITS_MIN, places);
        least.is_ok_and(|least| side.amount < least)
    };
    let is_low = is_dust(&sides.paid) || is_dust(&sides.received);
    is_low.then_some(Quality::LowPrecision)
}
