//! Birdeye: the prices of `/defi/price` and `/defi/multi_price`, and the swaps of the WebSocket's
//! `TXS_DATA`, all in USD.
//!
//! Documentation: <https://docs.birdeye.so/docs/price-1>, <https://docs.birdeye.so/docs/multi_price-1>
//! and <https://docs.birdeye.so/docs/subscribe_txs>. A price is identified by address, update time and
//! value: the time only has whole seconds. `/defi/price` does not name its token, so the sender must
//! add its address. A swap is identified by transaction, token, pool and both amounts, and its price
//! is Birdeye's value of the token in USD. `PRICE_DATA` is a candle in progress: it has the time at
//! which the candle begins, and does not name its currency, which depends on the subscription.

use std::collections::BTreeSet;

use domain::{Method, Reason, Tick, TickId};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::delivery::{self, Answer, Outcome};
use crate::refused::Refused;
use crate::value::{Value, optional, required};
use crate::{Entry, ParseContext, Source, Unreadable, name};

const QUOTE: &str = "USD";

/// Birdeye.
#[derive(Debug)]
pub(crate) struct Birdeye;

impl Source for Birdeye {
    fn name(&self) -> &'static str {
        "birdeye"
    }

    fn read(&self, body: &[u8], context: &ParseContext<'_>) -> Result<Vec<Entry>, Unreadable> {
        let now_ms = context.now_ms;
        let mut answer = Answer::default();
        for whole in delivery::one_or_many(delivery::text(body)?)? {
            match message(whole, now_ms) {
                Ok(Content::One(outcome)) => answer.push(whole.get(), Ok(outcome))?,
                Ok(Content::Prices(prices)) => {
                    let mut seen = BTreeSet::new();
                    for (address, raw) in prices {
                        let is_new = seen.insert(address.clone());
                        let read = if is_new {
                            listed_price(&address, raw, now_ms)
                        } else {
                            Err(twice(&address))
                        };
                        answer.push_part(raw.get(), whole.get(), read)?;
                    }
                }
                Err(refused) => answer.push(whole.get(), Err(refused))?,
            }
        }
        Ok(answer.into_entries())
    }
}

enum Content<'a> {
    One(Outcome),
    /// Of `/defi/multi_price`, by address.
    Prices(Vec<(String, &'a RawValue)>),
}

#[derive(Deserialize)]
struct Message<'a> {
    /// Of a message of the WebSocket.
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    success: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Fields<'a> {
    /// Added to `/defi/price` by the sender.
    #[serde(borrow)]
    address: Option<&'a RawValue>,
    #[serde(borrow)]
    value: Option<&'a RawValue>,
    #[serde(borrow, rename = "updateUnixTime")]
    updated_at: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Swap<'a> {
    #[serde(borrow, rename = "blockUnixTime")]
    time: Option<&'a RawValue>,
    #[serde(borrow, rename = "txHash")]
    transaction: Option<&'a RawValue>,
    #[serde(borrow, rename = "poolId")]
    pool: Option<&'a RawValue>,
    #[serde(borrow)]
    side: Option<&'a RawValue>,
    #[serde(borrow, rename = "tokenAddress")]
    token: Option<&'a RawValue>,
    #[serde(borrow, rename = "tokenPrice")]
    price: Option<&'a RawValue>,
    #[serde(borrow)]
    from: Option<&'a RawValue>,
    #[serde(borrow)]
    to: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Side<'a> {
    #[serde(borrow)]
    address: Option<&'a RawValue>,
    #[serde(borrow)]
    amount: Option<&'a RawValue>,
    #[serde(borrow, rename = "uiAmount")]
    tokens: Option<&'a RawValue>,
}

fn message(raw: &RawValue, now_ms: i64) -> Result<Content<'_>, Refused> {
    let message: Message = Value::new("entry", raw).object()?;
    if let Some(kind) = optional("type", message.kind) {
        let outcome = match kind.text()?.as_ref() {
            "TXS_DATA" => swap(required("data", message.data)?, now_ms)?,
            "PRICE_DATA" | "BASE_QUOTE_PRICE_DATA" => Outcome::Ignored("a candle"),
            _ => Outcome::Ignored("not a price or swap"),
        };
        return Ok(Content::One(outcome));
    }
    match optional("success", message.success) {
        Some(success) if success.raw() != "true" => {
            return Ok(Content::One(Outcome::Ignored("an error")));
        }
        Some(_) if optional("data", message.data).is_none() => {
            return Ok(Content::One(Outcome::Ignored("no price")));
        }
        Some(_) | None => {}
    }
    let data = required("data", message.data)?;
    let members = data.members()?;
    let is_one = |(key, _): &(String, &RawValue)| key == "value" || key == "updateUnixTime";
    if members.iter().any(is_one) {
        return Ok(Content::One(single_price(data, now_ms)?));
    }
    Ok(Content::Prices(members))
}

