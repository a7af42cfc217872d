//! Coinbase: `ticker`, `match` and `last_match` of Exchange, and the channels `market_trades`, `ticker` and
//! `ticker_batch` of Advanced Trade.
//!
//! A trade is identified by product and trade number, in any kind of message: those of a snapshot are
//! trades like any other, and a repeat is recognized. A ticker of Advanced Trade does not name a trade:
//! product, envelope time and sequence number identify it, and the envelope's time is its event time.
//! Everything else (order books, candles, heartbeats, orders, the trades of a request for quote, …) is
//! ignored.
//!
//! <https://docs.cdp.coinbase.com/exchange/websocket-feed/channels>,
//! <https://docs.cdp.coinbase.com/coinbase-app/advanced-trade-apis/websocket/websocket-channels>

use domain::{Method, Tick, TickId, Token};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::delivery::{self, Answer, Outcome};
use crate::refused::Refused;
use crate::value::{Value, optional, required};
use crate::{Entry, ParseContext, Source, Unreadable, name, product};

const EXCHANGE: &str = "coinbase:exchange";
const ADVANCED: &str = "coinbase:advanced";

/// Coinbase Exchange and Advanced Trade.
#[derive(Debug)]
pub(crate) struct Coinbase;

impl Source for Coinbase {
    fn name(&self) -> &'static str {
        "coinbase"
    }

    fn read(&self, body: &[u8], context: &ParseContext<'_>) -> Result<Vec<Entry>, Unreadable> {
        let reader = Reader {
            now_ms: context.now_ms,
        };
        let mut answer = Answer::default();
        for raw in delivery::one_or_many(delivery::text(body)?)? {
            match reader.envelope(raw) {
                Ok(Some(prices)) => {
                    for (price, read) in prices {
                        answer.push_part(price.raw(), raw.get(), read)?;
                    }
                }
                Ok(None) => answer.push(raw.get(), reader.exchange(raw))?,
                Err(refused) => answer.push(raw.get(), Err(refused))?,
            }
        }
        Ok(answer.into_entries())
    }
}

struct Reader {
    now_ms: i64,
}

type Prices<'a> = Vec<(Value<'a>, Result<Outcome, Refused>)>;

/// The envelope of Advanced Trade around several trades or tickers.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    channel: Option<&'a RawValue>,
    #[serde(borrow)]
    timestamp: Option<&'a RawValue>,
    #[serde(borrow)]
    sequence_num: Option<&'a RawValue>,
    #[serde(borrow)]
    events: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    trades: Option<&'a RawValue>,
    #[serde(borrow)]
    tickers: Option<&'a RawValue>,
}

/// A price of Exchange or Advanced Trade.
#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    product_id: Option<&'a RawValue>,
    #[serde(borrow)]
    trade_id: Option<&'a RawValue>,
    #[serde(borrow)]
    price: Option<&'a RawValue>,
    #[serde(borrow)]
    size: Option<&'a RawValue>,
    #[serde(borrow)]
    last_size: Option<&'a RawValue>,
    #[serde(borrow)]
    time: Option<&'a RawValue>,
    /// The number of the message, in Exchange.
    #[serde(borrow)]
    sequence: Option<&'a RawValue>,
}

