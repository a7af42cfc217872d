//! A tick as an item: one attribute per column, with the names of JSON and amounts as exact numbers,
//! and whether the tick belongs to the stream.
//!
//! Items of release 1.0 have the same attributes, except `sequence`, `quality` and `in_cohort`.

use aws_sdk_dynamodb::types::AttributeValue;
use codec::json::{TickJson, from_json};
use codec::tick_columns::{COLUMNS, Column, Kind, Presence};
use domain::{Tick, TickId, Token};
use serde_json::{Map, Number, Value};

use super::attributes::{
    EXPIRES_AT, Item, ItemError, PK, SK, day_of, expires_at, integer_of, key, sortable, text,
    text_of,
};

/// The partition key of a token's ticks of one UTC day.
pub(crate) fn partition(token: &Token, timestamp_ms: i64) -> Result<String, ItemError> {
    Ok(format!("{token}#{}", day_of(timestamp_ms)?))
}

/// Whether the tick belongs to the stream: the decision that was made when it was stored. Items of
/// release 1.0 lack it.
const IN_COHORT: &str = "in_cohort";

/// The key of a tick's item: a replay has the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct ItemPlace {
    pub(crate) partition: String,
    pub(crate) sort: String,
}

impl ItemPlace {
    /// The sort key of release 1.0 lacks the quote, so two ticks of a token could have the same one.
    /// Ticks before `new_ids_from_ms` keep it, and an event of that time that is delivered again finds
    /// the item that release 1.0 wrote.
    pub(crate) fn of(tick: &Tick, new_ids_from_ms: i64) -> Result<Self, ItemError> {
        let time = sortable(tick.timestamp_ms);
        let id = tick.tick_id;
        Ok(Self {
            partition: partition(&tick.token, tick.timestamp_ms)?,
            sort: match tick.timestamp_ms >= new_ids_from_ms {
                true => format!("{time}#{id}#{}", tick.quote),
                false => format!("{time}#{id}"),
            },
        })
    }

    pub(crate) fn key(&self) -> Item {
        key(self.partition.as_str(), self.sort.as_str())
    }

    /// The place of an item, from its key.
    pub(crate) fn of_item(item: &Item) -> Result<Self, ItemError> {
        Ok(Self {
            partition: text_of(item, PK)?.to_owned(),
            sort: text_of(item, SK)?.to_owned(),
        })
    }
}

/// A tick as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StoredTick {
    pub(crate) tick: Tick,
    /// `None` if release 1.0 stored it.
    pub(crate) in_cohort: Option<bool>,
}

/// The stored tick of an item.
pub(crate) fn stored_tick_of(item: &Item) -> Result<StoredTick, ItemError> {
    let in_cohort = item.get(IN_COHORT);
    Ok(StoredTick {
        tick: tick_of(item)?,
        in_cohort: in_cohort.and_then(|value| value.as_bool().ok().copied()),
    })
}

/// The item of a tick.
pub(crate) fn item(
    tick: &Tick,
    in_cohort: bool,
    place: &ItemPlace,
    retention_days: u32,
) -> Result<Item, ItemError> {
    let Ok(Value::Object(fields)) = serde_json::to_value(TickJson(tick)) else {
        return Err(ItemError::Encode(
            "the tick is not a JSON object".to_owned(),
        ));
    };
    let mut item = place.key();
    item.insert(IN_COHORT.to_owned(), AttributeValue::Bool(in_cohort));
    for column in COLUMNS {
        match fields.get(column.json) {
            Some(value) => {
                item.insert(column.json.to_owned(), attribute(&column, value)?);
            }
            None if column.presence == Presence::Optional => {}
            None => return Err(ItemError::Attribute(column.json)),
        }
    }
    item.insert(
        EXPIRES_AT.to_owned(),
        expires_at(tick.ingested_at_ms, retention_days),
    );
    Ok(item)
}

fn attribute(column: &Column, value: &Value) -> Result<AttributeValue, ItemError> {
    match (column.kind, value) {
        (Kind::Text, Value::String(value)) => Ok(AttributeValue::S(value.clone())),
        (Kind::Amount, Value::String(value)) => Ok(AttributeValue::N(value.clone())),
        (Kind::Integer | Kind::EpochMs, Value::Number(value)) => {
            Ok(AttributeValue::N(value.to_string()))
        }
        (Kind::Text | Kind::Amount | Kind::Integer | Kind::EpochMs, _) => {
            Err(ItemError::Attribute(column.json))
        }
    }
}

