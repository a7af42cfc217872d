//! Binance's streams `trade` and `aggTrade` of the spot market and of USD-M futures, raw or in a
//! combined stream.
//!
//! A trade is identified by its market, symbol and trade number, an aggregate by its own number. The
//! markets share symbols and numbers, and their messages do not name the market, so each is a source
//! of its own. The event time is `T`, the time of the trade (`E` is the time of the message).

use domain::{Method, Tick, TickId};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::delivery::{self, Answer, Outcome};
use crate::refused::Refused;
use crate::value::{Value, optional, required};
use crate::{Entry, Source, Unreadable, name, product};

/// A market of Binance.
#[derive(Debug)]
pub(crate) struct Binance {
    /// The name of the source. Ids are derived from it.
    name: &'static str,
    /// The origin of its prices.
    origin: &'static str,
    quotes: &'static [&'static str],
}

/// The spot market.
pub(crate) const SPOT: Binance = Binance {
    name: "binance",
    origin: "binance:spot",
    quotes: SPOT_QUOTES,
};

/// Futures with a margin in stablecoins.
pub(crate) const USD_M: Binance = Binance {
    name: "binance-usdm",
    origin: "binance:usdm",
    quotes: USD_M_QUOTES,
};

/// The execution type of futures trades on the market. Others are transfers of positions to the insurance
/// fund and the like, at prices that are not of the market.
const MARKET_TRADE: &str = "MARKET";

/// Quotes of USD-M futures.
const USD_M_QUOTES: &[&str] = &["USDT", "USDC", "BUSD", "FDUSD", "USD1", "BTC"];

/// Quotes of Binance's spot market. `USD` belongs to Binance.US, where `DOTUSD` would otherwise be
/// read as DO/TUSD.
const SPOT_QUOTES: &[&str] = &[
    "USDT", "USDC", "FDUSD", "TUSD", "BUSD", "USDP", "USD1", "DAI", "USDS", "PAX", "BTC", "ETH",
    "BNB", "SOL", "XRP", "TRX", "DOGE", "DOT", "EUR", "EURI", "AEUR", "GBP", "JPY", "AUD", "TRY",
    "BRL", "ARS", "MXN", "COP", "CZK", "PLN", "RON", "UAH", "RUB", "NGN", "ZAR", "IDR", "IDRT",
    "BIDR", "BVND", "BKRW", "VAI", "UST",
];

impl Source for Binance {
    fn name(&self) -> &'static str {
        self.name
    }

    fn parse(&self, body: &[u8], now_ms: i64) -> Result<Vec<Entry>, Unreadable> {
        let messages = delivery::one_or_many(delivery::text(body)?)?;
        Answer::of_each(messages, |raw| {
            self.message(Value::new("entry", raw), now_ms)
        })
    }
}

#[derive(Deserialize)]
struct Message<'a> {
    /// In a combined stream.
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    /// In the response to a subscription.
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow, rename = "e")]
    event: Option<&'a RawValue>,
    #[serde(borrow, rename = "s")]
    symbol: Option<&'a RawValue>,
    #[serde(borrow, rename = "t")]
    trade_id: Option<&'a RawValue>,
    /// The aggregate's number; in a `trade`, the seller's order id.
    #[serde(borrow, rename = "a")]
    aggregate_id: Option<&'a RawValue>,
    #[serde(borrow, rename = "p")]
    price: Option<&'a RawValue>,
    #[serde(borrow, rename = "q")]
    quantity: Option<&'a RawValue>,
    #[serde(borrow, rename = "T")]
    trade_time: Option<&'a RawValue>,
    /// How a futures trade was executed.
    #[serde(borrow, rename = "X")]
    execution: Option<&'a RawValue>,
}

impl Binance {
    fn message(&self, raw: Value<'_>, now_ms: i64) -> Result<Outcome, Refused> {
        let mut message: Message = raw.object()?;
        if let Some(data) = optional("data", message.data) {
            message = data.object()?;
        }
        if message.event.is_none() && message.id.is_some() {
            return Ok(Outcome::Ignored("response to a subscription"));
        }
        let (kind, id) = match required("e", message.event)?.text()?.as_ref() {
            "trade" => ("", required("t", message.trade_id)?),
            "aggTrade" => ("aggTrade", required("a", message.aggregate_id)?),
            _ => return Ok(Outcome::Ignored("not a trade")),
        };
        if let Some(execution) = optional("X", message.execution)
            && execution.text()? != MARKET_TRADE
        {
            return Ok(Outcome::Ignored("not a trade on the market"));
        }
        let symbol = required("s", message.symbol)?.text()?;
        let (token, quote) = product::split_by_quote(&symbol, self.quotes)?;
        let sequence = id.sequence()?;
        let id = sequence.to_string();
        let tick_id = match kind {
            "" => TickId::derive(self.name, &[&symbol, &id]),
            kind => TickId::derive(self.name, &[kind, &symbol, &id]),
        };
        Ok(Outcome::Tick(Tick {
            tick_id,
            token,
            quote,
            price: required("p", message.price)?.price()?,
            volume: Some(required("q", message.quantity)?.volume()?),
            timestamp_ms: required("T", message.trade_time)?.time_ms_or_us(now_ms)?,
            ingested_at_ms: now_ms,
            source: name::source(self.origin)?,
            slot: None,
            method: Method::Trade,
            sequence: Some(sequence),
            quality: None,
        }))
    }
}
