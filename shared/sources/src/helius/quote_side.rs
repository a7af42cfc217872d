//! The two sides of a trade, and which of them is the quote.

use std::borrow::Cow;

use domain::aliases::SOL_MINT;
use domain::{Price, Reason, Token, Volume};
use rust_decimal::Decimal;

use crate::name;
use crate::refused::Refused;

/// The mints that serve as quotes, the preferred first: USDC, USDT, the other stablecoins, SOL.
const QUOTES: &[&str] = &[
    "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v",
    "Es9vMFrzaCERmJfrF4H2FYD4KCoNkY11McCe8BenwNYB",
    // PYUSD, USDS, USD1, USDG.
    "2b1kV6DkPAnxd5ixfnxCpjxmKwqjjaYmCZfHsFu24GXo",
    "USDSwr9ApdHk5bvJKMjzff41FfuX8bSxdKcR81vTwcA",
    "USD1ttGY1N17NEEHLmELoaybftRBUSErhqYiQzvEmuB",
    "2u1tszSeqZ3qBWF3uNGPFc8TzMk2tdiwknnRMWGWjGWH",
    SOL_MINT,
];

/// A positive amount of one mint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Side<'a> {
    pub(super) mint: Cow<'a, str>,
    pub(super) amount: Decimal,
}

/// What the trader paid and received; the mints differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sides<'a> {
    pub(super) paid: Side<'a>,
    pub(super) received: Side<'a>,
}

/// A trade as a price.
#[derive(Debug)]
pub(super) struct Priced {
    pub(super) token: Token,
    pub(super) quote: Token,
    pub(super) price: Price,
    pub(super) volume: Volume,
}

/// The better-ranked side is the quote; if neither is listed, the side paid in.
pub(super) fn priced(sides: &Sides<'_>) -> Result<Priced, Refused> {
    let (paid, received) = (&sides.paid, &sides.received);
    let received_is_quote = rank(&received.mint) < rank(&paid.mint);
    let (base, quote) = if received_is_quote {
        (paid, received)
    } else {
        (received, paid)
    };
    let price = Price::of_trade(base.amount, quote.amount).ok_or_else(|| {
        let (base, quote) = (base.amount, quote.amount);
        let rule = format_args!("{quote} for {base} does not give a price above 0 and up to 10^21");
        Refused::new(Reason::InvalidPrice, rule)
    })?;
    Ok(Priced {
        token: name::token(&base.mint)?,
        quote: name::token(&quote.mint)?,
        price,
        volume: Volume::new(base.amount)
            .map_err(|error| Refused::new(Reason::InvalidVolume, error))?,
    })
}

/// Whether the quote does not depend on which side was paid.
pub(super) fn has_quote(sides: &Sides<'_>) -> bool {
    rank(&sides.paid.mint) != rank(&sides.received.mint)
}

fn rank(mint: &str) -> usize {
    QUOTES
        .iter()
        .position(|quote| *quote == mint)
        .unwrap_or(QUOTES.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    const USDC: &str = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v";
    const USDT: &str = "Es9vMFrzaCERmJfrF4H2FYD4KCoNkY11McCe8BenwNYB";

    fn check(paid: (&str, &str), received: (&str, &str), expected: (&str, &str, &str, &str)) {
        let side = |(mint, amount): (&str, &str)| Side {
            mint: Cow::Owned(mint.to_owned()),
            amount: amount.parse().unwrap(),
        };
        let seen = priced(&Sides {
            paid: side(paid),
            received: side(received),
        })
        .unwrap();
        let (token, quote, price, volume) = expected;
        assert_eq!(
            (seen.token.as_str(), seen.quote.as_str()),
            (token, quote),
            "{paid:?} for {received:?}"
        );
        assert_eq!(seen.price.to_string(), price);
        assert_eq!(seen.volume.to_string(), volume);
    }

    #[test]
    fn the_better_ranked_side_is_the_quote() {
        check((USDC, "150"), (SOL_MINT, "1"), (SOL_MINT, USDC, "150", "1"));
        check((SOL_MINT, "1"), (USDC, "150"), (SOL_MINT, USDC, "150", "1"));
        check((USDC, "2"), (USDT, "4"), (USDT, USDC, "0.5", "4"));
        check((USDT, "4"), (USDC, "2"), (USDT, USDC, "0.5", "4"));
        check(
            (SOL_MINT, "1"),
            ("Coin", "4"),
            ("Coin", SOL_MINT, "0.25", "4"),
        );
        check(
            ("Coin", "4"),
            (SOL_MINT, "1"),
            ("Coin", SOL_MINT, "0.25", "4"),
        );
        // Neither is listed: the side paid in.
        check(("Coin", "4"), ("Other", "1"), ("Other", "Coin", "4", "1"));
    }

    #[test]
    fn every_quote_except_the_last_is_a_known_dollar_token() {
        for quote in QUOTES {
            let symbol = domain::aliases::symbol_of(quote).unwrap();
            assert!(symbol.contains("USD") || *quote == SOL_MINT, "{symbol}");
        }
    }
}
