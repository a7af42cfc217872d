//! Bybit v5: the public topics `publicTrade.{symbol}` and `tickers.{symbol}`.
//!
//! Documentation: <https://bybit-exchange.github.io/docs/v5/websocket/public/trade> and
//! <https://bybit-exchange.github.io/docs/v5/websocket/public/ticker>. The spot market and linear
//! contracts share symbols, and no message names its market, so each market is a source of its own.
//! A contract with a date of delivery has another price than its token, so the date is part of the
//! token: `BTC_27NOV26`. Options are ignored. The size of an inverse contract is in USD, and its
//! quotient by the price is not exact, so it has no volume.
//!
//! A trade is identified by its market, symbol and id: a number in the spot market, which orders
//! trades, otherwise a UUID. Then `seq` orders them: Bybit's documentation of the order book says that
//! a smaller one is earlier. A ticker does not name a trade: symbol, time and price identify it.

use domain::{Method, Tick, TickId, Token};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::delivery::{self, Answer, Outcome};
use crate::refused::Refused;
use crate::value::{Value, optional, required};
use crate::{Entry, ParseContext, Source, Unreadable, name, product};

/// A market of Bybit.
#[derive(Debug)]
pub(crate) struct Bybit {
    /// The name of the source. Ids are derived from it.
    name: &'static str,
    /// The origin of its prices.
    origin: &'static str,
    market: Market,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Market {
    Spot,
    Linear,
    Inverse,
}

/// The spot market.
pub(crate) const SPOT: Bybit = Bybit {
    name: "bybit",
    origin: "bybit:spot",
    market: Market::Spot,
};

/// Contracts that are settled in stablecoins.
pub(crate) const LINEAR: Bybit = Bybit {
    name: "bybit-linear",
    origin: "bybit:linear",
    market: Market::Linear,
};

/// Contracts that are quoted in USD and settled in their token.
pub(crate) const INVERSE: Bybit = Bybit {
    name: "bybit-inverse",
    origin: "bybit:inverse",
    market: Market::Inverse,
};

/// Quotes of the spot market.
const SPOT_QUOTES: &[&str] = &[
    "USDT", "USDC", "USDE", "USD1", "USDQ", "USDR", "RLUSD", "DAI", "BTC", "ETH", "SOL", "MNT",
    "EUR", "EURQ", "EURR", "GBP", "BRL", "BRZ", "PLN", "TRY",
];

/// Quotes of linear contracts in their symbols.
const LINEAR_QUOTES: &[&str] = &["USDT", "USDC", "USDE", "USD1"];

/// The end of the symbols of linear contracts that are quoted in USDC, such as `BTCPERP`.
const USDC_PERPETUAL: &str = "PERP";

const INVERSE_QUOTE: &str = "USD";

/// The months of delivery in the symbols of inverse futures, such as `BTCUSDZ26`.
const DELIVERY_MONTHS: [char; 4] = ['H', 'M', 'U', 'Z'];

/// A month of delivery: a letter and two digits of the year.
const MONTH_BYTES: usize = 3;

impl Source for Bybit {
    fn name(&self) -> &'static str {
        self.name
    }

    fn read(&self, body: &[u8], context: &ParseContext<'_>) -> Result<Vec<Entry>, Unreadable> {
        let now_ms = context.now_ms;
        let mut answer = Answer::default();
        for whole in delivery::one_or_many(delivery::text(body)?)? {
            match message(whole) {
                Ok(Content::Trades(data)) => {
                    for raw in data {
                        answer.push_part(raw.get(), whole.get(), self.trade(raw, now_ms))?;
                    }
                }
                Ok(Content::Tickers(data, time)) => {
                    for raw in data {
                        let read = self.ticker(raw, time, now_ms);
                        answer.push_part(raw.get(), whole.get(), read)?;
                    }
                }
                Ok(Content::Other(why)) => answer.push(whole.get(), Ok(Outcome::Ignored(why)))?,
                Err(refused) => answer.push(whole.get(), Err(refused))?,
            }
        }
        Ok(answer.into_entries())
    }
}

enum Content<'a> {
    Trades(Vec<&'a RawValue>),
    Tickers(Vec<&'a RawValue>, Value<'a>),
    Other(&'static str),
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    topic: Option<&'a RawValue>,
    /// In the response to a request.
    #[serde(borrow, rename = "op")]
    operation: Option<&'a RawValue>,
    /// In the response to a request.
    #[serde(borrow)]
    success: Option<&'a RawValue>,
    #[serde(borrow, rename = "ts")]
    time: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Trade<'a> {
    #[serde(borrow, rename = "s")]
    symbol: Option<&'a RawValue>,
    #[serde(borrow, rename = "i")]
    id: Option<&'a RawValue>,
    #[serde(borrow, rename = "p")]
    price: Option<&'a RawValue>,
    #[serde(borrow, rename = "v")]
    size: Option<&'a RawValue>,
    #[serde(borrow, rename = "T")]
    time: Option<&'a RawValue>,
    #[serde(borrow, rename = "seq")]
    sequence: Option<&'a RawValue>,
    /// Whether two traders agreed on it apart from the order book.
    #[serde(borrow, rename = "BT")]
    is_block_trade: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Ticker<'a> {
    #[serde(borrow)]
    symbol: Option<&'a RawValue>,
    #[serde(borrow, rename = "lastPrice")]
    last_price: Option<&'a RawValue>,
}

fn message(raw: &RawValue) -> Result<Content<'_>, Refused> {
    let message: Message = Value::new("entry", raw).object()?;
    if message.topic.is_none() && (message.operation.is_some() || message.success.is_some()) {
        return Ok(Content::Other("response to a request"));
    }
    let topic = required("topic", message.topic)?.text()?;
    let data = || required("data", message.data).and_then(one_or_many);
    match topic.split('.').next() {
        Some("publicTrade") => Ok(Content::Trades(data()?)),
        Some("tickers") => Ok(Content::Tickers(data()?, required("ts", message.time)?)),
        _ => Ok(Content::Other("not a trade or ticker")),
    }
}