/// The price of `/defi/price`.
fn single_price(data: Value<'_>, now_ms: i64) -> Result<Outcome, Refused> {
    let fields: Fields = data.object()?;
    if optional("value", fields.value).is_none() {
        return Ok(Outcome::Ignored("no price"));
    }
    let Some(address) = optional("address", fields.address) else {
        return Err(Refused::new(
            Reason::MissingField,
            "`address` is missing: /defi/price does not name its token; use /defi/multi_price, or \
             add `address` to `data`",
        ));
    };
    price(&address.text()?, &fields, now_ms)
}

/// A price of `/defi/multi_price`.
fn listed_price(address: &str, raw: &RawValue, now_ms: i64) -> Result<Outcome, Refused> {
    if raw.get() == "null" {
        return Ok(Outcome::Ignored("no price"));
    }
    let fields: Fields = Value::new("entry", raw).object()?;
    if optional("value", fields.value).is_none() {
        return Ok(Outcome::Ignored("no price"));
    }
    price(address, &fields, now_ms)
}

fn price(address: &str, fields: &Fields<'_>, now_ms: i64) -> Result<Outcome, Refused> {
    let token = name::token(address)?;
    let price = required("value", fields.value)?.double_price()?;
    let timestamp_ms = required("updateUnixTime", fields.updated_at)?.time_s(now_ms)?;
    let event = [address, &timestamp_ms.to_string(), &price.to_string()];
    Ok(Outcome::Tick(Tick {
        tick_id: TickId::derive("birdeye", &event),
        token,
        quote: name::token(QUOTE)?,
        price,
        volume: None,
        timestamp_ms,
        ingested_at_ms: now_ms,
        source: name::source("birdeye:price")?,
        slot: None,
        method: Method::Quote,
        sequence: None,
        quality: None,
    }))
}

fn swap(data: Value<'_>, now_ms: i64) -> Result<Outcome, Refused> {
    let swap: Swap = data.object()?;
    // Changes of liquidity, and subscriptions to several tokens, whose messages do not say which.
    let (Some(side), Some(token)) = (
        optional("side", swap.side),
        optional("tokenAddress", swap.token),
    ) else {
        return Ok(Outcome::Ignored("not a swap of one token"));
    };
    if !matches!(side.text()?.as_ref(), "buy" | "sell") {
        return Ok(Outcome::Ignored("not a swap of one token"));
    }
    let Some(price) = optional("tokenPrice", swap.price) else {
        return Ok(Outcome::Ignored("no price"));
    };
    let address = token.text()?;
    let transaction = required("txHash", swap.transaction)?.text()?;
    let pool = optional("poolId", swap.pool);
    let from: Side = required("from", swap.from)?.object()?;
    let to: Side = required("to", swap.to)?.object()?;
    let traded = if is_of(&from, &address)? { &from } else { &to };
    if !is_of(traded, &address)? {
        let rule = "it is neither the token of `from` nor of `to`";
        return Err(token.refused(Reason::InvalidToken, rule));
    }
    let event = [
        "swap",
        &transaction,
        &address,
        pool.map_or("", Value::raw),
        required("amount", from.amount)?.raw(),
        required("amount", to.amount)?.raw(),
    ];
    Ok(Outcome::Tick(Tick {
        tick_id: TickId::derive("birdeye", &event),
        token: name::token(&address)?,
        quote: name::token(QUOTE)?,
        price: price.double_price()?,
        volume: Some(required("uiAmount", traded.tokens)?.volume()?),
        timestamp_ms: required("blockUnixTime", swap.time)?.time_s(now_ms)?,
        ingested_at_ms: now_ms,
        source: name::source("birdeye:swap")?,
        slot: None,
        method: Method::Trade,
        sequence: None,
        quality: None,
    }))
}

fn is_of(side: &Side<'_>, token: &str) -> Result<bool, Refused> {
    Ok(required("address", side.address)?.text()? == token)
}

fn twice(address: &str) -> Refused {
    Refused::new(
        Reason::DuplicateField,
        format_args!("the address `{address}` occurs twice: send it once"),
    )
}
