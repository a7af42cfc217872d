//! Pyth's Hermes: the array of v1 (`latest_price_feeds`), the updates of its WebSocket (`price_update`), and
//! the `parsed` array of v2.
//!
//! A price is exactly `price` × 10^`expo`, in the quote of its feed ([`PythFeeds`](crate::PythFeeds)); a
//! feed that is not known is refused. `conf` is the half width of its confidence interval; a price whose
//! interval is wide is marked. `ema_price`, a moving average over about an hour, is not read: nobody could
//! have traded at it. Feed, publish time and slot identify a price. The time only has whole seconds, so
//! without a slot (in v1) the price itself distinguishes two prices of one second.
//!
//! <https://hermes.pyth.network/docs/>, <https://docs.pyth.network/price-feeds/best-practices>

use domain::{COHORT_BUCKETS, Method, Percentage, Price, Quality, Reason, Tick, TickId};
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::delivery::{self, Answer, Outcome};
use crate::pyth_feeds::FEED_DIGITS;
use crate::refused::Refused;
use crate::value::{Value, optional, required};
use crate::{Entry, ParseContext, Source, Unreadable, name, pyth_feeds};

/// The most digits after the point of a decimal.
const SCALE_MAX: u32 = 28;

/// Pyth's Hermes.
#[derive(Debug)]
pub(crate) struct Pyth;

impl Source for Pyth {
    fn name(&self) -> &'static str {
        "pyth"
    }

    fn read(&self, body: &[u8], context: &ParseContext<'_>) -> Result<Vec<Entry>, Unreadable> {
        let text = delivery::text(body)?;
        let messages = delivery::one_or_many(text)?;
        let is_one = !text.trim_start().starts_with('[');
        let mut answer = Answer::default();
        for raw in messages {
            let what = if is_one { "delivery" } else { "entry" };
            match content(raw, what) {
                Ok(Content::Feeds(feeds)) => {
                    for raw in feeds {
                        answer.push(raw.get(), feed(raw, context))?;
                    }
                }
                Ok(Content::Response) => {
                    answer.push(raw.get(), Ok(Outcome::Ignored("response to a request")))?;
                }
                // One message is the whole delivery, which cannot be read then.
                Err(refused) if is_one => return Err(delivery::unreadable(refused)),
                Err(refused) => answer.push(raw.get(), Err(refused))?,
            }
        }
        Ok(answer.into_entries())
    }
}

/// The envelope of v2, and that of the WebSocket of v1.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    parsed: Option<&'a RawValue>,
    #[serde(borrow)]
    binary: Option<&'a RawValue>,
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    price_feed: Option<&'a RawValue>,
}

/// What a message is.
enum Content<'a> {
    Feeds(Vec<&'a RawValue>),
    Response,
}

#[derive(Deserialize)]
struct Feed<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    price: Option<&'a RawValue>,
    #[serde(borrow)]
    metadata: Option<&'a RawValue>,
    /// The average over a time that the sender chose, in the response to a request for it.
    #[serde(borrow)]
    twap: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Quotation<'a> {
    #[serde(borrow)]
    price: Option<&'a RawValue>,
    #[serde(borrow)]
    conf: Option<&'a RawValue>,
    #[serde(borrow)]
    expo: Option<&'a RawValue>,
    #[serde(borrow)]
    publish_time: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Metadata<'a> {
    #[serde(borrow)]
    slot: Option<&'a RawValue>,
}

fn content<'a>(raw: &'a RawValue, what: &'static str) -> Result<Content<'a>, Refused> {
    let message = Value::new(what, raw);
    let envelope: Envelope = message.object()?;
    if let Some(parsed) = optional("parsed", envelope.parsed) {
        if !parsed.is_array() {
            return Err(parsed.wrong_type("an array of price feeds"));
        }
        return parsed.array().map(Content::Feeds);
    }
    if envelope.binary.is_some() {
        return Err(Refused::new(
            Reason::MissingField,
            "`parsed` is missing: request parsed=true from Hermes",
        ));
    }
    match optional("type", envelope.kind) {
        None => Ok(Content::Feeds(vec![raw])),
        Some(kind) if kind.text()? == "price_update" => {
            required("price_feed", envelope.price_feed)?;
            Ok(Content::Feeds(envelope.price_feed.into_iter().collect()))
        }
        Some(_) => Ok(Content::Response),
    }
}

