//! Converts the names of Kraken's pairs from REST (`XBTUSDT`, `XXBTZUSD`) to WebSocket v2.

use domain::Token;

use super::ReadError;

/// Quote currencies, longest first, to split a pair such as XBTUSDT.
const QUOTES: [&str; 16] = [
    "PYUSD", "EURQ", "USDT", "USDC", "USD", "EUR", "GBP", "JPY", "CAD", "AUD", "CHF", "DAI", "XBT",
    "BTC", "ETH", "DOT",
];

/// Checks a pair from the command line.
pub(super) fn given_symbol(symbol: &str) -> Result<String, ReadError> {
    let sides = symbol.split_once('/');
    match sides {
        Some((base, quote)) if Token::new(base).is_ok() && Token::new(quote).is_ok() => {
            Ok(symbol.to_owned())
        }
        _ => Err(ReadError::File(format!(
            "--symbol `{symbol}` is not a pair of Kraken: use BASE/QUOTE, such as BTC/USDT"
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
            "the pair `{}` cannot be split into base and quote: pass --symbol, such as --symbol \
             BTC/USDT",
            pair.chars().take(40).collect::<String>()
        ))),
    }
}

/// Old pairs have four characters per side, with the prefix X for coins and Z for currencies; a
/// base of four letters (USDT) has no prefix.
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
    fn pairs_are_split_or_a_symbol_is_required() {
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
