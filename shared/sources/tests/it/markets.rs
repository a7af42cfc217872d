//! Exchanges with several markets, and prices that are polled: which events are the same, and what
//! orders them.

use std::collections::BTreeSet;

use domain::Reason;
use sources::Entry;

use crate::{entries, line, only_malformed, only_tick};

const BYBIT: [(&str, &str); 3] = [
    ("bybit", "BTCUSDT"),
    ("bybit-linear", "BTCUSDT"),
    ("bybit-inverse", "BTCUSD"),
];

fn okx(channel: &str, fields: &str) -> String {
    format!(r#"{{"arg":{{"channel":"{channel}"}},"data":[{{"ts":"1760000000110",{fields}}}]}}"#)
}

fn bybit_trade(symbol: &str, fields: &str) -> String {
    format!(
        r#"{{"topic":"publicTrade.{symbol}","data":[{{"T":1760000000110,"s":"{symbol}",{fields}}}]}}"#
    )
}

#[test]
fn a_trade_of_okx_is_the_same_in_both_channels_and_an_aggregate_is_another() {
    let id = |channel: &str, more: &str| {
        let fields = format!(r#""instId":"BTC-USDT","tradeId":"7","px":"1","sz":"1"{more}"#);
        let tick = only_tick("okx", &okx(channel, &fields));
        assert_eq!(tick.sequence, Some(7));
        tick.tick_id
    };
    let trade = id("trades-all", "");
    assert_eq!(trade, id("trades", r#","count":"1""#));
    assert_ne!(trade, id("trades", r#","count":"2""#));
}

#[test]
fn each_market_of_an_exchange_has_an_origin_and_numbers_of_its_own() {
    let mut ids = BTreeSet::new();
    for (instrument, origin, token) in [
        ("BTC-USDT", "okx:spot", "BTC"),
        ("BTC-USDT-SWAP", "okx:swap", "BTC"),
        ("BTC-USDT-261127", "okx:futures", "BTC_261127"),
    ] {
        let fields = format!(r#""instId":"{instrument}","tradeId":"7","px":"1","sz":"2""#);
        let tick = only_tick("okx", &okx("trades", &fields));
        assert_eq!(
            (tick.source.as_str(), tick.token.as_str()),
            (origin, token),
            "{instrument}"
        );
        assert_eq!(tick.volume.is_some(), origin == "okx:spot");
        ids.insert(tick.tick_id);
    }
    for (source, symbol) in BYBIT {
        let tick = only_tick(source, &bybit_trade(symbol, r#""p":"1","v":"2","i":"7""#));
        assert_eq!(tick.volume.is_some(), source != "bybit-inverse");
        ids.insert(tick.tick_id);
    }
    assert_eq!(ids.len(), 6);
}

/// `seq` is shared by the trades of one message, so it orders trades, and does not identify them.
#[test]
fn trades_of_bybit_are_ordered_by_their_number_or_else_by_seq() {
    let tick = |id: &str, more: &str| {
        let fields = format!(r#""p":"1","v":"2","i":"{id}"{more}"#);
        only_tick("bybit-linear", &bybit_trade("BTCUSDT", &fields))
    };
    let uuid = "20f43950-d8dd-5b31-9112-a178eb6023af";
    assert_eq!(
        tick("2290000000036455162", r#","seq":5"#).sequence,
        Some(2_290_000_000_036_455_162)
    );
    assert_eq!(tick(uuid, r#","seq":5"#).sequence, Some(5));
    assert_eq!(tick(uuid, "").sequence, None);
    assert_eq!(tick(uuid, "").tick_id, tick(uuid, r#","seq":5"#).tick_id);
    let other = "20f43950-d8dd-5b31-9112-a178eb6023b0";
    assert_ne!(
        tick(uuid, r#","seq":5"#).tick_id,
        tick(other, r#","seq":5"#).tick_id
    );
}

#[test]
fn contracts_with_a_date_are_tokens_of_their_own_and_options_are_ignored() {
    for (source, symbol, expected) in [
        ("bybit-linear", "BTCPERP", "BTC/USDC"),
        ("bybit-linear", "BTC-27NOV26", "BTC_27NOV26/USDC"),
        ("bybit-linear", "BTCUSDT-27NOV26", "BTC_27NOV26/USDT"),
        ("bybit-linear", "1000PEPEUSDT", "1000PEPE/USDT"),
        ("bybit-inverse", "BTCUSD", "BTC/USD"),
        ("bybit-inverse", "BTCUSDZ26", "BTC_Z26/USD"),
        ("bybit", "ETHBTC", "ETH/BTC"),
    ] {
        let tick = only_tick(source, &bybit_trade(symbol, r#""p":"1","v":"1","i":"7""#));
        assert_eq!(format!("{}/{}", tick.token, tick.quote), expected);
    }
    for symbol in ["BTC-27NOV26-90000-C", "BTC-27NOV26-90000-P-USDT"] {
        for (source, _) in BYBIT {
            let body = bybit_trade(symbol, r#""p":"1","v":"1","i":"7""#);
            assert!(matches!(
                entries(source, &body).as_slice(),
                [Entry::Ignored(_)]
            ));
        }
    }
    for instrument in ["BTC-USD-", "BTC-USD-PERP", "BTC-USD-261127-90000-C"] {
        let fields = format!(r#""instId":"{instrument}","tradeId":"7","px":"1","sz":"2""#);
        let seen = entries("okx", &okx("trades", &fields));
        assert!(
            matches!(seen.as_slice(), [Entry::Ignored(_)]),
            "{instrument}"
        );
    }
    for (source, symbol) in [
        ("bybit", "BTC-27NOV26"),
        ("bybit", "BTCUSD"),
        ("bybit-linear", "PERP"),
        ("bybit-linear", "BTC-USDT"),
        ("bybit-inverse", "BTCUSDT"),
        ("bybit-inverse", "BTCUSDX26"),
        ("bybit-inverse", "Z26"),
        ("bybit-inverse", "é26"),
    ] {
        let body = bybit_trade(symbol, r#""p":"1","v":"1","i":"7""#);
        assert_eq!(
            only_malformed(source, &body).reason,
            Reason::InvalidToken,
            "{source} {symbol}"
        );
    }
}

#[test]
fn heartbeats_of_okx_are_not_json() {
    for body in ["pong", " ping\n", r#""pong""#, r#"["pong"]"#] {
        let seen: Vec<_> = entries("okx", body).iter().map(line).collect();
        assert_eq!(seen, ["ignored: heartbeat"], "{body}");
    }
}

/// The same price may come back, so only the time distinguishes it from a repeated delivery.
#[test]
fn a_polled_price_is_identified_by_its_time() {
    let coingecko = |price: &str, time: &str| {
        format!(r#"{{"bitcoin":{{"usd":{price},"last_updated_at":{time}}}}}"#)
    };
    let birdeye = |price: &str, time: &str| {
        format!(
            r#"{{"success":true,"data":{{"Mint":{{"value":{price},"updateUnixTime":{time}}}}}}}"#
        )
    };
    type Body<'a> = &'a dyn Fn(&str, &str) -> String;
    for (source, body) in [
        ("coingecko", &coingecko as Body<'_>),
        ("birdeye", &birdeye as Body<'_>),
    ] {
        let id = |price: &str, time: &str| only_tick(source, &body(price, time)).tick_id;
        let first = id("68900.5", "1760000000");
        assert_eq!(first, id("68900.50", "1760000000"));
        assert_ne!(first, id("68900.6", "1760000000"));
        assert_ne!(first, id("68900.5", "1760000060"));
        let without = only_malformed(source, &body("68900.5", "null"));
        assert_eq!(without.reason, Reason::MissingField);
    }
}

/// One swap in a transaction may follow another in the same pool.
#[test]
fn a_swap_of_birdeye_is_identified_by_transaction_and_amounts() {
    let swap = |transaction: &str, amount: u64| {
        format!(
            r#"{{"type":"TXS_DATA","data":{{"blockUnixTime":1760000000,"txHash":"{transaction}",
            "side":"buy","tokenAddress":"A","tokenPrice":0.5,"poolId":"P",
            "from":{{"address":"B","amount":1,"uiAmount":1}},
            "to":{{"address":"A","amount":{amount},"uiAmount":{amount}}}}}}}"#
        )
    };
    let id = |transaction: &str, amount| only_tick("birdeye", &swap(transaction, amount)).tick_id;
    assert_eq!(id("t", 2), id("t", 2));
    assert_ne!(id("t", 2), id("t", 3));
    assert_ne!(id("t", 2), id("u", 2));
}
