//! The names of Kraken's pairs: REST's `XBTUSDT` and `XXBTZUSD`, and what WebSocket v2 calls them.

use domain::Token;

use super::ReadError;

/// Quote currencies, longest first, to tell the two sides of a pair such as XBTUSDT.
const QUOTES: [&str; 16] = [
    "PYUSD", "EURQ", "USDT", "USDC", "USD", "EUR", "GBP", "JPY", "CAD", "AUD", "CHF", "DAI", "XBT",
    "BTC", "ETH", "DOT",
];

/// Checks a pair that the user gives.
pub(super) fn given_symbol(symbol: &str) -> Result<String, ReadError> {
    let sides = symbol.split_once('/');
    match sides {
        Some((base, quote)) if Token::new(base).is_ok() && Token::new(quote).is_ok() => {
            Ok(symbol.to_owned())
        }
        _ => Err(ReadError::File(format!(
            "--symbol `{symbol}` is no pair of Kraken: write BASE/QUOTE, such as BTC/USDT"
        ))),
    }
}

/// The v2 name of a REST pair: `XBTUSDT` is BTC/USDT, `XXBTZUSD` BTC/USD.
pub(super) fn symbol_of(pair: &str) -> Result<String, ReadError> {
    let sides = match pair.split_once('/') {
        Some(sides) => Some(sides),
        None => legacy_sides(pair).or_else(|| {
            QUOTES.iter().find_map(|quote| {
                let base = pair.strip_suffix(quote)?;
                (base.len() >= 2).then_some((base, *quote))
            })
        }),
    };
    match sides {
        Some((base, quote)) if Token::new(base).is_ok() && Token::new(quote).is_ok() => {
            Ok(format!("{}/{}", v2_name(base), v2_name(quote)))
        }
        _ => Err(ReadError::File(format!(
            "the pair `{}` does not tell base from quote: give --symbol, such as --symbol BTC/USDT",
            pair.chars().take(40).collect::<String>()
        ))),
    }
}

/// Old pairs have four characters a side, X before a coin and Z before a currency; a base of
/// four letters (USDT) has no letter before it.
fn legacy_sides(pair: &str) -> Option<(&str, &str)> {
    if pair.len() != 8 {
        return None;
    }
    let (base, quote) = pair.split_at_checked(4)?;
    Some((
        base.strip_prefix(['X', 'Z']).unwrap_or(base),
        quote.strip_prefix(['X', 'Z'])?,
    ))
}

fn v2_name(currency: &str) -> &str {
    match currency {
        "XBT" => "BTC",
        "XDG" => "DOGE",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_told_apart_or_asked_for() {
        for (pair, expected) in [
            ("XBTUSDT", Some("BTC/USDT")),
            ("XXBTZUSD", Some("BTC/USD")),
            ("XETHXXBT", Some("ETH/BTC")),
            ("XDGUSD", Some("DOGE/USD")),
            ("SOLEUR", Some("SOL/EUR")),
            ("BTC/USD", Some("BTC/USD")),
            ("USDTZUSD", Some("USDT/USD")),
            ("XTZUSD", Some("XTZ/USD")),
            ("USDCUSDT", Some("USDC/USDT")),
            ("USD", None),
            ("WHAT", None),
        ] {
            assert_eq!(symbol_of(pair).ok().as_deref(), expected, "{pair}");
        }
        assert!(given_symbol("BTC/USDT").is_ok());
        assert!(given_symbol("BTCUSDT").is_err());
    }
}