fn feed(raw: &RawValue, context: &ParseContext<'_>) -> Result<Outcome, Refused> {
    let settings = context.settings;
    let feed: Feed = Value::new("entry", raw).object()?;
    let id = feed_id(required("id", feed.id)?)?;
    if feed.price.is_none() && feed.twap.is_some() {
        return Ok(Outcome::Ignored("a time-weighted average"));
    }
    let quotation: Quotation = required("price", feed.price)?.object()?;
    let metadata: Option<Metadata> = optional("metadata", feed.metadata)
        .map(Value::object)
        .transpose()?;
    let slot = metadata.and_then(|metadata| optional("slot", metadata.slot));
    let slot = slot.map(Value::slot).transpose()?;
    let price = price(&quotation)?;
    let quality = quality(&quotation, settings.pyth_wide_confidence)?;
    let timestamp_ms = required("publish_time", quotation.publish_time)?.time_s(context.now_ms)?;
    let (token, quote) = settings.pyth_feeds.pair(&id).ok_or_else(|| unknown(&id))?;
    let of_the_second = slot.map_or_else(|| price.to_string(), |slot| format!("slot {slot}"));
    Ok(Outcome::Tick(Tick {
        tick_id: TickId::derive("pyth", &[&id, &timestamp_ms.to_string(), &of_the_second]),
        token,
        quote,
        price,
        volume: None,
        timestamp_ms,
        ingested_at_ms: context.now_ms,
        source: name::source("pyth:hermes")?,
        slot,
        method: Method::Oracle,
        sequence: None,
        quality,
    }))
}

fn feed_id(value: Value<'_>) -> Result<String, Refused> {
    pyth_feeds::feed_id(&value.text()?).ok_or_else(|| {
        let rule = format_args!("a feed id has {FEED_DIGITS} hexadecimal digits");
        value.refused(Reason::InvalidToken, rule)
    })
}

fn unknown(id: &str) -> Refused {
    Refused::new(
        Reason::InvalidToken,
        format_args!(
            "base and quote of the feed {id} are not known: name them in the setting PYTH_FEEDS, as \
             {id}=BASE/QUOTE"
        ),
    )
}

/// Whether the confidence interval is wider than the share of the price. Both have the same exponent.
fn quality(quotation: &Quotation<'_>, share: Percentage) -> Result<Option<Quality>, Refused> {
    let conf = required("conf", quotation.conf)?.unsigned()?;
    let price = required("price", quotation.price)?.signed()?.unsigned_abs();
    let is_wide = u128::from(conf) * u128::from(COHORT_BUCKETS)
        > u128::from(price) * u128::from(share.basis_points());
    Ok(is_wide.then_some(Quality::WideConfidence))
}

fn price(quotation: &Quotation<'_>) -> Result<Price, Refused> {
    let value = required("price", quotation.price)?;
    let digits = value.signed()?;
    let expo = required("expo", quotation.expo)?;
    let exponent = expo.signed()?;
    let scaled = scale(digits, exponent).ok_or_else(|| {
        let rule = format_args!("{digits} x 10^{exponent} does not fit in a decimal of 28 digits");
        expo.refused(Reason::InvalidPrice, rule)
    })?;
    Price::new(scaled).map_err(|error| value.refused(Reason::InvalidPrice, error))
}

/// `digits` × 10^`exponent`, if a decimal can hold it.
fn scale(digits: i64, exponent: i64) -> Option<Decimal> {
    let places = u32::try_from(exponent.unsigned_abs())
        .ok()
        .filter(|places| *places <= SCALE_MAX)?;
    if exponent <= 0 {
        return Decimal::try_from_i128_with_scale(i128::from(digits), places).ok();
    }
    let factor = 10_i128.checked_pow(places)?;
    Decimal::try_from_i128_with_scale(i128::from(digits).checked_mul(factor)?, 0).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(digits: i64, exponent: i64, expected: Option<&str>) {
        let seen = scale(digits, exponent).map(|price| price.to_string());
        assert_eq!(seen.as_deref(), expected, "{digits} x 10^{exponent}");
    }

    #[test]
    fn prices_are_scaled_exactly() {
        check(184_136_023_127, -8, Some("1841.36023127"));
        check(5, 0, Some("5"));
        check(5, 3, Some("5000"));
        check(i64::MAX, -28, Some("0.0000000009223372036854775807"));
        check(1, -29, None);
        check(i64::MAX, 28, None);
        check(1, i64::MIN, None);
        check(1, i64::MAX, None);
    }
}
