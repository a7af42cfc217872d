//! Deliveries that providers really sent, where the folder with them is there. Prices were worked
//! out apart from this code, by long division of the payloads' amounts.

use std::path::{Path, PathBuf};

use domain::Method;
use serde_json::{Value, json};
use sources::Entry;

use crate::{NOW_MS, entries, line, parse};

const SOL: &str = "So11111111111111111111111111111111111111112";
const USDC: &str = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v";
const LAUNCHED: &str = "GLZPY8BKvz4SskptWRpNZ29UJPmS9BYx1enRHUa9oSDx";

/// The file's text; if the folder is missing, prints that and returns `None`.
fn payload(path: &str) -> Option<String> {
    let root: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    if !root.is_dir() {
        eprintln!(
            "NOT RUN on {path}: the real payloads are not in {}",
            root.display()
        );
        return None;
    }
    Some(std::fs::read_to_string(root.join(path)).unwrap())
}

#[test]
fn the_enhanced_file_gives_its_seven_swaps() {
    let Some(body) = payload("helius/enhanced_55tx_dashy-staging.json") else {
        return;
    };
    let entries = entries("helius", &body);
    assert_eq!(entries.len(), 50);
    let swaps = [
        // 13.279846 USDC / 0.1 SOL, a route over two pools.
        (6, "132.79846", "0.1", "swap_event"),
        // 260.705369 / 1.698050989 by the pool, typed TOKEN_MINT. A platform's fee of 2.085642 USDC
        // is not part of the price.
        (9, "153.532120465671128", "1.698050989", "net_balances"),
        // 150 / 1.00019736
        (13, "149.970401841492563", "1.00019736", "swap_event"),
        // 100 / 0.666361548: the trader paid the platform fee of 0.005330892 SOL afterwards.
        (15, "150.068683134759751", "0.666361548", "swap_event"),
        // 238.630695 / 1.452531235
        (25, "164.286102253766681", "1.452531235", "swap_event"),
        // 161 / 1.122215063, split over two routes.
        (38, "143.46626177838071", "1.122215063", "swap_event"),
        // 69 / 0.472774822
        (47, "145.946858396786621", "0.472774822", "swap_event"),
    ];
    for (index, entry) in entries.iter().enumerate() {
        let swap = swaps.iter().find(|(swap, ..)| *swap == index);
        let Some((_, price, volume, method)) = swap else {
            assert!(matches!(entry, Entry::Ignored(_)), "{index}: {entry:?}");
            continue;
        };
        assert_eq!(
            line(entry),
            format!("{SOL}/{USDC} {price} x {volume} {method}"),
            "{index}"
        );
        let Entry::Tick(tick) = entry else {
            unreachable!()
        };
        let is_by_event = tick.method == Method::SwapEvent;
        let venue = if is_by_event {
            "helius:jupiter"
        } else {
            "helius:unknown"
        };
        assert_eq!(tick.source.as_str(), venue);
    }
    let Some(Entry::Tick(first)) = entries.get(6) else {
        unreachable!()
    };
    assert_eq!(
        (first.timestamp_ms, first.slot),
        (1_725_303_149_000, Some(287_404_290))
    );
    assert_eq!(first.ingested_at_ms, NOW_MS);
}

/// Both ways to determine a price agree: without swap events, the balances give the same prices.
#[test]
fn balances_give_the_same_prices_as_swap_events() {
    let Some(body) = payload("helius/enhanced_55tx_dashy-staging.json") else {
        return;
    };
    let with_events = entries("helius", &body);
    let without = |fields: &[&str]| {
        let mut transactions: Vec<Value> = serde_json::from_str(&body).unwrap();
        for transaction in &mut transactions {
            for field in fields {
                transaction[field] = json!([]);
            }
        }
        entries("helius", &Value::from(transactions).to_string())
    };
    for fields in [
        &["events"][..],
        &["events", "tokenTransfers", "nativeTransfers"],
    ] {
        for (index, (event, balances)) in with_events.iter().zip(without(fields)).enumerate() {
            let (event, balances) = (line(event), line(&balances));
            assert_eq!(
                balances,
                event.replace("swap_event", "net_balances"),
                "{index} {fields:?}"
            );
        }
    }
}

