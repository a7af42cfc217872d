//! Deliveries that are unreadable as a whole, and the messages for their senders.

use domain::Reason;
use sources::{ALL, Entry, ParseContext, find};

use crate::{NOW_MS, entries, parse};

const GOOD: &str = r#"{"token":"A","price":"1","timestamp":1760000000000}"#;

fn check(source: &str, body: &[u8], reason: Reason, part: &str) {
    let shown = String::from_utf8_lossy(body);
    let error = parse(source, body).unwrap_err();
    assert_eq!(error.reason, reason, "{shown}");
    assert!(error.message.contains(part), "{shown}: {}", error.message);
}

#[test]
fn every_source_is_found_by_its_name_alone() {
    for source in ALL {
        assert_eq!(find(source.name()).unwrap().name(), source.name());
    }
    let names: Vec<_> = ALL.iter().map(|source| source.name()).collect();
    let known = [
        "binance",
        "binance-coinm",
        "binance-usdm",
        "birdeye",
        "bybit",
        "bybit-linear",
        "bybit-inverse",
        "coinbase",
        "coingecko",
        "helius",
        "jupiter",
        "kraken",
        "okx",
        "pyth",
        "ticks",
    ];
    assert_eq!(names, known);
    assert!(find("Helius").is_none() && find("").is_none());
}

#[test]
fn a_body_that_is_not_json_is_refused_with_the_position() {
    for source in ALL {
        let name = source.name();
        check(name, b"", Reason::UnreadableBody, "line 1 column 0");
        check(
            name,
            b"{\n\"a\": }",
            Reason::UnreadableBody,
            "line 2 column 6",
        );
        check(
            name,
            b"{\"a\": NaN}",
            Reason::UnreadableBody,
            "line 1 column 7",
        );
        check(
            name,
            b"{} {}",
            Reason::UnreadableBody,
            "trailing characters",
        );
        check(
            name,
            b"{\"a\":\"\xff\"}",
            Reason::InvalidUtf8,
            "from byte 6 on",
        );
        for scalar in ["17", "\"a text\"", "null", "true"] {
            check(name, scalar.as_bytes(), Reason::UnreadableBody, "object");
        }
    }
    check("ticks", b"[{},", Reason::UnreadableBody, "EOF");
    check("jupiter", b"[]", Reason::UnreadableBody, "a JSON object");
    check(
        "ticks",
        br#"{"ticks": {}}"#,
        Reason::UnreadableBody,
        "`ticks` must be an array",
    );
    check(
        "ticks",
        br#"{"ticks": [], "ticks": []}"#,
        Reason::UnreadableBody,
        "twice",
    );
    check(
        "pyth",
        br#"{"binary": {}}"#,
        Reason::UnreadableBody,
        "parsed=true",
    );
    check(
        "pyth",
        br#"{"parsed": 1, "binary": {}}"#,
        Reason::UnreadableBody,
        "`parsed` must be",
    );
}

#[test]
fn an_empty_delivery_has_no_entries() {
    for (source, body) in [
        ("ticks", "[]"),
        ("ticks", r#"{"ticks":[]}"#),
        ("helius", " [ ] "),
    ] {
        assert_eq!(entries(source, body), [], "{source}");
    }
    assert_eq!(entries("jupiter", "{}"), []);
}

#[test]
fn a_delivery_has_at_most_ten_thousand_entries() {
    let list = |count: usize| format!("[{}]", vec![GOOD; count].join(","));
    assert_eq!(entries("ticks", &list(10_000)).len(), 10_000);
    check(
        "ticks",
        list(10_001).as_bytes(),
        Reason::UnreadableBody,
        "at most 10000 entries",
    );
    // Also if several envelopes add up.
    let message = format!(r#"{{"channel":"trade","data":{}}}"#, list(6_000));
    let twice = format!("[{message},{message}]");
    check(
        "kraken",
        twice.as_bytes(),
        Reason::UnreadableBody,
        "at most 10000 entries",
    );
}

#[test]
fn deep_nesting_does_not_overflow_the_stack() {
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    for source in ALL {
        // Wherever it is, it is an entry or a field of the wrong type, or it is ignored.
        for body in [
            deep.clone(),
            format!("[{deep}]"),
            format!(r#"{{"token":{deep}}}"#),
            format!(r#"[{{"type":"SWAP","events":{{"swap":{deep}}}}}]"#),
            format!(r#"{{"channel":"trade","data":[{{"symbol":{deep}}}]}}"#),
            format!(r#"{{"e":"trade","data":{deep}}}"#),
        ] {
            if let Ok(entries) = source.parse(body.as_bytes(), &ParseContext::at(NOW_MS)) {
                assert!(!entries.iter().any(|entry| matches!(entry, Entry::Tick(_))));
            }
        }
    }
}

#[test]
fn a_malformed_entry_is_kept_with_its_position_and_text() {
    let body = format!("[{GOOD}, {{\"token\": \"A\"}} ,{GOOD}]");
    let entries = entries("ticks", &body);
    let [Entry::Tick(_), Entry::Malformed(malformed), Entry::Tick(_)] = entries.as_slice() else {
        panic!("{entries:?}")
    };
    assert_eq!(
        (malformed.index, malformed.reason),
        (1, Reason::MissingField)
    );
    assert_eq!(
        (malformed.raw.as_str(), malformed.raw_bytes),
        (r#"{"token": "A"}"#, 14)
    );
    assert_eq!(malformed.message, "`price` is missing: add it");
}
