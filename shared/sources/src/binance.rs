//! Binance's streams `trade` and `aggTrade` of the spot market, of USD-M futures and of COIN-M futures.
//!
//! The two streams have the same trades under different numbers, so a setting says which one counts
//! ([`BinanceTrades`](crate::BinanceTrades)), and the other is ignored. A trade is identified by its
//! market, symbol and number. The markets share symbols and numbers, and their messages do not name the
//! market, so each is a source of its own. The event time is `T`, the time of the trade (`E` is the time
//! of the message). A message that has no trade (a ticker, a candle, an order book) is ignored; some of
//! them do not name their event.
//!
//! <https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams>,
//! <https://developers.binance.com/docs/derivatives/usds-margined-futures/websocket-market-streams>,
//! <https://developers.binance.com/docs/derivatives/coin-margined-futures/websocket-market-streams>

mod symbol;

use domain::{Method, Tick, TickId};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::delivery::{self, Answer, Outcome};
use crate::refused::Refused;
use crate::value::{Value, optional, required};
use crate::{Entry, ParseContext, Source, SourceSettings, TradeStream, Unreadable, name};

/// A market of Binance.
#[derive(Debug)]
pub(crate) struct Binance {
    /// The name of the source. Ids are derived from it.
    name: &'static str,
    /// The origin of its prices.
    origin: &'static str,
    market: Market,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Market {
    Spot,
    UsdM,
    CoinM,
}

/// The spot market.
pub(crate) const SPOT: Binance = Binance {
    name: "binance",
    origin: "binance:spot",
    market: Market::Spot,
};

/// Futures with a margin in stablecoins.
pub(crate) const USD_M: Binance = Binance {
    name: "binance-usdm",
    origin: "binance:usdm",
    market: Market::UsdM,
};

/// Futures with a margin in the coin itself.
pub(crate) const COIN_M: Binance = Binance {
    name: "binance-coinm",
    origin: "binance:coinm",
    market: Market::CoinM,
};

/// The execution type of futures trades on the market. Others are transfers of positions to the insurance
/// fund and the like, at prices that are not of the market.
const MARKET_TRADE: &str = "MARKET";

impl Source for Binance {
    fn name(&self) -> &'static str {
        self.name
    }

    fn read(&self, body: &[u8], context: &ParseContext<'_>) -> Result<Vec<Entry>, Unreadable> {
        let mut reader = Reader {
            binance: self,
            counts: self.counts(context.settings),
            now_ms: context.now_ms,
            answer: Answer::default(),
        };
        for raw in delivery::one_or_many(delivery::text(body)?)? {
            reader.entry(Value::new("entry", raw))?;
        }
        Ok(reader.answer.into_entries())
    }
}

struct Reader<'s> {
    binance: &'s Binance,
    /// The stream that counts.
    counts: TradeStream,
    now_ms: i64,
    answer: Answer,
}

#[derive(Deserialize)]
struct Message<'a> {
    /// In a combined stream, the message, or a list of them (`!miniTicker@arr`).
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow, rename = "e")]
    event: Option<&'a RawValue>,
    #[serde(borrow, rename = "s")]
    symbol: Option<&'a RawValue>,
    #[serde(borrow, rename = "t")]
    trade_id: Option<&'a RawValue>,
    /// The aggregate's number; in a `trade`, the seller's order id; in a best bid and ask, the ask.
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
    /// In the response to a request.
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    /// In the response to a request that failed.
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    /// In an order book of the spot market, which has no `e`.
    #[serde(borrow, rename = "lastUpdateId")]
    last_update_id: Option<&'a RawValue>,
    /// In a best bid and ask of the spot market, which has no `e`.
    #[serde(borrow, rename = "u")]
    update_id: Option<&'a RawValue>,
    #[serde(borrow, rename = "b")]
    bid: Option<&'a RawValue>,
    /// An event of the sender's own account, without an `e` beside it.
    #[serde(borrow, rename = "event")]
    account_event: Option<&'a RawValue>,
}