#[test]
fn meteoras_buys_and_sells_are_priced_and_the_rest_ignored() {
    let Some(body) = payload("helius/enhanced_webhook_meteora_solanalaunchpad.json") else {
        return;
    };
    let deliveries: Value = serde_json::from_str(&body).unwrap();
    let expected = [
        (
            "buyDBCWebhookRes",
            Some(("0.000000000620574888427173388", "322281812.767019")),
        ),
        (
            "sellDBCWebhookRes",
            Some(("0.000000000593567514135734101", "322281812")),
        ),
        ("createTokenRes", None),
        ("migrateTokenRes", None),
        ("getMigratedPoolAddressRes", None),
        (
            "dammv2BuyRes",
            Some(("0.0000000101020403006917006", "98989904.042605")),
        ),
        ("dammv2SellRes", Some(("0.00000001913", "1000"))),
    ];
    for (delivery, trade) in expected {
        let seen = entries("helius", &deliveries[delivery].to_string());
        let seen: Vec<_> = seen.iter().map(line).collect();
        let expected = match trade {
            Some((price, volume)) => format!("{LAUNCHED}/{SOL} {price} x {volume} net_balances"),
            None => "ignored: not a trade".to_owned(),
        };
        assert_eq!(seen, [expected], "{delivery}");
    }
}

#[test]
fn pumps_sell_is_priced_before_its_fees() {
    let Some(body) = payload("helius/pump_amm_sell_webhook.json") else {
        return;
    };
    let seen: Vec<_> = entries("helius", &body).iter().map(line).collect();
    // 11.263971513 SOL from the pool, of which 0.113463653 went to a fee account.
    let price = "0.00000307172284943792609";
    let token = "44sVpouhWHXzADVsVUo863tvgmaw6LNQo25fYRs1pump";
    assert_eq!(
        seen,
        [format!(
            "{token}/{SOL} {price} x 3666988.222932 net_balances"
        )]
    );
}

#[test]
fn nft_sales_from_the_documentation_are_not_prices() {
    for path in [
        "helius/docs_enhanced_nft_sale_example.json",
        "helius/docs_raw_example.json",
    ] {
        let Some(body) = payload(path) else { return };
        let seen = entries("helius", &body);
        assert!(
            matches!(seen.as_slice(), [Entry::Ignored(_)]),
            "{path}: {seen:?}"
        );
    }
}

#[test]
fn the_feeds_are_read_exactly() {
    let cases: [(&str, &str, &[&str]); 8] = [
        (
            "binance",
            "binance_spot_trade",
            &["ETH/BTC 0.019141 x 0.007 trade"],
        ),
        (
            "coinbase",
            "coinbase_exchange_ticker",
            &["BTC/USD 4388.01 x 0.03 ticker"],
        ),
        (
            "coinbase",
            "coinbase_ws_market_trades",
            &[
                "BTC/USD 68900.5 x 0.0015 trade",
                "BTC/USD 68900 x 0.05 trade",
            ],
        ),
        (
            "coinbase",
            "coinbase_ws_ticker",
            &["BTC/USD 68900.5 x - ticker"],
        ),
        (
            "jupiter",
            "jupiter_price_v3",
            &[
                "So11111111111111111111111111111111111111112/USD 147.48 x - quote",
                "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v/USD 0.9999 x - quote",
            ],
        ),
        (
            "kraken",
            "kraken_ws_trade_update",
            &[
                "BTC/USD 105944.2 x 0.00027625 trade",
                "BTC/USD 105910.5 x 0.0001246 trade",
            ],
        ),
        (
            "pyth",
            "pyth_hermes_v1_latest_price_feeds",
            &["ETH/USD 1841.36023127 x - oracle"],
        ),
        (
            "pyth",
            "pyth_hermes_v2_updates_price_latest",
            &[
                "NEAR/USD 1.83487211 x - oracle",
                "ETH/USD 1956.56091864 x - oracle",
            ],
        ),
    ];
    for (source, file, expected) in cases {
        let Some(body) = payload(&format!("feeds/{file}.json")) else {
            return;
        };
        let seen: Vec<_> = entries(source, &body).iter().map(line).collect();
        assert_eq!(seen, expected, "{file}");
    }
}

/// A retried delivery must give the very same ids, or it would be stored twice.
#[test]
fn a_replay_gives_the_same_ticks() {
    let Some(body) = payload("helius/enhanced_55tx_dashy-staging.json") else {
        return;
    };
    assert_eq!(
        parse("helius", body.as_bytes()),
        parse("helius", body.as_bytes())
    );
}
