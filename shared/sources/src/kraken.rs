//! Kraken's WebSocket v2: the channels `trade` and `ticker`; each element of `data` is an entry.
//!
//! A trade is identified by symbol and trade number. A ticker does not name a trade: its symbol and
//! its text identify it. Without a `timestamp`, it is arrival-stamped. Kraken's old codes XBT and
//! XDG are read as BTC and DOGE. Messages of v1 are refused: its trades have no number, so a repeat
//! could not be recognized.
//!
//! <https://docs.kraken.com/api/docs/websocket-v2/trade>,
//! <https://docs.kraken.com/api/docs/websocket-v2/ticker>

use domain::{Method, Reason, Tick, TickId};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::delivery::{self, Answer, Content, Outcome};
use crate::refused::Refused;
use crate::value::{Value, optional, required};
use crate::{Entry, ParseContext, Source, Unreadable, name, product};

/// Kraken's own codes, and the usual ones.
const RENAMED: &[(&str, &str)] = &[("XBT", "BTC"), ("XDG", "DOGE")];

/// Kraken spot.
#[derive(Debug)]
pub(crate) struct Kraken;

impl Source for Kraken {
    fn name(&self) -> &'static str {
        "kraken"
    }

    fn read(&self, body: &[u8], context: &ParseContext<'_>) -> Result<Vec<Entry>, Unreadable> {
        let text = delivery::text(body)?;
        let messages = delivery::one_or_many(text)?;
        let mut answer = Answer::default();
        if text.trim_start().starts_with('[') && is_of_v1(&messages) {
            // One message of v1 is an array, which looks like a delivery of several.
            answer.push(text, Err(v1()))?;
            return Ok(answer.into_entries());
        }
        for raw in messages {
            answer.push_content(raw, message(raw), |raw, method| {
                price(raw, method, context.now_ms)
            })?;
        }
        Ok(answer.into_entries())
    }
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    channel: Option<&'a RawValue>,
    /// In the response to a request.
    #[serde(borrow)]
    method: Option<&'a RawValue>,
    /// In the response to a request that failed.
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    /// The kind of a v1 message that is an object.
    #[serde(borrow)]
    event: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow)]
    symbol: Option<&'a RawValue>,
    #[serde(borrow)]
    trade_id: Option<&'a RawValue>,
    #[serde(borrow)]
    price: Option<&'a RawValue>,
    #[serde(borrow)]
    qty: Option<&'a RawValue>,
    /// The last price, in a ticker.
    #[serde(borrow)]
    last: Option<&'a RawValue>,
    #[serde(borrow)]
    timestamp: Option<&'a RawValue>,
}

fn message(raw: &RawValue) -> Result<Content<'_>, Refused> {
    let entry = Value::new("entry", raw);
    if entry.is_array() && is_of_v1(&entry.array()?) {
        return Err(v1());
    }
    let message: Message = entry.object()?;
    if message.channel.is_none() {
        if message.event.is_some() {
            return Err(v1());
        }
        if message.method.is_some() || message.error.is_some() {
            return Ok(Content::Other("response to a request"));
        }
    }
    let method = match required("channel", message.channel)?.text()?.as_ref() {
        "trade" => Method::Trade,
        "ticker" => Method::Ticker,
        "heartbeat" => return Ok(Content::Other("heartbeat")),
        "status" => return Ok(Content::Other("status")),
        _ => return Ok(Content::Other("not a trade or ticker")),
    };
    Ok(Content::Prices(
        method,
        required("data", message.data)?.array()?,
    ))
}

/// Whether the elements are those of a v1 message: `[channelID, …, "trade", "XBT/USD"]`, or, for a private
/// channel, `[…, "openOrders", {"sequence": 1}]`.
fn is_of_v1(elements: &[&RawValue]) -> bool {
    let is_text = |raw: &RawValue| raw.get().starts_with('"');
    match elements {
        [channel, .., name, pair] => {
            let is_number = channel.get().starts_with(|c: char| c.is_ascii_digit());
            is_text(name) && (is_number && is_text(pair) || channel.get().starts_with('['))
        }
        _ => false,
    }
}

fn v1() -> Refused {
    Refused::new(
        Reason::UnreadableBody,
        "this is a message of Kraken's WebSocket v1; only v2 is read: subscribe at \
         wss://ws.kraken.com/v2",
    )
}

fn price(raw: &RawValue, method: Method, now_ms: i64) -> Result<Outcome, Refused> {
    let fields: Fields = Value::new("data[]", raw).object()?;
    let symbol = required("symbol", fields.symbol)?.text()?;
    let product = symbol.split('/').map(renamed).collect::<Vec<_>>().join("/");
    let (token, quote) = product::split_at(&product, '/')?;
    let is_trade = method == Method::Trade;
    let (tick_id, sequence, price, volume, timestamp_ms) = if is_trade {
        let trade_id = required("trade_id", fields.trade_id)?.sequence()?;
        (
            TickId::derive("kraken", &[&product, &trade_id.to_string()]),
            Some(trade_id),
            required("price", fields.price)?.price()?,
            Some(required("qty", fields.qty)?.volume()?),
            required("timestamp", fields.timestamp)?.time_rfc3339(now_ms)?,
        )
    } else {
        let timestamp = optional("timestamp", fields.timestamp);
        (
            TickId::derive("kraken", &["ticker", &product, raw.get()]),
            None,
            required("last", fields.last)?.price()?,
            None,
            timestamp
                .map(|time| time.time_rfc3339(now_ms))
                .transpose()?
                .unwrap_or(now_ms),
        )
    };
    let tick = Tick {
        tick_id,
        token,
        quote,
        price,
        volume,
        timestamp_ms,
        ingested_at_ms: now_ms,
        source: name::source("kraken:spot")?,
        slot: None,
        method,
        sequence,
        quality: None,
    };
    Ok(match optional("timestamp", fields.timestamp) {
        Some(_) => Outcome::Tick(tick),
        None => Outcome::ArrivalStamped(tick),
    })
}

fn renamed(code: &str) -> &str {
    RENAMED
        .iter()
        .find(|(theirs, _)| *theirs == code)
        .map_or(code, |(_, ours)| ours)
}
