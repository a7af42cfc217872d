//! Deliveries that are unreadable as a whole, and the messages for their senders.

use domain::Reason;
use sources::{ALL, Entry, ParseContext, find};

use crate::{NOW_MS, entries, fixtures, only_malformed, parse};

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
fn a_byte_order_mark_in_front_of_a_body_changes_nothing() {
    for (source, text) in fixtures::all() {
        let marked = format!("\u{feff}{text}");
        assert_eq!(entries(source, &marked), entries(source, &text), "{text}");
    }
    // One is skipped, and only in front.
    for body in ["\u{feff}\u{feff}[]", " \u{feff}{}"] {
        check("ticks", body.as_bytes(), Reason::UnreadableBody, "");
    }
}

#[test]
fn a_body_in_another_encoding_is_refused_by_its_name() {
    for source in ALL {
        for text in ["{}", "\u{feff}[{}]"] {
            let units: Vec<u16> = text.encode_utf16().collect();
            let little: Vec<u8> = units.iter().flat_map(|it| it.to_le_bytes()).collect();
            let big: Vec<u8> = units.iter().flat_map(|it| it.to_be_bytes()).collect();
            for body in [little, big] {
                check(
                    source.name(),
                    &body,
                    Reason::InvalidUtf8,
                    "UTF-16 text: send JSON in UTF-8",
                );
            }
        }
    }
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

/// What the quarantine keeps is read by the same parser, and breaks the same rule: so it can be replayed after a fix.
#[test]
fn a_malformed_entry_is_kept_so_that_its_parser_can_read_it() {
    let mint = "So11111111111111111111111111111111111111112";
    let bodies = [
        ("binance", r#"{"stream":"btcusdt@trade","data":{"e":"trade","s":"BTCUSDT","t":1,"p":"-1","q":"1","T":1790000000000}}"#.to_owned()),
        ("birdeye", format!(r#"{{"success":true,"data":{{"{mint}":{{"value":-1,"updateUnixTime":1790000000}}}}}}"#)),
        ("bybit", r#"{"topic":"publicTrade.BTCUSDT","type":"snapshot","ts":1790000000000,"data":[{"T":1790000000000,"s":"BTCUSDT","S":"Buy","v":"1","p":"-1","i":"a"}]}"#.to_owned()),
        ("coinbase", r#"{"channel":"market_trades","timestamp":"2026-09-21T14:13:20Z","sequence_num":1,"events":[{"type":"update","trades":[{"trade_id":"1","product_id":"BTC-USD","price":"-1","size":"1","side":"BUY","time":"2026-09-21T14:13:20Z"}]}]}"#.to_owned()),
        ("coingecko", r#"{"bitcoin":{"usd":-1,"last_updated_at":1790000000}}"#.to_owned()),
        ("jupiter", format!(r#"{{"{mint}":{{"usdPrice":-1,"blockId":1,"decimals":9}}}}"#)),
        ("kraken", r#"{"channel":"trade","type":"update","data":[{"symbol":"BTC/USD","side":"buy","price":-1,"qty":1,"trade_id":1,"timestamp":"2026-09-21T14:13:20Z"}]}"#.to_owned()),
        ("okx", r#"{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","tradeId":"1","px":"-1","sz":"1","side":"buy","ts":"1790000000000"}]}"#.to_owned()),
        ("pyth", r#"{"parsed":[{"id":"e62df6c8b4a85fe1a67db44dc12de5db330f7ac66b72dc658afedf0f4a415b43","price":{"price":"-1","conf":"1","expo":-2,"publish_time":1790000000}}]}"#.to_owned()),
        ("ticks", r#"{"ticks":[{"token":"BTC","price":"-1","timestamp":1790000000000}]}"#.to_owned()),
    ];
    for (source, body) in bodies {
        let malformed = only_malformed(source, &body);
        assert_eq!(malformed.raw.len(), malformed.raw_bytes, "{source}");
        let again = only_malformed(source, &malformed.raw);
        assert_eq!(
            (again.reason, &again.message),
            (malformed.reason, &malformed.message),
            "{source}: {}",
            malformed.raw
        );
    }
}

/// Beside a part, its whole message is kept only if there is room for it.
#[test]
fn a_large_message_is_kept_without_what_is_beside_its_malformed_part() {
    let good = r#"{"symbol":"BTC/USD","side":"buy","price":1,"qty":1,"trade_id":1,"timestamp":"2026-09-21T14:13:20Z"}"#;
    let bad = good.replace("\"price\":1", "\"price\":-1");
    let message = |count: usize| {
        let parts = vec![good; count].join(",");
        format!(r#"{{"channel":"trade","type":"update","data":[{bad},{parts}]}}"#)
    };
    for (count, kept) in [(1, message(1)), (100, bad.clone())] {
        let entries = entries("kraken", &message(count));
        let Some(Entry::Malformed(malformed)) = entries.first() else {
            panic!("{entries:?}")
        };
        assert_eq!(malformed.raw, kept);
    }
}
