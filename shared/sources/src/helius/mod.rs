//! Helius webhooks, enhanced and raw: one entry per transaction, one tick per swap.
//!
//! The two sides come from `events.swap` if it is present, otherwise from the net balances of the
//! trader and its counterparties. A transaction is identified by its signature, in both kinds of
//! webhooks.

mod decimals;
mod enhanced;
mod flows;
mod net_balances;
mod quote_side;
mod raw;
mod swap_event;

use domain::{Method, Reason, Tick, TickId};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::delivery::{self, Answer, Outcome};
use crate::helius::quote_side::{Sides, priced};
use crate::refused::Refused;
use crate::value::Value;
use crate::{Entry, Source, Unreadable, name};

/// The longest signature in bytes; a real one has at most 88.
const SIGNATURE_BYTES_MAX: usize = 128;

/// Helius webhooks.
#[derive(Debug)]
pub(crate) struct Helius;

impl Source for Helius {
    fn name(&self) -> &'static str {
        "helius"
    }

    fn parse(&self, body: &[u8], now_ms: i64) -> Result<Vec<Entry>, Unreadable> {
        let transactions = delivery::one_or_many(delivery::text(body)?)?;
        Answer::of_each(transactions, |raw| {
            transaction(Value::new("entry", raw), now_ms)
        })
    }
}

/// The members that only a raw webhook's transaction has.
#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(borrow)]
    meta: Option<&'a RawValue>,
    #[serde(borrow)]
    transaction: Option<&'a RawValue>,
}

fn transaction(entry: Value<'_>, now_ms: i64) -> Result<Outcome, Refused> {
    let kind: Kind = entry.object()?;
    if kind.meta.is_some() || kind.transaction.is_some() {
        raw::read(entry, now_ms)
    } else {
        enhanced::read(entry, now_ms)
    }
}

/// Where and when a trade happened.
struct Event<'a> {
    signature: Value<'a>,
    timestamp_s: Value<'a>,
    slot: Option<Value<'a>>,
    venue: &'a str,
}

/// The tick of a trade.
fn tick(
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
