//! Our own JSON: one tick, an array of ticks, or `{"ticks": […]}`.
//!
//! Required: `token`, `price`, `timestamp` (epoch milliseconds or RFC 3339). Optional: `quote`
//! (`USD`), `volume`, `source` (`ticks:api`), `slot`, `method` (`reported`), `sequence`, `quality`,
//! and the event's identity, either `id` (any text up to 128 bytes) or `tick_id` (kept unchanged, so
//! an exported tick that is sent again stays the same tick). Other fields are ignored, unless their name is a
//! near miss of an absent optional field: `qoute` would store a price in the wrong currency.

mod fields;

use domain::{Method, Price, Quality, Reason, SourceName, Tick, TickId, Token, Volume};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::delivery::{self, Answer, Outcome};
use crate::refused::Refused;
use crate::value::{Value, optional, required};
use crate::{Entry, ParseContext, Source, Unreadable, name};

use fields::Fields;

/// The longest `id` in bytes.
const ID_BYTES_MAX: usize = 128;
const QUOTE_DEFAULT: &str = "USD";
const SOURCE_DEFAULT: &str = "ticks:api";

/// Our own JSON.
#[derive(Debug)]
pub(crate) struct Ticks;

impl Source for Ticks {
    fn name(&self) -> &'static str {
        "ticks"
    }

    fn read(&self, body: &[u8], context: &ParseContext<'_>) -> Result<Vec<Entry>, Unreadable> {
        let text = delivery::text(body)?;
        Answer::of_each(entries(text)?, |raw| tick(raw, context))
    }
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    ticks: Option<&'a RawValue>,
}

fn entries(text: &str) -> Result<Vec<&RawValue>, Unreadable> {
    let whole = delivery::one_or_many(text)?;
    let [single] = whole.as_slice() else {
        return Ok(whole);
    };
    if text.trim_start().starts_with('[') {
        return Ok(whole);
    }
    let wrong = |error: &Refused| delivery::unreadable(error);
    let envelope: Envelope = Value::new("delivery", single)
        .object()
        .map_err(|e| wrong(&e))?;
    match optional("ticks", envelope.ticks) {
        Some(ticks) if ticks.raw().starts_with('[') => delivery::many(ticks.raw()),
        Some(ticks) => Err(wrong(&ticks.wrong_type("an array of ticks"))),
        None => Ok(whole),
    }
}

fn tick(raw: &RawValue, context: &ParseContext<'_>) -> Result<Outcome, Refused> {
    let now_ms = context.now_ms;
    let fields: Fields = Value::new("entry", raw).object()?;
    fields.check_near_misses()?;
    let token = required("token", fields.token)?.token()?;
    let quote = match optional("quote", fields.quote) {
        Some(quote) => quote.token()?,
        None => name::token(QUOTE_DEFAULT)?,
    };
    let price = required("price", fields.price)?.price()?;
    let volume = optional("volume", fields.volume)
        .map(Value::volume)
        .transpose()?;
    let timestamp_ms = required("timestamp", fields.timestamp)?.time(now_ms)?;
    let source = match optional("source", fields.source) {
        Some(source) => SourceName::new(&source.text()?)
            .map_err(|error| source.refused(Reason::InvalidSource, error))?,
        None => name::source(SOURCE_DEFAULT)?,
    };
    let slot = optional("slot", fields.slot).map(Value::slot).transpose()?;
    let method = optional("method", fields.method).map(method).transpose()?;
    let sequence = optional("sequence", fields.sequence);
    let sequence = sequence.map(Value::sequence).transpose()?;
    let quality = optional("quality", fields.quality)
        .map(quality)
        .transpose()?;
    let tick_id = match (
        optional("tick_id", fields.tick_id),
        optional("id", fields.id),
    ) {
        (Some(tick_id), _) => stored_id(tick_id)?,
        (None, Some(id)) => {
            let id = senders_id(id)?;
            if timestamp_ms < context.new_ids_from_ms {
                TickId::derive("ticks", &[&id])
            } else {
                let timestamp_ms = timestamp_ms.to_string();
                let event = [
                    source.as_str(),
                    token.as_str(),
                    quote.as_str(),
                    &timestamp_ms,
                    &id,
                ];
                TickId::derive("ticks", &event)
            }
        }
        (None, None) => derived_id(&source, &token, &quote, timestamp_ms, price, volume),
    };
    Ok(Outcome::Tick(Tick {
        tick_id,
        token,
        quote,
        price,
        volume,
        timestamp_ms,
        ingested_at_ms: now_ms,
        source,
        slot,
        method: method.unwrap_or(Method::Reported),
        sequence,
        quality,
    }))
}

fn method(value: Value<'_>) -> Result<Method, Refused> {
    value
        .text()?
        .parse()
        .map_err(|error| value.refused(Reason::WrongType, error))
}

fn quality(value: Value<'_>) -> Result<Quality, Refused> {
    value
        .text()?
        .parse()
        .map_err(|error| value.refused(Reason::WrongType, error))
}

fn stored_id(value: Value<'_>) -> Result<TickId, Refused> {
    TickId::parse(&value.text()?).map_err(|error| value.refused(Reason::InvalidId, error))
}

fn senders_id(value: Value<'_>) -> Result<String, Refused> {
    let id = value.text()?.into_owned();
    if id.is_empty() || id.len() > ID_BYTES_MAX {
        let rule = format_args!(
            "an id must have 1 to {ID_BYTES_MAX} bytes, not {}",
            id.len()
        );
        return Err(value.refused(Reason::InvalidId, rule));
    }
    Ok(id)
}

/// Without an id from the sender, ticks are the same if all of their fields are the same.
fn derived_id(
    source: &SourceName,
    token: &Token,
    quote: &Token,
    timestamp_ms: i64,
    price: Price,
    volume: Option<Volume>,
) -> TickId {
    let volume = volume.map(|volume| volume.to_string()).unwrap_or_default();
    let parts = [
        source.as_str(),
        token.as_str(),
        quote.as_str(),
        &timestamp_ms.to_string(),
        &price.to_string(),
        &volume,
    ];
    TickId::derive("ticks", &parts)
}
