//! CoinGecko's simple prices: an object with the prices of each coin in one or more currencies.
//!
//! Documentation: <https://docs.coingecko.com/reference/simple-price>, and `simple-token-price` for
//! addresses instead of ids. Each coin and currency is an entry. `last_updated_at` is its time, and
//! with coin, currency and price its identity. A price without it is refused: nothing would
//! distinguish a price that comes back from a delivery that is repeated.

use std::collections::BTreeSet;

use domain::{Method, Reason, Tick, TickId};
use serde_json::value::RawValue;

use crate::delivery::{self, Answer, Outcome};
use crate::refused::Refused;
use crate::value::{Value, optional};
use crate::{Entry, ParseContext, Source, Unreadable, name};

/// Symbols of widely traded coins by their ids in `/coins/list`, as of November 2026. The token of any
/// other coin is its id: a symbol does not identify a coin.
const SYMBOLS: &[(&str, &str)] = &[
    ("aave", "AAVE"),
    ("algorand", "ALGO"),
    ("aptos", "APT"),
    ("arbitrum", "ARB"),
    ("avalanche-2", "AVAX"),
    ("binancecoin", "BNB"),
    ("bitcoin", "BTC"),
    ("bitcoin-cash", "BCH"),
    ("bonk", "BONK"),
    ("cardano", "ADA"),
    ("chainlink", "LINK"),
    ("cosmos", "ATOM"),
    ("dai", "DAI"),
    ("dogecoin", "DOGE"),
    ("dogwifcoin", "WIF"),
    ("eos", "EOS"),
    ("ethereum", "ETH"),
    ("ethereum-classic", "ETC"),
    ("filecoin", "FIL"),
    ("hedera-hashgraph", "HBAR"),
    ("internet-computer", "ICP"),
    ("jito-governance-token", "JTO"),
    ("jupiter-exchange-solana", "JUP"),
    ("litecoin", "LTC"),
    ("monero", "XMR"),
    ("near", "NEAR"),
    ("optimism", "OP"),
    ("paypal-usd", "PYUSD"),
    ("pepe", "PEPE"),
    ("polkadot", "DOT"),
    ("polygon-ecosystem-token", "POL"),
    ("pyth-network", "PYTH"),
    ("raydium", "RAY"),
    ("render-token", "RENDER"),
    ("ripple", "XRP"),
    ("shiba-inu", "SHIB"),
    ("solana", "SOL"),
    ("stellar", "XLM"),
    ("sui", "SUI"),
    ("tether", "USDT"),
    ("the-open-network", "TON"),
    ("tron", "TRX"),
    ("uniswap", "UNI"),
    ("usd-coin", "USDC"),
    ("wrapped-bitcoin", "WBTC"),
    ("yearn-finance", "YFI"),
];

const UPDATED_AT: &str = "last_updated_at";

/// The longest text of a coin that is kept with each price that is refused. A coin with all 60 currencies of
/// the API has about 1,000 bytes.
const COIN_BYTES_MAX: usize = 1_024;

/// CoinGecko's simple prices.
#[derive(Debug)]
pub(crate) struct CoinGecko;

impl Source for CoinGecko {
    fn name(&self) -> &'static str {
        "coingecko"
    }

    fn read(&self, body: &[u8], context: &ParseContext<'_>) -> Result<Vec<Entry>, Unreadable> {
        let now_ms = context.now_ms;
        let mut answer = Answer::default();
        for whole in delivery::one_or_many(delivery::text(body)?)? {
            let coins = match coins(whole) {
                Ok(coins) => coins,
                Err(refused) => {
                    answer.push(whole.get(), Err(refused))?;
                    continue;
                }
            };
            if coins.iter().any(is_notice) {
                answer.push(whole.get(), Ok(Outcome::Ignored("an error or a notice")))?;
                continue;
            }
            let mut seen = BTreeSet::new();
            for (id, raw) in &coins {
                if !seen.insert(id) {
                    answer.push_part(raw.get(), whole.get(), Err(twice(id)))?;
                    continue;
                }
                match coin(id, raw, now_ms) {
                    Ok(prices) => {
                        for (value, price) in prices {
                            answer.push_part(shown(raw, value), whole.get(), price)?;
                        }
                    }
                    Err(refused) => answer.push_part(raw.get(), whole.get(), Err(refused))?,
                }
            }
        }
        Ok(answer.into_entries())
    }
}

