//! Pyth: the currency of a feed, and the width of its confidence interval.

use domain::{Quality, Reason, Tick};
use sources::{Entry, ParseContext, SourceSettings};

use crate::{NOW_MS, entries, line, only_malformed, only_tick, parse_in};

const BTC: &str = "e62df6c8b4a85fe1a67db44dc12de5db330f7ac66b72dc658afedf0f4a415b43";
const UNKNOWN: &str = "abababababababababababababababababababababababababababababababab";

fn feed(id: &str, price: &str, conf: &str, expo: i64) -> String {
    format!(
        r#"{{"id":"{id}","price":{{"price":"{price}","conf":"{conf}","expo":{expo},"publish_time":1760000000}}}}"#
    )
}

fn with(settings: &SourceSettings, body: &str) -> Tick {
    let context = ParseContext {
        settings,
        ..ParseContext::at(NOW_MS)
    };
    let entries = parse_in("pyth", body.as_bytes(), &context).unwrap();
    match entries.as_slice() {
        [Entry::Tick(tick)] => tick.clone(),
        other => panic!("one tick expected, not {other:?}: {body}"),
    }
}

#[test]
fn a_feed_without_a_known_currency_is_refused_until_it_is_named() {
    let body = feed(UNKNOWN, "150", "1", -2);
    let refused = only_malformed("pyth", &body);
    assert_eq!(refused.reason, Reason::InvalidToken);
    for part in [UNKNOWN, "PYTH_FEEDS", "=BASE/QUOTE"] {
        assert!(refused.message.contains(part), "{}", refused.message);
    }
    let settings = SourceSettings {
        pyth_feeds: format!("{UNKNOWN}=OIL/EUR,{BTC}=XBT/USD").parse().unwrap(),
        ..SourceSettings::default()
    };
    let tick = with(&settings, &body);
    assert_eq!(line(&Entry::Tick(tick.clone())), "OIL/EUR 1.5 x - oracle");
    let own = with(&settings, &feed(BTC, "150", "1", -2));
    assert_eq!(own.token.as_str(), "XBT");
}

#[test]
fn a_wide_confidence_interval_is_marked() {
    for (price, conf, is_wide) in [
        ("10000", "0", false),
        ("10000", "100", false),
        ("10000", "101", true),
        ("9223372036854775807", "92233720368547758", false),
        ("9223372036854775807", "92233720368547759", true),
        ("1", "18446744073709551615", true),
    ] {
        let tick = only_tick("pyth", &feed(BTC, price, conf, -8));
        let expected = is_wide.then_some(Quality::WideConfidence);
        assert_eq!(tick.quality, expected, "{conf} of {price}");
    }
    let settings = SourceSettings {
        pyth_wide_confidence: "0.5".parse().unwrap(),
        ..SourceSettings::default()
    };
    for (conf, is_wide) in [("50", false), ("51", true)] {
        let tick = with(&settings, &feed(BTC, "10000", conf, -8));
        assert_eq!(tick.quality.is_some(), is_wide, "{conf}");
    }
}

#[test]
fn a_confidence_that_cannot_be_read_is_refused() {
    for (conf, reason) in [("-1", Reason::WrongType), ("wide", Reason::WrongType)] {
        let refused = only_malformed("pyth", &feed(BTC, "10000", conf, -8));
        assert_eq!(refused.reason, reason, "{}", refused.message);
    }
    let without = feed(BTC, "10000", "1", -8).replace(r#""conf":"1","#, "");
    let refused = only_malformed("pyth", &without);
    assert_eq!(refused.message, "`conf` is missing: add it");
}

#[test]
fn the_quality_and_the_currency_do_not_change_the_id() {
    let narrow = only_tick("pyth", &feed(BTC, "10000", "1", -8));
    let wide = only_tick("pyth", &feed(BTC, "10000", "9999", -8));
    assert_eq!(narrow.tick_id, wide.tick_id);
}

#[test]
fn a_moving_average_is_not_the_price() {
    let body = format!(
        r#"{{"id":"{BTC}","ema_price":{{"price":"1","conf":"1","expo":0,"publish_time":1760000000}}}}"#
    );
    assert_eq!(
        only_malformed("pyth", &body).message,
        "`price` is missing: add it"
    );
    let both = feed(BTC, "150", "1", -2).replace(
        r#""price":{"#,
        r#""ema_price":{"price":"900","conf":"1","expo":-2,"publish_time":1760000000},"price":{"#,
    );
    assert_eq!(only_tick("pyth", &both).price.to_string(), "1.5");
}

#[test]
fn updates_of_several_messages_are_read() {
    let update = format!(r#"{{"binary":{{}},"parsed":[{}]}}"#, feed(BTC, "1", "0", 0));
    let body = format!("[{update},{}]", feed(BTC, "2", "0", 0));
    let lines: Vec<_> = entries("pyth", &body).iter().map(line).collect();
    assert_eq!(lines, ["BTC/USD 1 x - oracle", "BTC/USD 2 x - oracle"]);
}
