//! Our own JSON: exact numbers, times and the identity of a tick.

use domain::{Quality, Reason, TickId};
use sources::{Entry, ParseContext};

use crate::{NOW_MS, entries, only_malformed, only_tick};

fn with(fields: &str) -> String {
    let id = if fields.contains("\"timestamp\"") {
        ""
    } else {
        r#","timestamp":1760000000000"#
    };
    format!(r#"{{"token":"BTC","price":"1.5"{id}{fields}}}"#)
}

#[test]
fn prices_are_read_from_their_text() {
    for (price, expected) in [
        ("39432.48", "39432.48"),
        ("\"39432.480\"", "39432.48"),
        // More digits than a double has.
        (
            "1234567890.12345678901234567",
            "1234567890.12345678901234567",
        ),
        (
            "0.1000000000000000055511151231",
            "0.1000000000000000055511151231",
        ),
        ("1e-7", "0.0000001"),
        ("1.5E+3", "1500"),
        ("\"1.5e3\"", "1500"),
        ("1000000000000000000000", "1000000000000000000000"),
    ] {
        let body = format!(r#"{{"token":"A","price":{price},"timestamp":1760000000000}}"#);
        assert_eq!(
            only_tick("ticks", &body).price.to_string(),
            expected,
            "{price}"
        );
    }
}

#[test]
fn times_are_epoch_milliseconds_or_rfc_3339() {
    for (time, expected) in [
        ("1760000000123", 1_760_000_000_123),
        ("\"1760000000123\"", 1_760_000_000_123),
        ("\"2025-10-09T08:53:20.123Z\"", 1_760_000_000_123),
        ("\"2025-10-09T08:53:20.123999Z\"", 1_760_000_000_123),
        ("\"2025-10-09T10:53:20.123+02:00\"", 1_760_000_000_123),
        ("\"2025-10-09 08:53:20.123z\"", 1_760_000_000_123),
    ] {
        let tick = only_tick("ticks", &with(&format!(r#","timestamp":{time}"#)));
        assert_eq!(tick.timestamp_ms, expected, "{time}");
    }
    for time in [
        "\"2025-10-09\"",
        "1e12",
        "\"\"",
        "\"1760000000123 \"",
        "99999999999999999999",
    ] {
        let malformed = only_malformed("ticks", &with(&format!(r#","timestamp":{time}"#)));
        assert_eq!(malformed.reason, Reason::InvalidTimestamp, "{time}");
    }
}

#[test]
fn a_senders_id_is_the_identity_of_its_pair_and_time_whatever_else_changes() {
    let id = |fields: &str| only_tick("ticks", &with(fields)).tick_id;
    let derived =
        |id: &str| TickId::derive("ticks", &["ticks:api", "BTC", "USD", "1760000000000", id]);
    assert_eq!(id(r#","id":"order 17""#), derived("order 17"));
    assert_eq!(
        id(r#","id":"order 17","volume":3"#),
        id(r#","id":"order 17""#)
    );
    assert_ne!(id(r#","id":"order 18""#), id(r#","id":"order 17""#));
    // An exported tick keeps its id, even beside an id from the sender.
    let stored = "00112233445566778899aabbccddeeff";
    let both = format!(r#","tick_id":"{stored}","id":"order 17""#);
    assert_eq!(id(&both).to_string(), stored);
    let longest = format!(r#","id":"{}""#, "ü".repeat(64));
    assert_eq!(id(&longest), derived(&"ü".repeat(64)));
    let too_long = only_malformed("ticks", &with(&format!(r#","id":"{}""#, "a".repeat(129))));
    assert_eq!(too_long.reason, Reason::InvalidId);
    let upper = only_malformed(
        "ticks",
        &with(&format!(r#","tick_id":"{}""#, "A".repeat(32))),
    );
    assert_eq!(upper.reason, Reason::InvalidId);
}

#[test]
fn a_near_miss_of_an_absent_field_is_refused_and_other_members_are_ignored() {
    for (fields, found, meant) in [
        (r#","qoute":"EUR""#, "qoute", "quote"),
        (r#","quote":null,"Quote":"EUR""#, "Quote", "quote"),
        (r#","volum":"1""#, "volum", "volume"),
        (r#","sorce":"desk:berlin""#, "sorce", "source"),
        (r#","metod":"trade""#, "metod", "method"),
        (r#","tickId":"7""#, "tickId", "tick_id"),
    ] {
        let malformed = only_malformed("ticks", &with(fields));
        assert_eq!(malformed.reason, Reason::MissingField, "{fields}");
        let message = &malformed.message;
        for name in [found, meant] {
            assert!(message.contains(&format!("`{name}`")), "{message}");
        }
    }
    for tolerated in [
        r#","quote":"USD","qoute":"EUR""#,
        r#","exchange":"x","side":"buy","ids":[1],"lot":2"#,
    ] {
        let tick = only_tick("ticks", &with(tolerated));
        assert_eq!(tick.quote.as_str(), "USD", "{tolerated}");
    }
}

#[test]
fn without_an_id_the_fields_are_the_identity() {
    let id = |fields: &str| only_tick("ticks", &with(fields)).tick_id;
    let plain = id("");
    // The same with other spellings.
    for same in [
        r#","quote":"USD""#,
        r#","source":"ticks:api""#,
        r#","timestamp":"2025-10-09T08:53:20Z""#,
        r#","volume":null"#,
        r#","note":1"#,
    ] {
        assert_eq!(id(same), plain, "{same}");
    }
    for other in [
        r#","quote":"EUR""#,
        r#","source":"desk:berlin""#,
        r#","timestamp":1760000000001"#,
        r#","volume":0"#,
        r#","volume":1"#,
    ] {
        assert_ne!(id(other), plain, "{other}");
    }
    assert_eq!(id(r#","volume":"1.0""#), id(r#","volume":1"#));
}

#[test]
fn escaped_keys_and_texts_are_read() {
    let body = r#"{"tok\u0065n":"B\u0054C","price":"1","timestamp":1760000000000}"#;
    assert_eq!(only_tick("ticks", body).token.as_str(), "BTC");
    let twice = r#"{"token":"A","tok\u0065n":"B","price":"1","timestamp":1760000000000}"#;
    assert_eq!(
        only_malformed("ticks", twice).reason,
        Reason::DuplicateField
    );
}

#[test]
fn an_array_of_one_is_not_an_envelope() {
    let seen = entries("ticks", r#"[{"ticks":[]}]"#);
    assert!(matches!(seen.as_slice(), [Entry::Malformed(_)]), "{seen:?}");
}

#[test]
fn slots_that_the_archive_cannot_hold_are_refused() {
    let slot = |text: &str| with(&format!(r#","slot":{text}"#));
    assert_eq!(
        only_tick("ticks", &slot("9223372036854775807")).slot,
        Some(9_223_372_036_854_775_807)
    );
    let malformed = only_malformed("ticks", &slot("9223372036854775808"));
    assert!(
        malformed.message.contains("2^63 - 1"),
        "{}",
        malformed.message
    );
}

#[test]
fn a_number_that_would_have_to_be_rounded_is_refused() {
    let body =
        r#"{"token":"A","price":1.2345678901234567890123456789e-3,"timestamp":1760000000000}"#;
    assert_eq!(only_malformed("ticks", body).reason, Reason::InvalidPrice);
}

#[test]
fn a_sequence_and_a_quality_are_kept() {
    let tick = only_tick("ticks", &with(""));
    assert_eq!((tick.sequence, tick.quality), (None, None));
    for (text, expected) in [
        ("0", 0),
        ("\"17\"", 17),
        ("9223372036854775807", 9_223_372_036_854_775_807),
    ] {
        let tick = only_tick("ticks", &with(&format!(r#","sequence":{text}"#)));
        assert_eq!(tick.sequence, Some(expected));
    }
    for quality in Quality::ALL {
        let body = with(&format!(r#","quality":"{}""#, quality.as_str()));
        assert_eq!(only_tick("ticks", &body).quality, Some(quality));
    }
    let none = only_tick("ticks", &with(r#","sequence":null,"quality":null"#));
    assert_eq!((none.sequence, none.quality), (None, None));
    for (field, part) in [
        (r#","sequence":9223372036854775808"#, "2^63 - 1"),
        (r#","sequence":-1"#, "`sequence`"),
        (r#","sequence":1.5"#, "`sequence`"),
        (
            r#","quality":"good""#,
            "use `low_precision` or `wide_confidence`",
        ),
        (r#","quality":1"#, "`quality`"),
    ] {
        let malformed = only_malformed("ticks", &with(field));
        assert!(malformed.message.contains(part), "{}", malformed.message);
    }
}

/// Neither is part of what makes two entries the same event.
#[test]
fn a_sequence_and_a_quality_do_not_change_the_id() {
    for identity in ["", r#","id":"order-1""#] {
        let plain = only_tick("ticks", &with(identity));
        let more = format!(r#"{identity},"sequence":5,"quality":"low_precision""#);
        let more = only_tick("ticks", &with(&more));
        assert_eq!(plain.identity(), more.identity());
    }
}

#[test]
fn an_id_is_that_of_its_source_token_quote_and_time() {
    let id = |more: &str, token: &str, time: &str| {
        let body =
            format!(r#"{{"token":"{token}","price":"1","timestamp":{time},"id":"1"{more}}}"#);
        only_tick("ticks", &body).tick_id
    };
    let first = id("", "A", "1760000000000");
    assert_eq!(
        first,
        id(r#","quote":"USD","volume":"2""#, "A", "1760000000000")
    );
    for other in [
        id("", "B", "1760000000000"),
        id("", "A", "1760000000001"),
        id(r#","quote":"EUR""#, "A", "1760000000000"),
        id(r#","source":"me:venue""#, "A", "1760000000000"),
    ] {
        assert_ne!(first, other);
    }
    let kept = r#","tick_id":"000102030405060708090a0b0c0d0e0f""#;
    let kept = id(kept, "A", "1760000000000").to_string();
    assert_eq!(kept, "000102030405060708090a0b0c0d0e0f");
}

/// A delivery that is repeated after an upgrade must give the ticks that release 1.0 stored.
#[test]
fn events_before_the_switch_have_the_id_of_release_1_0() {
    const SWITCH_MS: i64 = 1_760_000_000_000;
    let source = sources::find("ticks").unwrap();
    let id = |body: &str, since_ms: i64| {
        let context = ParseContext {
            new_ids_from_ms: since_ms,
            ..ParseContext::at(NOW_MS)
        };
        let entries = source.parse(body.as_bytes(), &context);
        match entries.unwrap().as_slice() {
            [Entry::Tick(tick)] => tick.tick_id,
            other => panic!("one tick expected, not {other:?}: {body}"),
        }
    };
    let body = |time_ms: i64| {
        format!(r#"{{"token":"A","price":"1","timestamp":{time_ms},"id":"order-1"}}"#)
    };
    let of_1_0 = TickId::derive("ticks", &["order-1"]);
    assert_eq!(id(&body(SWITCH_MS - 1), SWITCH_MS), of_1_0);
    for (time_ms, since_ms) in [
        (SWITCH_MS, SWITCH_MS),
        (SWITCH_MS + 1, SWITCH_MS),
        (SWITCH_MS, 0),
    ] {
        let body = body(time_ms);
        assert_ne!(id(&body, since_ms), of_1_0);
        assert_eq!(id(&body, since_ms), only_tick("ticks", &body).tick_id);
    }
    // Without a sender's id nothing changed, and a kept id is always kept.
    for identity in ["", r#","tick_id":"000102030405060708090a0b0c0d0e0f""#] {
        let body = with(identity);
        assert_eq!(id(&body, 0), id(&body, i64::MAX), "{body}");
    }
    // No other source has changed its ids.
    let trade = r#"{"e":"trade","s":"BTCUSDT","t":1,"p":"1","q":"1","T":1759999999999}"#;
    let binance = sources::find("binance").unwrap();
    let context = ParseContext::at(NOW_MS);
    let upgraded = ParseContext {
        new_ids_from_ms: SWITCH_MS,
        ..context
    };
    assert_eq!(
        binance.parse(trade.as_bytes(), &upgraded),
        binance.parse(trade.as_bytes(), &context)
    );
}