impl Reader<'_> {
    /// Reads a message, the messages of a combined stream, or a list of messages.
    fn entry(&mut self, entry: Value<'_>) -> Result<(), Unreadable> {
        if entry.is_array() {
            return self.list("entry[]", entry);
        }
        let message: Message = match entry.object() {
            Ok(message) => message,
            Err(refused) => return self.answer.push(entry.raw(), Err(refused)),
        };
        match optional("data", message.data) {
            None => {
                let read = self.binance.message(&message, self.counts, self.now_ms);
                self.answer.push(entry.raw(), read)
            }
            Some(data) if data.is_array() => self.list("data[]", data),
            Some(data) => self.single(data),
        }
    }

    fn list(&mut self, element: &'static str, list: Value<'_>) -> Result<(), Unreadable> {
        let elements = match list.array() {
            Ok(elements) => elements,
            Err(refused) => return self.answer.push(list.raw(), Err(refused)),
        };
        if elements.is_empty() {
            let empty = Outcome::Ignored("an empty list");
            return self.answer.push(list.raw(), Ok(empty));
        }
        for raw in elements {
            self.single(Value::new(element, raw))?;
        }
        Ok(())
    }

    fn single(&mut self, raw: Value<'_>) -> Result<(), Unreadable> {
        let read = raw.object();
        let read =
            read.and_then(|message| self.binance.message(&message, self.counts, self.now_ms));
        self.answer.push(raw.raw(), read)
    }
}

impl Binance {
    /// The stream that counts for this market.
    fn counts(&self, settings: &SourceSettings) -> TradeStream {
        match self.market {
            Market::Spot => settings.binance_trades.spot,
            Market::UsdM => settings.binance_trades.usdm,
            Market::CoinM => settings.binance_trades.coinm,
        }
    }

    fn message(
        &self,
        message: &Message<'_>,
        counts: TradeStream,
        now_ms: i64,
    ) -> Result<Outcome, Refused> {
        if message.event.is_none()
            && let Some(why) = without_event(message)
        {
            return Ok(Outcome::Ignored(why));
        }
        let event = required("e", message.event)?.text()?;
        let Some(stream) = TradeStream::find(&event) else {
            return Ok(Outcome::Ignored("not a trade"));
        };
        if stream != counts {
            return Ok(Outcome::Ignored(match counts {
                TradeStream::Trade => "an aggregate: `trade` messages count (BINANCE_TRADES)",
                TradeStream::AggTrade => {
                    "a single trade: `aggTrade` messages count (BINANCE_TRADES)"
                }
            }));
        }
        let symbol = required("s", message.symbol)?.text()?;
        if symbol::is_option(&symbol) {
            return Ok(Outcome::Ignored("a trade of an option"));
        }
        if let Some(execution) = optional("X", message.execution)
            && execution.text()? != MARKET_TRADE
        {
            return Ok(Outcome::Ignored("not a trade on the market"));
        }
        let (token, quote) = match self.market {
            Market::Spot => symbol::spot(&symbol)?,
            Market::UsdM => symbol::usd_m(&symbol)?,
            Market::CoinM => symbol::coin_m(&symbol)?,
        };
        let sequence = match stream {
            TradeStream::Trade => required("t", message.trade_id)?.sequence()?,
            TradeStream::AggTrade => required("a", message.aggregate_id)?.sequence()?,
        };
        let number = sequence.to_string();
        let tick_id = match stream {
            TradeStream::Trade => TickId::derive(self.name, &[&symbol, &number]),
            TradeStream::AggTrade => TickId::derive(self.name, &["aggTrade", &symbol, &number]),
        };
        let volume = match self.market {
            Market::Spot | Market::UsdM => Some(required("q", message.quantity)?.volume()?),
            // `q` counts contracts of 100 or 10 USD: the coins are a quotient without a finite form.
            Market::CoinM => None,
        };
        Ok(Outcome::Tick(Tick {
            tick_id,
            token,
            quote,
            price: required("p", message.price)?.price()?,
            volume,
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

/// What a message without `e` is, if it is one that Binance sends.
fn without_event(message: &Message<'_>) -> Option<&'static str> {
    if message.id.is_some() || message.error.is_some() {
        return Some("response to a request");
    }
    if message.last_update_id.is_some() {
        return Some("an order book");
    }
    if message.account_event.is_some() {
        return Some("an event of an account");
    }
    let is_best = [message.update_id, message.bid, message.aggregate_id]
        .iter()
        .all(Option::is_some);
    is_best.then_some("a best bid and ask")
}
