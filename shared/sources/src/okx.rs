//! OKX's WebSocket channels `trades`, `trades-all` and `tickers`; each element of `data` is an entry.
//!
//! Documentation: <https://www.okx.com/docs-v5/en/>. `BTC-USDT` is a spot market, `BTC-USDT-SWAP` a
//! perpetual swap and `BTC-USDT-261127` a future, each with an origin of its own. A future has another
//! price than its token, so the date of delivery is part of the token: `BTC_261127`. Options are
//! ignored. The size of a swap or future is a number of contracts, whose value no message has, so it
//! has no volume.
//!
//! A trade is identified by instrument and trade number. `trades` reports the matches of one order at
//! one price together (`count`) under the number of the last: that is not the trade of this number, so
//! its identity is another. A ticker does not name a trade: instrument, time and price identify it.
//! It repeats the size of the last trade with each change of the book, so it has no volume.

use domain::{Method, Tick, TickId, Token};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::delivery::{self, Answer, Content, Outcome};
use crate::refused::Refused;
use crate::value::{Value, optional, required};
use crate::{Entry, ParseContext, Source, Unreadable, name, product};

const SPOT: &str = "okx:spot";
const SWAP: &str = "okx:swap";
const FUTURES: &str = "okx:futures";

/// In the name of a contract, what follows it says how the contract is settled: `BTC-USD_UM-SWAP` is
/// settled in dollar stablecoins, and quoted in USD.
const MARGIN: char = '_';

/// OKX.
#[derive(Debug)]
pub(crate) struct Okx;

impl Source for Okx {
    fn name(&self) -> &'static str {
        "okx"
    }

    fn read(&self, body: &[u8], context: &ParseContext<'_>) -> Result<Vec<Entry>, Unreadable> {
        let now_ms = context.now_ms;
        let text = delivery::text(body)?;
        let mut answer = Answer::default();
        if is_heartbeat(text) {
            answer.push(text, Ok(Outcome::Ignored("heartbeat")))?;
            return Ok(answer.into_entries());
        }
        for raw in delivery::one_or_many(text)? {
            answer.push_content(raw, message(raw), |raw, method| price(raw, method, now_ms))?;
        }
        Ok(answer.into_entries())
    }
}

#[derive(Deserialize)]
struct Message<'a> {
    /// In the response to a request, and in notices.
    #[serde(borrow)]
    event: Option<&'a RawValue>,
    #[serde(borrow)]
    arg: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Arg<'a> {
    #[serde(borrow)]
    channel: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow, rename = "instId")]
    instrument: Option<&'a RawValue>,
    #[serde(borrow, rename = "tradeId")]
    trade_id: Option<&'a RawValue>,
    #[serde(borrow, rename = "px")]
    price: Option<&'a RawValue>,
    #[serde(borrow, rename = "sz")]
    size: Option<&'a RawValue>,
    /// The number of matches that a trade of `trades` stands for.
    #[serde(borrow)]
    count: Option<&'a RawValue>,
    /// The last price, in a ticker.
    #[serde(borrow)]
    last: Option<&'a RawValue>,
    #[serde(borrow, rename = "ts")]
    time: Option<&'a RawValue>,
}

/// OKX sends `pong` as a text without quotation marks, which is not JSON.
fn is_heartbeat(text: &str) -> bool {
    matches!(text.trim().trim_matches('"'), "ping" | "pong")
}

fn message(raw: &RawValue) -> Result<Content<'_>, Refused> {
    if is_heartbeat(raw.get()) {
        return Ok(Content::Other("heartbeat"));
    }
    let message: Message = Value::new("entry", raw).object()?;
    if optional("event", message.event).is_some() {
        return Ok(Content::Other("response to a request, or a notice"));
    }
    let arg: Arg = required("arg", message.arg)?.object()?;
    let method = match required("channel", arg.channel)?.text()?.as_ref() {
        "trades" | "trades-all" => Method::Trade,
        "tickers" => Method::Ticker,
        _ => return Ok(Content::Other("not a trade or ticker")),
    };
    Ok(Content::Prices(
        method,
        required("data", message.data)?.array()?,
    ))
}

fn price(raw: &RawValue, method: Method, now_ms: i64) -> Result<Outcome, Refused> {
    let fields: Fields = Value::new("data[]", raw).object()?;
    let instrument = required("instId", fields.instrument)?.text()?;
    let Some(market) = Market::of(&instrument)? else {
        return Ok(Outcome::Ignored("an option or another contract"));
    };
    let timestamp = required("ts", fields.time)?;
    let timestamp_ms = timestamp.time_ms(now_ms)?;
    let (tick_id, sequence, price, volume) = if method == Method::Trade {
        let (id, sequence) = required("tradeId", fields.trade_id)?.trade_id()?;
        let size = required("sz", fields.size)?.volume()?;
        let count = optional("count", fields.count).map(Value::unsigned);
        let tick_id = match count.transpose()? {
            None | Some(0 | 1) => TickId::derive("okx", &[&instrument, &id]),
            Some(_) => TickId::derive("okx", &["aggregate", &instrument, &id]),
        };
        let price = required("px", fields.price)?.price()?;
        (tick_id, sequence, price, market.is_spot().then_some(size))
    } else {
        let last = required("last", fields.last)?;
        if last.digits()?.bytes().all(|b| matches!(b, b'0' | b'.')) {
            return Ok(Outcome::Ignored("a market without a trade"));
        }
        let price = last.price()?;
        let event = [
            "ticker",
            &instrument,
            &timestamp_ms.to_string(),
            &price.to_string(),
        ];
        (TickId::derive("okx", &event), None, price, None)
    };
    Ok(Outcome::Tick(Tick {
        tick_id,
        token: market.token,
        quote: market.quote,
        price,
        volume,
        timestamp_ms,
        ingested_at_ms: now_ms,
        source: name::source(market.origin)?,
        slot: None,
        method,
        sequence,
        quality: None,
    }))
}

struct Market {
    token: Token,
    quote: Token,
    origin: &'static str,
}

impl Market {
    /// The market of `BTC-USDT`, `BTC-USDT-SWAP` or `BTC-USDT-261127`; `None` for an option and any
    /// other contract.
    fn of(instrument: &str) -> Result<Option<Self>, Refused> {
        let mut parts = instrument.splitn(4, '-');
        let (base, quote) = (parts.next().unwrap_or_default(), parts.next());
        let (contract, more) = (parts.next(), parts.next());
        if more.is_some() {
            return Ok(None);
        }
        let (Some(quote), Some(contract)) = (quote, contract) else {
            let (token, quote) = product::split_at(instrument, '-')?;
            return Ok(Some(Self {
                token,
                quote,
                origin: SPOT,
            }));
        };
        let quote = quote.split(MARGIN).next().unwrap_or(quote);
        let (token, quote) = product::split_at(&format!("{base}-{quote}"), '-')?;
        Ok(Some(match contract {
            "SWAP" => Self {
                token,
                quote,
                origin: SWAP,
            },
            date if date.starts_with(|c: char| c.is_ascii_digit()) => Self {
                token: name::token(&format!("{token}_{date}"))?,
                quote,
                origin: FUTURES,
            },
            _ => return Ok(None),
        }))
    }

    fn is_spot(&self) -> bool {
        self.origin == SPOT
    }
}
