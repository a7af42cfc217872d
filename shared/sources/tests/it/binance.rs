//! Binance: its three markets, its two trade streams, and messages without a trade.

use std::collections::BTreeSet;

use sources::{BinanceTrades, Entry, ParseContext, SourceSettings};

use crate::{NOW_MS, entries, line, only_malformed, only_tick, parse_in};

const MARKETS: [(&str, &str, &str); 3] = [
    ("binance", "binance:spot", "BTCUSDT"),
    ("binance-usdm", "binance:usdm", "BTCUSDT"),
    ("binance-coinm", "binance:coinm", "BTCUSD_PERP"),
];

fn trade(symbol: &str) -> String {
    format!(r#"{{"e":"trade","s":"{symbol}","t":1,"p":"1","q":"1","T":1760000000123}}"#)
}

fn aggregate(symbol: &str) -> String {
    format!(r#"{{"e":"aggTrade","s":"{symbol}","a":1,"p":"1","q":"1","T":1760000000123}}"#)
}

fn read(source: &str, body: &str, trades: BinanceTrades) -> Vec<Entry> {
    let settings = SourceSettings {
        binance_trades: trades,
        ..SourceSettings::default()
    };
    let context = ParseContext {
        settings: &settings,
        ..ParseContext::at(NOW_MS)
    };
    parse_in(source, body.as_bytes(), &context).unwrap()
}

/// The markets number their trades of a symbol independently of each other, and so do the streams.
#[test]
fn the_same_number_on_another_market_or_stream_is_another_event() {
    let mut ids = BTreeSet::new();
    for (source, origin, symbol) in MARKETS {
        for (body, trades) in [(trade(symbol), "trade"), (aggregate(symbol), "aggTrade")] {
            let entries = read(source, &body, trades.parse().unwrap());
            let [Entry::Tick(tick)] = entries.as_slice() else {
                panic!("{entries:?}")
            };
            assert_eq!(tick.source.as_str(), origin);
            assert_eq!((tick.token.as_str(), tick.sequence), ("BTC", Some(1)));
            ids.insert(tick.tick_id);
        }
    }
    assert_eq!(ids.len(), 6);
}

#[test]
fn the_stream_that_does_not_count_is_ignored_with_the_setting() {
    for (source, _, symbol) in MARKETS {
        let body = format!("[{},{}]", trade(symbol), aggregate(symbol));
        for (trades, is_trade) in [("trade", true), ("aggTrade", false)] {
            let entries = read(source, &body, trades.parse().unwrap());
            let [first, second] = entries.as_slice() else {
                panic!("{entries:?}")
            };
            let (counted, other) = if is_trade {
                (first, second)
            } else {
                (second, first)
            };
            assert!(matches!(counted, Entry::Tick(_)), "{entries:?}");
            let reason = line(other);
            assert!(
                reason.starts_with("ignored: ") && reason.contains("BINANCE_TRADES"),
                "{reason}"
            );
        }
    }
}

#[test]
fn each_market_may_count_another_stream() {
    let trades: BinanceTrades = "usdm=aggTrade".parse().unwrap();
    for (source, _, symbol) in MARKETS {
        let body = format!("[{},{}]", trade(symbol), aggregate(symbol));
        let is_tick: Vec<_> = read(source, &body, trades)
            .iter()
            .map(|entry| matches!(entry, Entry::Tick(_)))
            .collect();
        assert_eq!(
            is_tick,
            [source != "binance-usdm", source == "binance-usdm"]
        );
    }
}

/// A contract of COIN-M is 100 or 10 USD, so its quantity is not an amount of the base.
#[test]
fn contracts_are_not_a_volume() {
    let tick = only_tick("binance-coinm", &trade("BTCUSD_PERP"));
    assert_eq!((tick.quote.as_str(), tick.volume), ("USD", None));
    let dated = only_tick("binance-coinm", &trade("ETHUSD_260925"));
    assert_eq!(dated.token.as_str(), "ETH_260925");
}

#[test]
fn a_trade_inside_a_list_is_read_and_a_bad_one_is_refused_alone() {
    let bad = trade("BTCXYZ");
    let body = format!(
        r#"{{"stream":"s","data":[{},{bad},{}]}}"#,
        trade("BTCUSDT"),
        trade("ETHUSDT")
    );
    let lines: Vec<_> = entries("binance", &body).iter().map(line).collect();
    assert_eq!(lines[0], "BTC/USDT 1 x 1 trade");
    assert!(lines[1].starts_with("invalid_token"), "{lines:?}");
    assert_eq!(lines[2], "ETH/USDT 1 x 1 trade");
    let entries = entries("binance", &body);
    let Entry::Malformed(malformed) = &entries[1] else {
        panic!("{entries:?}")
    };
    assert_eq!((malformed.index, malformed.raw.as_str()), (1, bad.as_str()));
}

#[test]
fn what_is_no_message_of_binance_is_refused() {
    for body in ["{}", r#"{"u":1,"s":"BNBUSDT"}"#, r#"{"a":"1","b":"1"}"#] {
        let message = only_malformed("binance", body).message;
        assert_eq!(message, "`e` is missing: add it", "{body}");
    }
}

#[test]
fn microseconds_are_accepted() {
    for time in ["1760000000123", "1760000000123456"] {
        let body = trade("BTCUSDT").replace("1760000000123", time);
        assert_eq!(only_tick("binance", &body).timestamp_ms, 1_760_000_000_123);
    }
}
