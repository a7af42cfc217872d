//! Product names of the exchanges: `BTC-USD`, `BTC/USD`, `BTCUSDT`.

use domain::{Reason, Token};

use crate::described::SHOWN_CHARS_MAX;
use crate::refused::Refused;

/// Splits `BTC-USD` at the only `separator` into base and quote.
pub(crate) fn split_at(product: &str, separator: char) -> Result<(Token, Token), Refused> {
    let (base, quote) = product
        .split_once(separator)
        .filter(|(_, quote)| !quote.contains(separator))
        .ok_or_else(|| not_a_product(product, &format!("BASE{separator}QUOTE")))?;
    pair(product, base, quote)
}

/// Splits `BTCUSDT` before the longest of the `quotes` that it ends with.
pub(crate) fn split_by_quote(product: &str, quotes: &[&str]) -> Result<(Token, Token), Refused> {
    let (base, quote) = quotes
        .iter()
        .filter_map(|quote| Some((product.strip_suffix(quote)?, *quote)))
        .filter(|(base, _)| !base.is_empty())
        .max_by_key(|(_, quote)| quote.len())
        .ok_or_else(|| not_a_product(product, "a base and a known quote, such as BTCUSDT"))?;
    pair(product, base, quote)
}

fn pair(product: &str, base: &str, quote: &str) -> Result<(Token, Token), Refused> {
    let token = |name: &str| {
        Token::new(name).map_err(|error| {
            Refused::new(
                Reason::InvalidToken,
                format_args!("the product `{}`: {error}", shown(product)),
            )
        })
    };
    Ok((token(base)?, token(quote)?))
}

/// Refuses a product; `expected` follows "is not" in the message.
pub(crate) fn not_a_product(product: &str, expected: &str) -> Refused {
    Refused::new(
        Reason::InvalidToken,
        format_args!("the product `{}` is not {expected}", shown(product)),
    )
}

/// The part of a product name that a message repeats.
fn shown(product: &str) -> String {
    product.chars().take(SHOWN_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(split: Result<(Token, Token), Refused>) -> Option<(String, String)> {
        split
            .ok()
            .map(|(base, quote)| (base.to_string(), quote.to_string()))
    }

    fn pair_of(base: &str, quote: &str) -> Option<(String, String)> {
        Some((base.to_owned(), quote.to_owned()))
    }

    #[test]
    fn a_separator_splits_once() {
        assert_eq!(names(split_at("BTC-USD", '-')), pair_of("BTC", "USD"));
        assert_eq!(names(split_at("BTC/USD", '/')), pair_of("BTC", "USD"));
        for product in ["", "BTCUSD", "BTC-", "-USD", "BTC-PERP-INTX", "B C-USD"] {
            assert_eq!(names(split_at(product, '-')), None, "{product}");
        }
    }

    #[test]
    fn the_longest_known_quote_wins() {
        let quotes = ["USDT", "USD", "BTC", "TUSD", "T"];
        assert_eq!(
            names(split_by_quote("BTCUSDT", &quotes)),
            pair_of("BTC", "USDT")
        );
        assert_eq!(
            names(split_by_quote("BTCTUSD", &quotes)),
            pair_of("BTC", "TUSD")
        );
        assert_eq!(
            names(split_by_quote("ETHBTC", &quotes)),
            pair_of("ETH", "BTC")
        );
        // A quote alone has no base, so a shorter quote is used.
        assert_eq!(names(split_by_quote("USDT", &quotes)), pair_of("USD", "T"));
        for product in ["", "BTC", "BTCXYZ", "btcusdt"] {
            assert_eq!(names(split_by_quote(product, &quotes)), None, "{product}");
        }
    }
}