/// `data` is an array of trades, or one ticker.
fn one_or_many(data: Value<'_>) -> Result<Vec<&RawValue>, Refused> {
    if data.raw().starts_with('[') {
        data.array()
    } else {
        delivery::one_or_many(data.raw()).map_err(|_| data.wrong_type("an object or an array"))
    }
}

impl Bybit {
    fn trade(&self, raw: &RawValue, now_ms: i64) -> Result<Outcome, Refused> {
        let fields: Trade = Value::new("data[]", raw).object()?;
        let symbol = required("s", fields.symbol)?.text()?;
        let Some((token, quote)) = self.market.pair(&symbol)? else {
            return Ok(Outcome::Ignored("an option"));
        };
        if optional("BT", fields.is_block_trade).is_some_and(|block| block.raw() == "true") {
            return Ok(Outcome::Ignored("a block trade, apart from the order book"));
        }
        let (id, number) = required("i", fields.id)?.trade_id()?;
        let sequence = optional("seq", fields.sequence)
            .map(Value::sequence)
            .transpose()?;
        let size = required("v", fields.size)?.volume()?;
        Ok(Outcome::Tick(Tick {
            tick_id: TickId::derive(self.name, &[&symbol, &id]),
            token,
            quote,
            price: required("p", fields.price)?.price()?,
            volume: (self.market != Market::Inverse).then_some(size),
            timestamp_ms: required("T", fields.time)?.time_ms(now_ms)?,
            ingested_at_ms: now_ms,
            source: name::source(self.origin)?,
            slot: None,
            method: Method::Trade,
            sequence: number.or(sequence),
            quality: None,
        }))
    }

    fn ticker(&self, raw: &RawValue, time: Value<'_>, now_ms: i64) -> Result<Outcome, Refused> {
        let fields: Ticker = Value::new("data", raw).object()?;
        let symbol = required("symbol", fields.symbol)?.text()?;
        let Some((token, quote)) = self.market.pair(&symbol)? else {
            return Ok(Outcome::Ignored("an option"));
        };
        let Some(last) = optional("lastPrice", fields.last_price) else {
            return Ok(Outcome::Ignored("no change of the last price"));
        };
        if last.digits()?.bytes().all(|b| matches!(b, b'0' | b'.')) {
            return Ok(Outcome::Ignored("a market without a trade"));
        }
        let price = last.price()?;
        let timestamp_ms = time.time_ms(now_ms)?;
        let event = [
            "ticker",
            &symbol,
            &timestamp_ms.to_string(),
            &price.to_string(),
        ];
        Ok(Outcome::Tick(Tick {
            tick_id: TickId::derive(self.name, &event),
            token,
            quote,
            price,
            volume: None,
            timestamp_ms,
            ingested_at_ms: now_ms,
            source: name::source(self.origin)?,
            slot: None,
            method: Method::Ticker,
            sequence: None,
            quality: None,
        }))
    }
}

impl Market {
    /// Base and quote of a symbol; `None` for an option, such as `BTC-27NOV26-90000-C`.
    fn pair(self, symbol: &str) -> Result<Option<(Token, Token)>, Refused> {
        if symbol.matches('-').count() > 1 {
            return Ok(None);
        }
        let (pair, delivery) = self.delivery(symbol);
        let (token, quote) = match self {
            _ if pair.contains('-') => product::split_by_quote(pair, &[]),
            Self::Spot => product::split_by_quote(pair, SPOT_QUOTES),
            Self::Inverse => product::split_by_quote(pair, &[INVERSE_QUOTE]),
            Self::Linear => linear_pair(pair, delivery.is_some()),
        }?;
        let token = match delivery {
            Some(delivery) => name::token(&format!("{token}_{delivery}"))?,
            None => token,
        };
        Ok(Some((token, quote)))
    }

    /// The pair of a symbol, and the date or month of delivery if the contract has one.
    fn delivery(self, symbol: &str) -> (&str, Option<&str>) {
        let split = match self {
            Self::Spot => None,
            Self::Linear => symbol
                .split_once('-')
                .filter(|(_, date)| date.starts_with(|c: char| c.is_ascii_digit())),
            Self::Inverse => month(symbol),
        };
        split.map_or((symbol, None), |(pair, delivery)| (pair, Some(delivery)))
    }
}

/// Contracts in USDC have no quote in their symbols: `BTCPERP`, and `BTC-27NOV26` with a date.
fn linear_pair(pair: &str, has_date: bool) -> Result<(Token, Token), Refused> {
    let in_usdc = match pair.strip_suffix(USDC_PERPETUAL) {
        Some(token) if !has_date => Some(token),
        None if has_date && !LINEAR_QUOTES.iter().any(|quote| pair.ends_with(quote)) => Some(pair),
        _ => None,
    };
    match in_usdc {
        Some(token) => product::split_at(&format!("{token}-USDC"), '-'),
        None => product::split_by_quote(pair, LINEAR_QUOTES),
    }
}

/// Splits the month of delivery from an inverse contract, such as `BTCUSDZ26`.
fn month(symbol: &str) -> Option<(&str, &str)> {
    let (pair, month) = symbol.split_at_checked(symbol.len().checked_sub(MONTH_BYTES)?)?;
    let year = month.strip_prefix(DELIVERY_MONTHS)?;
    let is_month = year.bytes().all(|b| b.is_ascii_digit()) && pair.ends_with(INVERSE_QUOTE);
    is_month.then_some((pair, month))
}
