//! Helius webhooks, enhanced and raw: one entry per transaction, one tick per swap.
//!
//! The price comes from what the pools gained and gave up, in both kinds of webhooks; `events.swap`
//! is only compared with it. A transaction is identified by its signature.

mod counterparties;
mod decimals;
mod enhanced;
mod flows;
mod limits;
mod market_trade;
mod members;
mod movements;
mod no_price;
mod programs;
mod quote_side;
mod raw;
mod raw_transfers;
mod several_trades;
mod swap_event;
mod swap_tick;
mod transfers;
mod unnamed_trader;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::delivery::{self, Answer, Outcome};
use crate::refused::Refused;
use crate::value::Value;
use crate::{Entry, ParseContext, Source, Unreadable};

/// Helius webhooks.
#[derive(Debug)]
pub(crate) struct Helius;

impl Source for Helius {
    fn name(&self) -> &'static str {
        "helius"
    }

    fn read(&self, body: &[u8], context: &ParseContext<'_>) -> Result<Vec<Entry>, Unreadable> {
        let transactions = delivery::one_or_many(delivery::text(body)?)?;
        Answer::of_each(transactions, |raw| {
            transaction(Value::new("entry", raw), context.now_ms)
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