/// The tick of an item, without loss.
pub(crate) fn tick_of(item: &Item) -> Result<Tick, ItemError> {
    let mut fields = Map::new();
    for column in COLUMNS {
        match item.get(column.json) {
            Some(value) => {
                fields.insert(column.json.to_owned(), json(&column, value)?);
            }
            None if column.presence == Presence::Optional => {}
            None => return Err(ItemError::Attribute(column.json)),
        }
    }
    from_json(Value::Object(fields).to_string().as_bytes()).map_err(|error| ItemError::Unreadable {
        name: "tick_id",
        cause: error.to_string(),
    })
}

fn json(column: &Column, value: &AttributeValue) -> Result<Value, ItemError> {
    let unreadable = |cause: serde_json::Error| ItemError::Unreadable {
        name: column.json,
        cause: cause.to_string(),
    };
    match (column.kind, value) {
        (Kind::Text, AttributeValue::S(value)) | (Kind::Amount, AttributeValue::N(value)) => {
            Ok(Value::String(value.clone()))
        }
        (Kind::Integer | Kind::EpochMs, AttributeValue::N(value)) => {
            let number: Number = value.parse().map_err(unreadable)?;
            Ok(Value::Number(number))
        }
        _ => Err(ItemError::Attribute(column.json)),
    }
}

/// The attribute of a claim that holds the tick's time, in milliseconds.
pub(crate) const CLAIMED_AT: &str = "timestamp";

/// The key of the claim of an arrival-stamped tick.
pub(crate) fn claim_key(id: TickId) -> Item {
    Item::from([
        (PK.to_owned(), text(format!("claim#{id}"))),
        (SK.to_owned(), text("claim")),
    ])
}

/// The time under which a tick was first claimed.
pub(crate) fn claimed_ms(claim: &Item) -> Result<i64, ItemError> {
    integer_of(claim, CLAIMED_AT)
}

#[cfg(test)]
mod tests {
    use domain::{Method, Price, Quality, SEQUENCE_MAX, SourceName, Volume};
    use proptest::prelude::*;
    use testkit::ticks::tick;

    use super::*;

    fn stored(tick: &Tick) -> Item {
        item(tick, true, &ItemPlace::of(tick, 0).unwrap(), 30).unwrap()
    }

    #[test]
    fn an_item_has_every_column_in_its_type_and_nothing_else() {
        let whole = Tick {
            slot: Some(398_123_456),
            sequence: Some(7),
            quality: Some(Quality::LowPrecision),
            ..tick("BTC", 3)
        };
        let item = stored(&whole);
        for column in COLUMNS {
            let value = item.get(column.json);
            let fits = match column.kind {
                Kind::Text => value.is_some_and(AttributeValue::is_s),
                Kind::Amount | Kind::Integer | Kind::EpochMs => {
                    value.is_some_and(AttributeValue::is_n)
                }
            };
            assert!(fits, "{}: {value:?}", column.json);
        }
        assert_eq!(
            item.len(),
            COLUMNS.len() + [PK, SK, EXPIRES_AT, IN_COHORT].len()
        );
    }

    #[test]
    fn keys_are_token_day_time_id_and_quote() {
        let made = tick("BTC", 0);
        let item = stored(&made);
        assert_eq!(item[PK], text("BTC#2026-01-01"));
        let of_1_0 = format!("1767225600000#{}", made.tick_id);
        assert_eq!(item[SK], text(format!("{of_1_0}#USD")));
        assert_eq!(
            ItemPlace::of_item(&item),
            ItemPlace::of(&made, made.timestamp_ms)
        );
        let before = ItemPlace::of(&made, made.timestamp_ms + 1).unwrap();
        assert_eq!(before.sort, of_1_0, "as release 1.0 stored it");
        assert_eq!(item["price"], AttributeValue::N("10".to_owned()));
        assert_eq!(
            item[EXPIRES_AT],
            AttributeValue::N((1_767_225_600 + 30 * 86_400).to_string())
        );
    }