impl Reader {
    /// The prices in a message of Advanced Trade; `None` if it is not one of its messages.
    fn envelope<'a>(&self, raw: &'a RawValue) -> Result<Option<Prices<'a>>, Refused> {
        let entry = Value::new("entry", raw);
        let envelope: Envelope = entry.object()?;
        let Some(channel) = optional("channel", envelope.channel) else {
            return Ok(None);
        };
        let channel = channel.text()?;
        if !matches!(
            channel.as_ref(),
            "market_trades" | "ticker" | "ticker_batch"
        ) {
            return Ok(Some(vec![(
                entry,
                Ok(Outcome::Ignored("not a trade or ticker")),
            )]));
        }
        let mut prices = Vec::new();
        for event in required("events", envelope.events)?.array()? {
            let event = Value::new("events[]", event);
            match prices_of(event, &channel) {
                Ok(values) if channel == "market_trades" => {
                    prices.extend(values.into_iter().map(|trade| (trade, self.trade(trade))));
                }
                Ok(values) => prices.extend(
                    values
                        .into_iter()
                        .map(|ticker| (ticker, self.advanced_ticker(ticker, &envelope))),
                ),
                Err(refused) => prices.push((event, Err(refused))),
            }
        }
        Ok(Some(prices))
    }

    fn trade(&self, raw: Value<'_>) -> Result<Outcome, Refused> {
        let fields: Fields = raw.object()?;
        self.traded(
            &fields,
            Some(required("size", fields.size)?),
            ADVANCED,
            Method::Trade,
        )
    }

    fn advanced_ticker(&self, raw: Value<'_>, envelope: &Envelope<'_>) -> Result<Outcome, Refused> {
        let fields: Fields = raw.object()?;
        let timestamp = required("timestamp", envelope.timestamp)?;
        let sequence = optional("sequence_num", envelope.sequence_num);
        self.ticker(&fields, timestamp, sequence, ADVANCED)
    }

    fn exchange(&self, raw: &RawValue) -> Result<Outcome, Refused> {
        let fields: Fields = Value::new("entry", raw).object()?;
        match required("type", fields.kind)?.text()?.as_ref() {
            "match" | "last_match" => {
                let size = required("size", fields.size)?;
                self.traded(&fields, Some(size), EXCHANGE, Method::Trade)
            }
            // The first one after a subscription may have no trade.
            "ticker" if optional("trade_id", fields.trade_id).is_none() => {
                let sequence = optional("sequence", fields.sequence);
                match optional("time", fields.time) {
                    Some(time) => self.ticker(&fields, time, sequence, EXCHANGE),
                    None => Ok(Outcome::Ignored("a ticker without a trade and a time")),
                }
            }
            "ticker" => {
                let size = optional("last_size", fields.last_size);
                self.traded(&fields, size, EXCHANGE, Method::Ticker)
            }
            _ => Ok(Outcome::Ignored("not a trade or ticker")),
        }
    }

    fn traded(
        &self,
        fields: &Fields<'_>,
        size: Option<Value<'_>>,
        source: &str,
        method: Method,
    ) -> Result<Outcome, Refused> {
        let product = required("product_id", fields.product_id)?.text()?;
        let (token, quote) = pair(&product)?;
        let trade_id = required("trade_id", fields.trade_id)?.sequence()?;
        Ok(Outcome::Tick(Tick {
            tick_id: TickId::derive("coinbase", &[&product, &trade_id.to_string()]),
            token,
            quote,
            price: required("price", fields.price)?.price()?,
            volume: size.map(Value::volume).transpose()?,
            timestamp_ms: required("time", fields.time)?.time_rfc3339(self.now_ms)?,
            ingested_at_ms: self.now_ms,
            source: name::source(source)?,
            slot: None,
            method,
            sequence: Some(trade_id),
            quality: None,
        }))
    }

    /// A ticker that names no trade.
    fn ticker(
        &self,
        fields: &Fields<'_>,
        timestamp: Value<'_>,
        sequence: Option<Value<'_>>,
        source: &str,
    ) -> Result<Outcome, Refused> {
        let product = required("product_id", fields.product_id)?.text()?;
        let (token, quote) = pair(&product)?;
        let sequence = sequence
            .map(Value::unsigned)
            .transpose()?
            .unwrap_or_default()
            .to_string();
        let parts = ["ticker", &product, &timestamp.text()?, &sequence];
        Ok(Outcome::Tick(Tick {
            tick_id: TickId::derive("coinbase", &parts),
            token,
            quote,
            price: required("price", fields.price)?.price()?,
            volume: None,
            timestamp_ms: timestamp.time_rfc3339(self.now_ms)?,
            ingested_at_ms: self.now_ms,
            source: name::source(source)?,
            slot: None,
            method: Method::Ticker,
            sequence: None,
            quality: None,
        }))
    }
}

/// Base and quote of `BTC-USD`. `BTC-PERP` is a contract of the International Exchange, not a price in
/// units of a currency PERP.
fn pair(product: &str) -> Result<(Token, Token), Refused> {
    let (base, quote) = product::split_at(product, '-')?;
    if quote.as_str() == "PERP" {
        return Err(product::not_a_product(product, "BASE-QUOTE"));
    }
    Ok((base, quote))
}

fn prices_of<'a>(event: Value<'a>, channel: &str) -> Result<Vec<Value<'a>>, Refused> {
    let event: Event = event.object()?;
    let (list, element) = match channel {
        "market_trades" => (required("trades", event.trades)?, "trades[]"),
        _ => (required("tickers", event.tickers)?, "tickers[]"),
    };
    Ok(list
        .array()?
        .into_iter()
        .map(|raw| Value::new(element, raw))
        .collect())
}
