//! The bodies of the demo's feeds: our own JSON, and messages in the formats of Binance and Coinbase.

use chrono::{DateTime, SecondsFormat};
use serde_json::{Value, json};

use super::trade::Trade;

/// The source of the demo's own prices.
const DEMO_SOURCE: &str = "demo:market";

/// One delivery of a feed: the body of `POST /webhooks/{source}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The source whose format the body has.
    pub source: &'static str,
    /// The body as it would come over the wire.
    pub body: Vec<u8>,
}

/// A trade as one entry of a `ticks` body.
pub(super) fn ticks_entry(trade: &Trade) -> Value {
    json!({
        "id": trade.number.to_string(),
        "token": trade.token,
        "quote": trade.quote,
        "price": trade.price,
        "volume": trade.volume,
        "timestamp": trade.at_ms,
        "source": DEMO_SOURCE,
    })
}

/// Many entries as one `ticks` body.
pub(super) fn ticks_batch(entries: Vec<Value>) -> Delivery {
    delivery("ticks", &Value::Array(entries))
}

/// Trades of the demo's second venue.
pub(super) fn pool_trades(trades: &[Trade]) -> Delivery {
    delivery("pool", &trades.iter().map(ticks_entry).collect())
}

/// A trade as Binance's trade stream sends it.
pub(super) fn binance_trade(trade: &Trade) -> Delivery {
    let body = json!({
        "e": "trade",
        "E": trade.at_ms + 1,
        "s": format!("{}{}", trade.token, trade.quote),
        "t": trade.number,
        "p": trade.price,
        "q": trade.volume,
        "T": trade.at_ms,
        // Binance reports whether the buyer was the maker.
        "m": !trade.buys,
        "M": true,
    });
    delivery("binance", &body)
}

/// Trades of one product as Coinbase's `market_trades` channel sends them.
pub(super) fn coinbase_trades(trades: &[Trade], now_ms: i64) -> Delivery {
    let trades: Vec<Value> = trades
        .iter()
        .map(|trade| {
            json!({
                "trade_id": trade.number.to_string(),
                "product_id": format!("{}-{}", trade.token, trade.quote),
                "price": trade.price,
                "size": trade.volume,
                "side": if trade.buys { "BUY" } else { "SELL" },
                "time": rfc3339(trade.at_ms),
            })
        })
        .collect();
    let body = json!({
        "channel": "market_trades",
        "client_id": "",
        "timestamp": rfc3339(now_ms),
        "sequence_num": 0,
        "events": [{ "type": "update", "trades": trades }],
    });
    delivery("coinbase", &body)
}

/// A heartbeat of Coinbase, which is valid but not a price.
pub(super) fn coinbase_heartbeat(count: u64, now_ms: i64) -> Delivery {
    let body = json!({
        "channel": "heartbeats",
        "client_id": "",
        "timestamp": rfc3339(now_ms),
        "sequence_num": 0,
        "events": [{ "current_time": rfc3339(now_ms), "heartbeat_counter": count }],
    });
    delivery("coinbase", &body)
}

/// A malformed entry; each call breaks the next rule in turn.
pub(super) fn malformed_entry(count: usize, number: i64, now_ms: i64) -> Value {
    const MINUTES_AHEAD: i64 = 30;
    let broken = [
        ("price", json!("-0.842")),
        ("token", Value::Null),
        ("timestamp", json!(now_ms / 1_000)),
        ("price", json!("NaN")),
        ("timestamp", json!(now_ms + MINUTES_AHEAD * 60_000)),
        ("volume", json!("-12")),
        ("quote", json!("US DC")),
        ("price", json!({ "amount": "0.842" })),
    ];
    let mut entry = json!({
        "id": number.to_string(),
        "token": "JUP",
        "quote": "USDC",
        "price": "0.842",
        "volume": "12",
        "timestamp": now_ms,
        "source": DEMO_SOURCE,
    });
    if let (Some(fields), Some((name, value))) =
        (entry.as_object_mut(), broken.get(count % broken.len()))
    {
        if value.is_null() {
            fields.remove(*name);
        } else {
            fields.insert((*name).to_owned(), value.clone());
        }
    }
    entry
}

fn rfc3339(at_ms: i64) -> String {
    DateTime::from_timestamp_millis(at_ms)
        .unwrap_or_default()
        .to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn delivery(source: &'static str, body: &Value) -> Delivery {
    Delivery {
        source,
        body: body.to_string().into_bytes(),
    }
}