/// The coins of a message, with their prices.
fn coins(raw: &RawValue) -> Result<Vec<(String, &RawValue)>, Refused> {
    let coins = Value::new("entry", raw).members()?;
    // Another answer of the API, such as that of /coins/markets, is refused once.
    let is_coin = |(_, raw): &(String, &RawValue)| is_object(raw);
    if coins.is_empty() || coins.iter().any(is_coin) || coins.iter().any(is_notice) {
        return Ok(coins);
    }
    Err(Refused::new(
        Reason::WrongType,
        "no member is a coin with its prices: send the response of /simple/price",
    ))
}

fn is_object(raw: &RawValue) -> bool {
    raw.get().starts_with('{')
}

/// Whether a member shows that the message has no prices: an error, or the answer to a ping. `status`
/// is also the id of a coin.
fn is_notice((key, raw): &(String, &RawValue)) -> bool {
    match key.as_str() {
        "error_code" => true,
        "error" | "gecko_says" => raw.get().starts_with('"'),
        "status" => raw.get().contains("\"error_code\""),
        _ => false,
    }
}

/// A price of a coin, with its value.
type CoinPrice<'a> = (&'a RawValue, Result<Outcome, Refused>);

/// What is kept of a price that is refused: the whole coin, which names the currency, or the value alone if
/// the coin is large: it would be kept for each of its currencies.
fn shown<'a>(coin: &'a RawValue, value: &'a RawValue) -> &'a str {
    if coin.get().len() <= COIN_BYTES_MAX {
        coin.get()
    } else {
        value.get()
    }
}

/// The prices of a coin, one for each currency.
fn coin<'a>(id: &str, raw: &'a RawValue, now_ms: i64) -> Result<Vec<CoinPrice<'a>>, Refused> {
    let no_price = || Ok(vec![(raw, Ok(Outcome::Ignored("no price")))]);
    if raw.get() == "null" {
        return no_price();
    }
    let members = Value::new("entry", raw).members()?;
    let mut seen = BTreeSet::new();
    if let Some((key, _)) = members.iter().find(|(key, _)| !seen.insert(key)) {
        return Err(twice(key));
    }
    // Currencies have no underscore; market values, volumes and changes do.
    let prices: Vec<_> = members
        .iter()
        .filter(|(key, _)| !key.contains('_'))
        .filter_map(|(currency, raw)| Some((currency, *raw, optional("price", Some(*raw))?)))
        .collect();
    if prices.is_empty() {
        return no_price();
    }
    let updated_at = members
        .iter()
        .find(|(key, _)| key == UPDATED_AT)
        .and_then(|(_, raw)| optional(UPDATED_AT, Some(*raw)))
        .ok_or_else(without_time)?;
    let timestamp_ms = updated_at.time_s(now_ms)?;
    Ok(prices
        .into_iter()
        .map(|(currency, raw, value)| (raw, price(id, currency, value, timestamp_ms, now_ms)))
        .collect())
}

fn price(
    id: &str,
    currency: &str,
    value: Value<'_>,
    timestamp_ms: i64,
    now_ms: i64,
) -> Result<Outcome, Refused> {
    let token = name::token(symbol(id))?;
    let quote = name::token(&currency.to_ascii_uppercase())?;
    if token == quote {
        return Ok(Outcome::Ignored("the price of a coin in itself"));
    }
    let price = value.double_price()?;
    let event = [id, currency, &timestamp_ms.to_string(), &price.to_string()];
    Ok(Outcome::Tick(Tick {
        tick_id: TickId::derive("coingecko", &event),
        token,
        quote,
        price,
        volume: None,
        timestamp_ms,
        ingested_at_ms: now_ms,
        source: name::source("coingecko:price")?,
        slot: None,
        method: Method::Quote,
        sequence: None,
        quality: None,
    }))
}

fn symbol(id: &str) -> &str {
    SYMBOLS
        .iter()
        .find(|(coin, _)| *coin == id)
        .map_or(id, |(_, symbol)| symbol)
}

fn twice(key: &str) -> Refused {
    Refused::new(
        Reason::DuplicateField,
        format_args!("`{key}` occurs twice: send it once"),
    )
}

fn without_time() -> Refused {
    Refused::new(
        Reason::MissingField,
        format_args!(
            "`{UPDATED_AT}` is missing: request the prices with include_last_updated_at=true"
        ),
    )
}