    #[test]
    fn the_decision_is_kept_and_items_of_release_1_0_have_none() {
        let made = tick("BTC", 3);
        let place = ItemPlace::of(&made, 0).unwrap();
        for in_cohort in [true, false] {
            let item = item(&made, in_cohort, &place, 30).unwrap();
            let stored = stored_tick_of(&item).unwrap();
            assert_eq!((&stored.tick, stored.in_cohort), (&made, Some(in_cohort)));
        }
        let number = |value: &str| AttributeValue::N(value.to_owned());
        let of_1_0 = Item::from(
            [
                (PK, text("BTC#2026-01-01")),
                (SK, text("1767225603000#00000000000000000000000000000007")),
                ("tick_id", text("00000000000000000000000000000007")),
                ("token", text("BTC")),
                ("quote", text("USD")),
                ("price", number("10.03")),
                ("volume", number("0.4")),
                ("timestamp", number("1767225603000")),
                ("ingested_at", number("1767225603020")),
                ("source", text("testkit:made")),
                ("slot", number("398123456")),
                ("method", text("reported")),
                ("version", text("1.0")),
                (EXPIRES_AT, number("1769817603")),
            ]
            .map(|(name, value)| (name.to_owned(), value)),
        );
        let stored = stored_tick_of(&of_1_0).unwrap();
        assert_eq!(stored.in_cohort, None);
        let expected = Tick {
            tick_id: TickId::parse("00000000000000000000000000000007").unwrap(),
            slot: Some(398_123_456),
            ..made
        };
        assert_eq!(stored.tick, expected);
        let place = ItemPlace::of(&expected, i64::MAX).unwrap();
        assert_eq!(
            place.key(),
            Item::from_iter(
                of_1_0
                    .into_iter()
                    .filter(|(name, _)| name == PK || name == SK)
            )
        );
    }

    #[test]
    fn absent_fields_have_no_attribute() {
        let bare = Tick {
            volume: None,
            ..tick("BTC", 3)
        };
        let item = stored(&bare);
        assert!(!item.contains_key("volume") && !item.contains_key("slot"));
        assert_eq!(tick_of(&item).unwrap(), bare);
    }

    #[test]
    fn an_invalid_item_is_refused_with_the_reason() {
        let whole = stored(&tick("BTC", 3));
        for (name, value, part) in [
            ("price", None, "no attribute `price`"),
            ("price", Some(text("1.5")), "no attribute `price`"),
            (
                "timestamp",
                Some(AttributeValue::N("x".into())),
                "`timestamp` cannot be read",
            ),
            (
                "token",
                Some(text("a b")),
                "letters (A to Z, a to z), digits",
            ),
        ] {
            let mut item = whole.clone();
            match value {
                Some(value) => item.insert(name.to_owned(), value),
                None => item.remove(name),
            };
            let error = tick_of(&item).unwrap_err().to_string();
            assert!(error.contains(part), "{name}: {error}");
        }
    }

    prop_compose! {
        fn amount()(mantissa in 1_i64..=i64::MAX, scale in 0_u32..=28) -> String {
            format!("{mantissa}e-{scale}")
        }
    }

    fn any_tick() -> impl Strategy<Value = Tick> {
        let amounts = (
            amount().prop_filter_map("beyond the largest", |it| Price::parse(&it).ok()),
            proptest::option::of(
                amount().prop_filter_map("beyond the largest", |it| Volume::parse(&it).ok()),
            ),
        );
        let times = (0_i64..=9_999_999_999_999, any::<i64>());
        let rest = (
            any::<[u8; 16]>(),
            "[A-Za-z0-9._:$+-]{1,64}",
            proptest::option::of(any::<u64>()),
            proptest::sample::select(&Method::ALL[..]),
            proptest::option::of(0..=SEQUENCE_MAX),
            proptest::option::of(proptest::sample::select(&Quality::ALL[..])),
        );
        (amounts, times, rest).prop_map(|((price, volume), times, rest)| Tick {
            tick_id: TickId::from_bytes(rest.0),
            token: Token::new(&rest.1).unwrap(),
            quote: Token::new("USD").unwrap(),
            price,
            volume,
            timestamp_ms: times.0,
            ingested_at_ms: times.1,
            source: SourceName::new("test:any").unwrap(),
            slot: rest.2,
            method: rest.3,
            sequence: rest.4,
            quality: rest.5,
        })
    }

    proptest! {
        #[test]
        fn a_tick_round_trips_through_its_item(tick in any_tick()) {
            prop_assert_eq!(tick_of(&stored(&tick)).unwrap(), tick);
        }

        #[test]
        fn ticks_sort_by_time(a in 0_i64..=9_999_999_999_999, b in 0_i64..=9_999_999_999_999) {
            let place = |timestamp_ms| ItemPlace::of(&Tick { timestamp_ms, ..tick("BTC", 1) }, 0).unwrap();
            prop_assert_eq!(place(a).sort.cmp(&place(b).sort), a.cmp(&b));
        }
    }
}
