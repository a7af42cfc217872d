//! For any delivery: no panic, one outcome per entry, and the same ids for the same bytes.

use std::collections::BTreeSet;

use domain::{AmountError, Price};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::Value;
use sources::{ALL, Entry, ParseContext};

use crate::{NOW_MS, fixtures, only_tick};

/// Parses twice, and checks the properties of any delivery.
fn check(source: &dyn sources::Source, body: &[u8]) {
    let context = ParseContext::at(NOW_MS);
    let Ok(entries) = source.parse(body, &context) else {
        assert!(source.parse(body, &context).is_err());
        return;
    };
    assert_eq!(
        source.parse(body, &context).as_ref(),
        Ok(&entries),
        "a replay is the same"
    );
    let mut indices = BTreeSet::new();
    for (position, entry) in entries.iter().enumerate() {
        match entry {
            Entry::Malformed(malformed) => {
                assert_eq!(malformed.index, position);
                assert!(indices.insert(malformed.index));
                assert!(!malformed.message.is_empty());
            }
            Entry::Tick(tick) | Entry::ArrivalStamped(tick) => {
                assert_eq!(tick.ingested_at_ms, NOW_MS);
                domain::check_timestamp(tick.timestamp_ms, NOW_MS).unwrap();
            }
            Entry::Ignored(why) => assert!(!why.is_empty()),
        }
    }
    // Later, the same delivery gives the same ids, possibly with another arrival stamp.
    let ids = |entries: &[Entry]| -> Vec<_> {
        let id = |entry: &Entry| match entry {
            Entry::Tick(tick) | Entry::ArrivalStamped(tick) => Some(tick.tick_id),
            Entry::Ignored(_) | Entry::Malformed(_) => None,
        };
        entries.iter().map(id).collect()
    };
    let later = source.parse(body, &ParseContext::at(NOW_MS + 1)).unwrap();
    for (now, later) in ids(&entries).into_iter().zip(ids(&later)) {
        assert!(now.is_none() || now == later);
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        "[A-Z]{3,4}[-/]?[A-Z]{3,4}".prop_map(Value::from),
        (1_700_000_000_000_i64..1_795_000_000_000).prop_map(Value::from),
    ];
    let key = prop_oneof![
        Just("token"),
        Just("price"),
        Just("timestamp"),
        Just("ticks"),
        Just("id"),
        Just("e"),
        Just("s"),
        Just("t"),
        Just("p"),
        Just("q"),
        Just("T"),
        Just("u"),
        Just("b"),
        Just("a"),
        Just("lastUpdateId"),
        Just("event"),
        Just("data"),
        Just("channel"),
        Just("type"),
        Just("events"),
        Just("swap"),
        Just("parsed"),
        Just("price_feed"),
        Just("publish_time"),
        Just("conf"),
        Just("expo"),
        Just("usdPrice"),
        Just("blockId"),
        Just("meta"),
        Just("transaction"),
        Just("tokenTransfers"),
        Just("accountData"),
        Just("signature"),
        Just("feePayer"),
        Just("arg"),
        Just("instId"),
        Just("topic"),
        Just("lastPrice"),
        Just("usd"),
        Just("last_updated_at"),
        Just("value"),
        Just("updateUnixTime"),
    ];
    scalar.prop_recursive(5, 48, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((key.clone(), inner), 0..6).prop_map(|members| {
                members
                    .into_iter()
                    .map(|(key, value)| (key.to_owned(), value))
                    .collect()
            }),
        ]
    })
}

/// Replaces the value at `position`, counted from the document downwards, with `other`. Returns how
/// many positions are left to count.
fn replace(value: &mut Value, position: usize, other: &Value) -> Option<usize> {
    let Some(mut position) = position.checked_sub(1) else {
        *value = other.clone();
        return None;
    };
    let inner: Vec<&mut Value> = match value {
        Value::Array(elements) => elements.iter_mut().collect(),
        Value::Object(members) => members.values_mut().collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    };
    for value in inner {
        position = replace(value, position, other)?;
    }
    Some(position)
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(elements) => elements.iter().map(count).sum(),
        Value::Object(members) => members.values().map(count).sum::<usize>(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

fn fixture() -> impl Strategy<Value = (&'static str, String)> {
    prop::sample::select(fixtures::all())
}

fn source(name: &str) -> &'static dyn sources::Source {
    sources::find(name).unwrap()
}

proptest! {
    #[test]
    fn bytes_never_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
        ALL.iter().for_each(|source| check(*source, &body));
    }

    #[test]
    fn json_never_panics(value in any_json()) {
        let body = value.to_string();
        ALL.iter().for_each(|source| check(*source, body.as_bytes()));
    }

    #[test]
    fn broken_fixtures_never_panic(
        (name, body) in fixture(),
        breaks in prop::collection::vec((any::<Index>(), any::<u8>()), 1..4),
    ) {
        let mut body = body.into_bytes();
        for (place, byte) in breaks {
            let place = place.index(body.len());
            body[place] = byte;
        }
        check(source(name), &body);
    }

    /// Replaces any value of a fixture with any other.
    #[test]
    fn mutated_fixtures_never_panic(
        (name, body) in fixture(),
        place in any::<Index>(),
        other in any_json(),
    ) {
        let mut document: Value = serde_json::from_str(&body.replace("1e400", "1e40")
            .replace("\\ud800", "")).unwrap();
        let places = count(&document);
        replace(&mut document, place.index(places), &other);
        check(source(name), document.to_string().as_bytes());
    }

    #[test]
    fn truncated_fixtures_never_panic((name, body) in fixture(), at in any::<Index>()) {
        check(source(name), &body.as_bytes()[..at.index(body.len())]);
    }

    /// One bad entry does not affect the others.
    #[test]
    fn a_bad_entry_does_not_affect_others(bad in any_json(), before in any::<bool>()) {
        let good = r#"{"token":"A","price":"1","timestamp":1760000000000}"#;
        let list = if before { format!("[{bad},{good}]") } else { format!("[{good},{bad}]") };
        let entries = source("ticks").parse(list.as_bytes(), &ParseContext::at(NOW_MS)).unwrap();
        let kept = if before { entries.last() } else { entries.first() };
        prop_assert_eq!(kept, Some(&Entry::Tick(only_tick("ticks", good))));
    }

    /// A price is read exactly, or refused by the domain's rules.
    #[test]
    fn prices_follow_the_domains_rules(text in "-?[0-9]{1,22}(\\.[0-9]{1,12})?([eE][+-]?[0-9]{1,3})?") {
        let body = format!(r#"{{"token":"A","price":"{text}","timestamp":1760000000000}}"#);
        let entries = source("ticks").parse(body.as_bytes(), &ParseContext::at(NOW_MS)).unwrap();
        let expected: Result<Price, AmountError> = Price::parse(&text);
        match (entries.as_slice(), expected) {
            ([Entry::Tick(tick)], Ok(price)) => prop_assert_eq!(tick.price, price),
            ([Entry::Malformed(malformed)], Err(error)) => {
                prop_assert!(malformed.message.contains(&error.to_string()));
            }
            (seen, expected) => prop_assert!(false, "{:?} but {:?}", seen, expected),
        }
    }
}
