//! The tick of a swap.

use domain::{Method, Reason, Tick, TickId};

use crate::delivery::Outcome;
use crate::helius::quote_side::{Sides, priced};
use crate::name;
use crate::refused::Refused;
use crate::value::Value;

/// The longest signature in bytes; a real one has at most 88.
const SIGNATURE_BYTES_MAX: usize = 128;

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
        quality: None,
    }))
}
