//! The market of a Binance dump: given, or recognized in the symbol and the columns.
//!
//! The rows do not name it. Spot dumps have one column more, whether the price was the best match;
//! COIN-M dumps have `base_qty` in place of `quote_qty`, and symbols of their own; in futures dumps,
//! `true` and `false` are in lower case and end the row.
//! <https://github.com/binance/binance-public-data>

use super::binance_symbol::{expires, is_coin_m};
use super::{Market, ReadError};

/// The webhooks of the markets.
pub(crate) const SOURCES: [&str; 3] = ["binance", "binance-usdm", "binance-coinm"];

/// What a dump shows of its market.
#[derive(Debug, Clone, Copy)]
pub(super) struct Signs<'a> {
    /// The symbol, in capitals.
    pub(super) symbol: &'a str,
    /// Whether the header has `base_qty`.
    pub(super) has_base_quantity: bool,
    /// Whether the first row says whether the buyer was the maker, and how.
    pub(super) maker: Option<&'a str>,
    /// Whether the rows say whether the price was the best match.
    pub(super) has_best_match: bool,
}

/// The webhook of a market.
pub(super) fn source(market: Market) -> &'static str {
    let [spot, usdm, coinm] = SOURCES;
    match market {
        Market::Spot => spot,
        Market::Usdm => usdm,
        Market::Coinm => coinm,
    }
}

/// The market that was given, if the symbol is possible there, or the one that the signs show.
///
/// # Errors
/// [`ReadError::File`] if the symbol contradicts the market, or if the signs fit several markets.
pub(super) fn market(given: Option<Market>, signs: Signs<'_>) -> Result<Market, ReadError> {
    let Some(market) = given.or_else(|| recognized(signs)) else {
        return Err(ReadError::File(
            "the rows may be of any market of Binance, which number their trades independently: \
             pass --market spot, usdm or coinm"
                .to_owned(),
        ));
    };
    let symbol = signs.symbol;
    let is_possible = match market {
        Market::Spot => !is_coin_m(symbol) && !expires(symbol),
        Market::Usdm => !is_coin_m(symbol),
        Market::Coinm => is_coin_m(symbol),
    };
    if is_possible {
        return Ok(market);
    }
    let example = match market {
        Market::Spot => "BTCUSDT",
        Market::Usdm => "BTCUSDT or BTCUSDT_260925",
        Market::Coinm => "BTCUSD_PERP or BTCUSD_260925",
    };
    let how = if given.is_some() {
        "--market says"
    } else {
        "the columns show"
    };
    Err(ReadError::File(format!(
        "{how} {market}, where `{symbol}` is not a symbol: pass --symbol, such as {example}, or \
         another --market"
    )))
}

fn recognized(signs: Signs<'_>) -> Option<Market> {
    if signs.has_base_quantity || is_coin_m(signs.symbol) {
        return Some(Market::Coinm);
    }
    if signs.has_best_match {
        return Some(Market::Spot);
    }
    match signs.maker {
        Some("true" | "false") => Some(Market::Usdm),
        // A copy of a spot dump without its last column: futures dumps never had capitals.
        Some("True" | "False") if !expires(signs.symbol) => Some(Market::Spot),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signs<'a>(symbol: &'a str, maker: Option<&'a str>) -> Signs<'a> {
        Signs {
            symbol,
            has_base_quantity: false,
            maker,
            has_best_match: false,
        }
    }

    #[test]
    fn the_market_is_recognized_or_asked_for() {
        let best_match = Signs {
            has_best_match: true,
            ..signs("BTCUSDT", Some("true"))
        };
        let base_quantity = Signs {
            has_base_quantity: true,
            ..signs("BTCUSD_PERP", Some("true"))
        };
        for (signs, expected) in [
            (best_match, Market::Spot),
            (base_quantity, Market::Coinm),
            (signs("BTCUSDT", Some("true")), Market::Usdm),
            (signs("BTCUSDT", Some("False")), Market::Spot),
            (signs("BTCUSDT_260925", Some("false")), Market::Usdm),
            (signs("BTCUSD_260925", Some("false")), Market::Coinm),
            (signs("BTCUSD_PERP", None), Market::Coinm),
        ] {
            assert_eq!(market(None, signs), Ok(expected), "{signs:?}");
        }
        for unclear in [
            signs("BTCUSDT", None),
            signs("BTCUSDT", Some("1")),
            signs("BTCUSDT_260925", Some("True")),
        ] {
            let error = market(None, unclear).unwrap_err().to_string();
            assert!(error.contains("--market spot, usdm or coinm"), "{error}");
            assert_eq!(market(Some(Market::Usdm), unclear), Ok(Market::Usdm));
        }
    }

    #[test]
    fn a_symbol_of_another_market_is_refused() {
        for (given, symbol, part) in [
            (Some(Market::Spot), "BTCUSD_PERP", "--market says spot"),
            (Some(Market::Spot), "BTCUSDT_260925", "such as BTCUSDT, or"),
            (Some(Market::Usdm), "BTCUSD_PERP", "BTCUSDT_260925"),
            (Some(Market::Coinm), "BTCUSDT", "BTCUSD_PERP"),
        ] {
            let error = market(given, signs(symbol, Some("true"))).unwrap_err();
            assert!(error.to_string().contains(part), "{error}");
        }
        let columns = Signs {
            has_base_quantity: true,
            ..signs("BTCUSDT", Some("true"))
        };
        let error = market(None, columns).unwrap_err().to_string();
        assert!(error.starts_with("the columns show coinm"), "{error}");
    }
}
