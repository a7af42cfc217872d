//! Kraken's WebSocket v2: the channels `trade` and `ticker`; each element of `data` is an entry.
//!
//! A trade is identified by symbol and trade number. A ticker does not name a trade: its symbol and
//! its text identify it. Without a `timestamp`, it is arrival-stamped. Kraken's old codes XBT and
//! XDG are read as BTC and DOGE.

use domain::{Method, Tick, TickId};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::delivery::{self, Answer, Outcome};
use crate::refused::Refused;
use crate::value::{Value, optional, required};
use crate::{Entry, Source, Unreadable, name, product};

/// Kraken's own codes, and the usual ones.
const RENAMED: &[(&str, &str)] = &[("XBT", "BTC"), ("XDG", "DOGE")];

/// Kraken spot.
#[derive(Debug)]
pub(crate) struct Kraken;

impl Source for Kraken {
    fn name(&self) -> &'static str {
        "kraken"
    }

    fn parse(&self, body: &[u8], now_ms: i64) -> Result<Vec<Entry>, Unreadable> {
        let mut answer = Answer::default();
        for raw in delivery::one_or_many(delivery::text(body)?)? {
            match message(raw) {
                Ok(Content::Prices(method, data)) => {
                    for raw in data {
                        answer.push(raw.get(), price(raw, method, now_ms))?;
                    }
                }
                Ok(Content::Other(why)) => answer.push(raw.get(), Ok(Outcome::Ignored(why)))?,
                Err(refused) => answer.push(raw.get(), Err(refused))?,
            }
        }
        Ok(answer.into_entries())
    }
}

enum Content<'a> {
    Prices(Method, Vec<&'a RawValue>),
    Other(&'static str),
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    channel: Option<&'a RawValue>,
    /// In the response to a request.
    #[serde(borrow)]
    method: Option<&'a RawValue>,
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
    let message: Message = Value::new("entry", raw).object()?;
    if message.channel.is_none() && message.method.is_some() {
        return Ok(Content::Other("response to a request"));
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
