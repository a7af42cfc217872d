//! Symbols of well-known Solana tokens, for places where people type or read a mint address.
//!
//! A symbol does not identify a token: anybody can mint a token named `USDC`. Ticks carry mints,
//! and these symbols are only another way to write the mints below.

/// Wrapped SOL. Native SOL is represented by the same address.
pub const SOL_MINT: &str = "So11111111111111111111111111111111111111112";

/// Symbols as their issuers write them, with their mint addresses.
const MINTS: &[(&str, &str)] = &[
    ("SOL", SOL_MINT),
    ("USDC", "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"),
    ("USDT", "Es9vMFrzaCERmJfrF4H2FYD4KCoNkY11McCe8BenwNYB"),
    ("PYUSD", "2b1kV6DkPAnxd5ixfnxCpjxmKwqjjaYmCZfHsFu24GXo"),
    ("USDS", "USDSwr9ApdHk5bvJKMjzff41FfuX8bSxdKcR81vTwcA"),
    ("USD1", "USD1ttGY1N17NEEHLmELoaybftRBUSErhqYiQzvEmuB"),
    ("USDG", "2u1tszSeqZ3qBWF3uNGPFc8TzMk2tdiwknnRMWGWjGWH"),
    ("mSOL", "mSoLzYCxHdYgdzU16g5QSh3i5K3z3KZK7ytfqcJm7So"),
    ("jitoSOL", "J1toso1uCk3RLmjorhTtrVwY9HJ7X8V9yYac6Y7kGCPn"),
    ("bSOL", "bSo13r4TkiE4KumL71LsHTPpL2euBYLFx6h9HP3piy1"),
    ("JUP", "JUPyiwrYJFskUPiHa7hkeR8VUtAeFoSYbKedZNsDvCN"),
    ("BONK", "DezXAZ8z7PnrnRJjz3wXBoRgixCa6xjnB7YaB1pPB263"),
    ("WIF", "EKpQGSJtjMFqKZ9KQanSqYXRcF8fBopzLHYxdM65zcjm"),
    ("RAY", "4k3Dyjzvzp8eMZWUXbBCjEvwSkkk59S5iCNLY3QrkX6R"),
    ("ORCA", "orcaEKTdK7LKz57vaAYr9QeNsVEPfiu6QeMU1kektZE"),
    ("PYTH", "HZ1JovNiVvGrGNiiYvEozEVgZ58xaU3RKwX8eACQBCt3"),
    ("JTO", "jtojtomepa8beP8AuQc6eXt5FriJwfFMwQx2v2f9mCL"),
    ("W", "85VBFQZC9TZkfaptBWjvUw7YbZjy52A6mjtPGjstQAmQ"),
];

/// The mint that a symbol stands for, upper or lower case.
#[must_use]
pub fn mint_of(symbol: &str) -> Option<&'static str> {
    MINTS
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(symbol))
        .map(|(_, mint)| *mint)
}

/// The symbol of a mint.
#[must_use]
pub fn symbol_of(mint: &str) -> Option<&'static str> {
    MINTS
        .iter()
        .find(|(_, known)| *known == mint)
        .map(|(symbol, _)| *symbol)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes that a base58 text stands for, most significant first.
    fn base58(text: &str) -> Vec<u8> {
        const DIGITS: &str = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
        let mut bytes = vec![0_u8; 64];
        for digit in text.chars() {
            let mut carry = DIGITS.find(digit).unwrap();
            for byte in bytes.iter_mut().rev() {
                carry += usize::from(*byte) * 58;
                *byte = u8::try_from(carry % 256).unwrap();
                carry /= 256;
            }
        }
        let zeros = text.chars().take_while(|digit| *digit == '1').count();
        let first = bytes.iter().position(|byte| *byte != 0).unwrap();
        bytes.split_off(first - zeros)
    }

    #[test]
    fn every_mint_is_an_address_and_is_listed_once() {
        for (symbol, mint) in MINTS {
            assert_eq!(base58(mint).len(), 32, "{symbol}");
            assert_eq!(mint_of(symbol), Some(*mint));
            assert_eq!(mint_of(&symbol.to_lowercase()), Some(*mint));
            assert_eq!(symbol_of(mint), Some(*symbol));
        }
    }

    #[test]
    fn other_names_have_no_mint() {
        assert_eq!(mint_of("BTC"), None);
        assert_eq!(mint_of(SOL_MINT), None);
        assert_eq!(symbol_of("USDC"), None);
        assert_eq!(symbol_of(&SOL_MINT.to_lowercase()), None);
    }
}
