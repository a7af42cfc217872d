//! Candles and anomalies as items: readable attributes for people, and the bytes from which they
//! are restored without loss.

use aws_sdk_dynamodb::types::AttributeValue;
use domain::Pair;
use domain::Token;
use domain::analytics::{Anomaly, Candle, CandleV1, Interval};

use super::attributes::{
    EXPIRES_AT, Item, ItemError, bytes_of, day_of, expires_at, integer_of, key, number, packed,
    sortable, text, unpacked,
};

/// The attribute that counts how often a candle was reissued.
pub(crate) const REVISION: &str = "revision";

/// The attribute with the complete candle or anomaly.
const PACKED: &str = "packed";

/// The first byte of a packed candle, which is in postcard otherwise. Release 1.0 packed candles of
/// version 1 without it; these begin with the length of a name, at most 64. With the most members, a
/// packed candle has up to 400,000 bytes, and its item fits into DynamoDB's 409,600.
const FORMAT: u8 = 0xc3;

/// The partition key of the candles of a pair and interval that start on one UTC day.
pub(crate) fn candle_partition(
    token: &Token,
    quote: &Token,
    interval: Interval,
    start_ms: i64,
) -> Result<String, ItemError> {
    Ok(format!(
        "candle#{token}#{quote}#{interval}#{}",
        day_of(start_ms)?
    ))
}

/// The key of a candle.
pub(crate) fn candle_key(candle: &Candle) -> Result<Item, ItemError> {
    let start_ms = candle.start_ms;
    let partition = candle_partition(&candle.token, &candle.quote, candle.interval, start_ms)?;
    Ok(key(partition, sortable(start_ms)))
}

/// The key of a pair's candle of one second.
pub(crate) fn second_key(pair: &Pair, start_ms: i64) -> Result<Item, ItemError> {
    let interval = Interval::OneSecond;
    let partition = candle_partition(&pair.token, &pair.quote, interval, start_ms)?;
    Ok(key(partition, sortable(start_ms)))
}

fn packed_candle(candle: &Candle) -> Result<AttributeValue, ItemError> {
    packed(&(FORMAT, candle))
}

fn unpacked_candle(item: &Item) -> Result<Candle, ItemError> {
    match bytes_of(item, PACKED)?.first() {
        Some(&FORMAT) => unpacked(item, PACKED).map(|(_, candle): (u8, Candle)| candle),
        _ => unpacked(item, PACKED).map(|candle: CandleV1| candle.into()),
    }
}

