//! Binance's symbols, market by market.

use domain::Token;

use crate::product;
use crate::refused::Refused;

/// Quotes of Binance's spot market. `USD` belongs to Binance.US, where `DOTUSD` would otherwise be
/// read as DO/TUSD.
const SPOT_QUOTES: &[&str] = &[
    "USDT", "USDC", "FDUSD", "TUSD", "BUSD", "USDP", "USD1", "DAI", "USDS", "PAX", "BTC", "ETH",
    "BNB", "SOL", "XRP", "TRX", "DOGE", "DOT", "EUR", "EURI", "AEUR", "GBP", "JPY", "AUD", "TRY",
    "BRL", "ARS", "MXN", "COP", "CZK", "PLN", "RON", "UAH", "RUB", "NGN", "ZAR", "IDR", "IDRT",
    "BIDR", "BVND", "BKRW", "VAI", "UST",
];

/// Quotes of USD-M futures.
const USD_M_QUOTES: &[&str] = &["USDT", "USDC", "BUSD", "FDUSD", "USD1", "BTC"];

/// The quote of COIN-M futures.
const COIN_M_QUOTES: &[&str] = &["USD"];

/// The suffix of a COIN-M contract that does not expire.
const PERPETUAL: &str = "PERP";

/// `BTCUSDT`.
pub(super) fn spot(symbol: &str) -> Result<(Token, Token), Refused> {
    product::split_by_quote(symbol, SPOT_QUOTES)
}

/// `BTCUSDT`, or `BTCUSDT_260925` for a contract that expires. Its token is `BTC_260925`, since its
/// price is not that of BTC.
pub(super) fn usd_m(symbol: &str) -> Result<(Token, Token), Refused> {
    match expiry(symbol) {
        Some((pair, expiry)) => contract(product::split_by_quote(pair, USD_M_QUOTES)?, expiry),
        None => product::split_by_quote(symbol, USD_M_QUOTES),
    }
}

/// `BTCUSD_PERP`, or `BTCUSD_260925` for a contract that expires.
pub(super) fn coin_m(symbol: &str) -> Result<(Token, Token), Refused> {
    if let Some((pair, expiry)) = expiry(symbol) {
        return contract(product::split_by_quote(pair, COIN_M_QUOTES)?, expiry);
    }
    match symbol.split_once('_') {
        Some((pair, PERPETUAL)) => product::split_by_quote(pair, COIN_M_QUOTES),
        _ => Err(product::not_a_product(
            symbol,
            "a COIN-M contract, such as BTCUSD_PERP or BTCUSD_260925",
        )),
    }
}

/// Whether it is an option, such as `BTC-260925-100000-C`.
pub(super) fn is_option(symbol: &str) -> bool {
    let parts: Vec<&str> = symbol.split('-').collect();
    matches!(parts.as_slice(), [_, _, _, "C" | "P"])
}

/// The pair and the date of a contract that expires.
fn expiry(symbol: &str) -> Option<(&str, &str)> {
    let is_date = |date: &str| date.len() == 6 && date.bytes().all(|b| b.is_ascii_digit());
    symbol.split_once('_').filter(|(_, date)| is_date(date))
}

fn contract((base, quote): (Token, Token), expiry: &str) -> Result<(Token, Token), Refused> {
    Ok((crate::name::token(&format!("{base}_{expiry}"))?, quote))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(split: Result<(Token, Token), Refused>) -> String {
        split.map_or_else(
            |refused| refused.message,
            |(base, quote)| format!("{base}/{quote}"),
        )
    }

    #[test]
    fn each_market_has_its_symbols() {
        for (read, symbol, expected) in [
            (spot as fn(&str) -> _, "BTCUSDT", "BTC/USDT"),
            (spot, "BTCUSD_PERP", "not a base and a known quote"),
            (usd_m, "BTCUSDT", "BTC/USDT"),
            (usd_m, "ETHBTC", "ETH/BTC"),
            (usd_m, "1000PEPEUSDC", "1000PEPE/USDC"),
            (usd_m, "BTCUSDT_260925", "BTC_260925/USDT"),
            (usd_m, "BTCUSD_PERP", "not a base and a known quote"),
            (coin_m, "BTCUSD_PERP", "BTC/USD"),
            (coin_m, "BTCUSD_240628", "BTC_240628/USD"),
            (coin_m, "BTCUSDT_240628", "not a base and a known quote"),
            (coin_m, "BTCUSD", "not a COIN-M contract"),
            (coin_m, "BTCUSD_24062", "not a COIN-M contract"),
            (coin_m, "USD_PERP", "not a base and a known quote"),
        ] {
            let seen = names(read(symbol));
            assert!(seen.contains(expected), "{symbol}: {seen}");
        }
    }

    #[test]
    fn options_are_told_by_their_four_parts() {
        assert!(is_option("BTC-210630-9000-P") && is_option("ETH-260925-4000-C"));
        assert!(!is_option("BTCUSDT") && !is_option("BTC-USD") && !is_option("A-B-C-D"));
    }
}
