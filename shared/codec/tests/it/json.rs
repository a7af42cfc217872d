use codec::error::CodecError;
use codec::json::{TickJson, from_json, write_json};
use codec::tick_columns::COLUMNS;
use domain::{Quality, Tick};
use proptest::prelude::*;

use crate::arbitrary::{swap, tick, ticker};

fn text(tick: &Tick) -> String {
    let mut out = Vec::new();
    write_json(tick, &mut out);
    String::from_utf8(out).unwrap()
}

proptest! {
    #[test]
    fn a_tick_round_trips(tick in tick()) {
        prop_assert_eq!(from_json(text(&tick).as_bytes()).unwrap(), tick);
    }

    #[test]
    fn both_writers_give_the_same_text(tick in tick()) {
        prop_assert_eq!(serde_json::to_string(&TickJson(&tick)).unwrap(), text(&tick));
    }
}

/// What consumers of the stream, the queue and the read API see.
#[test]
fn the_text_matches_the_published_format() {
    let id = swap().tick_id;
    assert_eq!(
        text(&swap()),
        format!(
            "{{\"tick_id\":\"{id}\",\"token\":\"DezXAZ8z7PnrnRJjz3wXBoRgixCa6xjnB7YaB1pPB263\",\
             \"quote\":\"EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v\",\
             \"price\":\"0.00001913482756\",\"volume\":\"120394.55103\",\
             \"timestamp\":1790000000000,\"ingested_at\":1790000000456,\
             \"source\":\"helius:raydium\",\"slot\":398123456,\"method\":\"swap_event\",\
             \"version\":\"1.1\"}}"
        )
    );
    let numbered = Tick {
        sequence: Some(398),
        quality: Some(Quality::WideConfidence),
        ..ticker()
    };
    let end = r#""version":"1.1","sequence":398,"quality":"wide_confidence"}"#;
    assert!(text(&numbered).ends_with(end), "{}", text(&numbered));
    let ticker = text(&ticker());
    assert!(
        !ticker.contains("volume") && !ticker.contains("slot"),
        "{ticker}"
    );
    assert!(
        ticker.contains("\"source\":\"coinbase:exchange\",\"method\":\"ticker\""),
        "{ticker}"
    );
}

#[test]
fn other_texts_are_refused_with_the_field() {
    let good = text(&swap());
    let check = |from: &str, to: &str, expected: &str| {
        assert!(good.contains(from), "{from}");
        let seen = from_json(good.replacen(from, to, 1).as_bytes())
            .unwrap_err()
            .to_string();
        assert!(seen.contains(expected), "{to}: {seen}");
    };
    check("\"1.1\"", "\"2.0\"", "version 2.0");
    check(
        "\"0.00001913482756\"",
        "\"0\"",
        "`price`: a price must be greater than 0",
    );
    check("\"0.00001913482756\"", "0.5", "expected");
    check(
        "\"120394.55103\"",
        "\"-1\"",
        "`volume`: a volume must not be negative",
    );
    check("helius:raydium", "", "`source`: a name must not be empty");
    check("swap_event", "guess", "`method`: `guess`");
    check("\"slot\":398123456", "\"slot\":-1", "expected u64");
    check("\"1.1\"", "\"1.1\",\"sequence\":-1", "expected u64");
    check(
        "\"1.1\"",
        "\"1.1\",\"quality\":\"good\"",
        "`good` is not a quality",
    );
    check(
        "\"timestamp\":1790000000000,",
        "",
        "missing field `timestamp`",
    );
    check(
        "\"timestamp\"",
        "\"slot\":1,\"timestamp\"",
        "duplicate field `slot`",
    );
    check("{", "", "not a tick in JSON");
}

#[test]
fn a_later_minor_version_may_add_fields() {
    let later = text(&swap()).replace("\"1.1\"", "\"1.7\",\"venue_fee\":{\"bps\":3}");
    assert_eq!(from_json(later.as_bytes()).unwrap(), swap());
    let escaped = text(&swap()).replace("DezX", "\\u0044ezX");
    assert_eq!(from_json(escaped.as_bytes()).unwrap(), swap());
}

#[test]
fn a_null_is_an_absent_value() {
    let nulls = text(&ticker()).replace(
        "\"timestamp\"",
        "\"volume\":null,\"slot\":null,\"sequence\":null,\"quality\":null,\"timestamp\"",
    );
    assert_eq!(from_json(nulls.as_bytes()).unwrap(), ticker());
    let required = text(&ticker()).replace("\"39432.48\"", "null");
    assert!(matches!(
        from_json(required.as_bytes()),
        Err(CodecError::Json(_))
    ));
    assert_eq!(COLUMNS.len(), 13);
}