/// The item of a candle.
pub(crate) fn candle_item(candle: &Candle, now_ms: i64, days: u32) -> Result<Item, ItemError> {
    let mut item = candle_key(candle)?;
    item.extend(
        [
            ("token", text(candle.token.as_str())),
            ("quote", text(candle.quote.as_str())),
            ("interval", text(candle.interval.as_str())),
            ("start", number(candle.start_ms)),
            ("open", number(candle.open)),
            ("high", number(candle.high)),
            ("low", number(candle.low)),
            ("close", number(candle.close)),
            ("trades", number(candle.tick_count)),
            (REVISION, number(candle.revision)),
            (PACKED, packed_candle(candle)?),
            (EXPIRES_AT, expires_at(now_ms, days)),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    if let Some(volume) = candle.volume {
        item.insert("volume".to_owned(), number(volume));
    }
    Ok(item)
}

/// The candle of an item.
pub(crate) fn candle_of(item: &Item) -> Result<Candle, ItemError> {
    let candle = unpacked_candle(item)?;
    // Somebody may have edited an item by hand; then one of the two forms is wrong.
    if integer_of(item, REVISION)? != i64::from(candle.revision) {
        return Err(ItemError::Unreadable {
            name: REVISION,
            cause: "it differs from the revision of the packed candle".to_owned(),
        });
    }
    Ok(candle)
}

/// The partition key of the anomalies of one UTC day.
pub(crate) fn anomaly_partition(timestamp_ms: i64) -> Result<String, ItemError> {
    Ok(format!("anomaly#{}", day_of(timestamp_ms)?))
}

/// The item of an anomaly. The same anomaly found again gives the same item.
pub(crate) fn anomaly_item(anomaly: &Anomaly, now_ms: i64, days: u32) -> Result<Item, ItemError> {
    let Anomaly { token, quote, .. } = anomaly;
    let time = sortable(anomaly.timestamp_ms);
    let sort = format!("{time}#{}#{token}/{quote}", anomaly.tick_id);
    let mut item = key(anomaly_partition(anomaly.timestamp_ms)?, sort);
    item.extend(
        [
            ("token", text(anomaly.token.as_str())),
            ("quote", text(anomaly.quote.as_str())),
            ("tick_id", text(anomaly.tick_id.to_string())),
            ("timestamp", number(anomaly.timestamp_ms)),
            ("price", number(anomaly.price)),
            ("message", text(anomaly.message.as_str())),
            (PACKED, packed(anomaly)?),
            (EXPIRES_AT, expires_at(now_ms, days)),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    Ok(item)
}

/// The anomaly of an item.
pub(crate) fn anomaly_of(item: &Item) -> Result<Anomaly, ItemError> {
    unpacked(item, PACKED)
}

#[cfg(test)]
mod tests {
    use domain::analytics::{AnomalyReason, MEMBERS_MAX, Member};
    use testkit::ticks::tick;

    use super::super::attributes::{PK, SK, fits};
    use super::*;

    fn candle(ticks: u32) -> Candle {
        let mut candle = Candle::of(&tick("BTC", 1), Interval::OneHour);
        (2..=ticks).for_each(|n| candle.merge(&Candle::of(&tick("BTC", n), Interval::OneHour)));
        candle.revision = 2;
        candle
    }

    #[test]
    fn a_candle_round_trips_and_is_readable() {
        let candle = candle(5);
        let item = candle_item(&candle, 1_767_225_600_000, 30).unwrap();
        assert_eq!(candle_of(&item).unwrap(), candle);
        assert_eq!(item[PK], text("candle#BTC#USD#1h#2026-01-01"));
        assert_eq!(item[SK], text("1767225600000"));
        for (name, expected) in [
            ("open", "10.01"),
            ("high", "10.05"),
            ("low", "10.01"),
            ("close", "10.05"),
            ("volume", "2"),
            ("trades", "5"),
            ("revision", "2"),
            ("start", "1767225600000"),
            ("expires_at", "1769817600"),
        ] {
            assert_eq!(item[name], number(expected), "{name}");
        }
    }

    #[test]
    fn a_candle_without_volumes_has_no_volume() {
        let without = |volume| {
            let tick = domain::Tick {
                volume,
                ..tick("BTC", 1)
            };
            let candle = Candle::of(&tick, Interval::OneHour);
            let item = candle_item(&candle, 0, 30).unwrap();
            assert_eq!(candle_of(&item).unwrap(), candle);
            item.get("volume").cloned()
        };
        assert_eq!(without(None), None);
        let zero = domain::Volume::parse("0").unwrap();
        assert_eq!(without(Some(zero)), Some(number(0)));
    }

    /// A candle of version 1, as release 1.0 wrote it.
    #[derive(serde::Serialize)]
    struct Before<'a> {
        token: &'a Token,
        quote: &'a Token,
        interval: Interval,
        start_ms: i64,
        open: domain::Price,
        high: domain::Price,
        low: domain::Price,
        close: domain::Price,
        volume: domain::analytics::TotalVolume,
        quote_volume: f64,
        tick_count: u64,
        first_ms: i64,
        first_id: domain::TickId,
        last_ms: i64,
        last_id: domain::TickId,
        revision: u32,
    }

    #[test]
    fn a_candle_of_release_1_0_is_read() {
        let candle = candle(5);
        let before = Before {
            token: &candle.token,
            quote: &candle.quote,
            interval: candle.interval,
            start_ms: candle.start_ms,
            open: candle.open,
            high: candle.high,
            low: candle.low,
            close: candle.close,
            volume: candle.volume.unwrap_or_default(),
            quote_volume: candle.quote_volume,
            tick_count: candle.tick_count,
            first_ms: candle.first.timestamp_ms,
            first_id: candle.first.tick_id,
            last_ms: candle.last.timestamp_ms,
            last_id: candle.last.tick_id,
            revision: candle.revision,
        };
        let mut item = candle_item(&candle, 0, 30).unwrap();
        item.insert(PACKED.to_owned(), packed(&before).unwrap());
        assert_eq!(candle_of(&item).unwrap(), candle);
        // 0 was written if no tick had a volume, too.
        let before = Before {
            volume: domain::analytics::TotalVolume::default(),
            ..before
        };
        item.insert(PACKED.to_owned(), packed(&before).unwrap());
        assert_eq!(candle_of(&item).unwrap().volume, None);
    }

    #[test]
    fn a_second_with_the_most_members_fits_into_an_item() {
        let mut candle = Candle::of(&tick("BTC", 1), Interval::OneSecond);
        candle.members = vec![Member(u64::MAX); MEMBERS_MAX];
        let item = candle_item(&candle, 0, 30).unwrap();
        assert_eq!(candle_of(&fits(item).unwrap()).unwrap(), candle);
    }

    #[test]
    fn a_half_edited_candle_is_refused() {
        let mut item = candle_item(&candle(2), 0, 30).unwrap();
        item.insert(REVISION.to_owned(), number(7));
        let error = candle_of(&item).unwrap_err().to_string();
        assert!(error.contains("`revision`"), "{error}");
    }

    #[test]
    fn an_anomaly_round_trips() {
        let made = tick("BTC", 7);
        let anomaly = Anomaly {
            token: made.token,
            quote: made.quote,
            tick_id: made.tick_id,
            timestamp_ms: made.timestamp_ms,
            price: made.price,
            score: 14.5,
            threshold: 8.0,
            window_ms: 1_200,
            reason: AnomalyReason::Jump,
            message: "rose 5.1 % in 1.2 s, 14 times the expected move".to_owned(),
        };
        let item = anomaly_item(&anomaly, 0, 30).unwrap();
        assert_eq!(anomaly_of(&item).unwrap(), anomaly);
        assert_eq!(item[PK], text("anomaly#2026-01-01"));
        // The same id and time in another pair is another item.
        let other = Anomaly {
            quote: Token::new("EUR").unwrap(),
            ..anomaly
        };
        let of_other = anomaly_item(&other, 0, 30).unwrap();
        assert_eq!(of_other[PK], item[PK]);
        assert_ne!(of_other[SK], item[SK]);
    }
}
