//! Jupiter's price API v3: one object with a price for each mint.
//!
//! Prices are doubles, so those with more than 28 decimals are rounded. No field has the time of the
//! quote (`createdAt` is the creation time of the token), so prices are arrival-stamped. Mint and
//! `blockId` identify the price, so a repeated delivery gives the same ids. Mints that Jupiter cannot
//! price are missing or null.
//!
//! <https://dev.jup.ag/api-reference/price/v3/price>

use std::collections::BTreeSet;

use domain::{Method, Reason, Tick, TickId};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::delivery::{self, Answer, Outcome};
use crate::refused::Refused;
use crate::value::{Value, required};
use crate::{Entry, ParseContext, Source, Unreadable, name};

const QUOTE: &str = "USD";

/// Jupiter's price API v3.
#[derive(Debug)]
pub(crate) struct Jupiter;

impl Source for Jupiter {
    fn name(&self) -> &'static str {
        "jupiter"
    }

    fn read(&self, body: &[u8], context: &ParseContext<'_>) -> Result<Vec<Entry>, Unreadable> {
        let mut answer = Answer::default();
        let mut seen = BTreeSet::new();
        let whole = delivery::text(body)?;
        for (mint, raw) in delivery::members(whole)? {
            let read = price(&mint, raw, context.now_ms);
            let is_new = seen.insert(mint.clone());
            let read = if is_new { read } else { Err(twice(&mint)) };
            answer.push_part(raw.get(), whole, read)?;
        }
        Ok(answer.into_entries())
    }
}

#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow, rename = "usdPrice")]
    usd_price: Option<&'a RawValue>,
    #[serde(borrow, rename = "blockId")]
    block_id: Option<&'a RawValue>,
}

fn price(mint: &str, raw: &RawValue, now_ms: i64) -> Result<Outcome, Refused> {
    if raw.get() == "null" {
        return Ok(Outcome::Ignored("no price"));
    }
    let token = name::token(mint)?;
    let fields: Fields = Value::new("entry", raw).object()?;
    let slot = required("blockId", fields.block_id)?.slot()?;
    Ok(Outcome::ArrivalStamped(Tick {
        tick_id: TickId::derive("jupiter", &[mint, &slot.to_string()]),
        token,
        quote: name::token(QUOTE)?,
        price: required("usdPrice", fields.usd_price)?.double_price()?,
        volume: None,
        timestamp_ms: now_ms,
        ingested_at_ms: now_ms,
        source: name::source("jupiter:price")?,
        slot: Some(slot),
        method: Method::Quote,
        sequence: None,
        quality: None,
    }))
}

fn twice(mint: &str) -> Refused {
    Refused::new(
        Reason::DuplicateField,
        format_args!("the mint `{mint}` occurs twice: send it once"),
    )
}
