//! The symbol of a Binance dump, whose rows do not contain it.

use std::collections::BTreeSet;

use super::ReadError;

/// The suffix of a COIN-M contract that does not expire: `BTCUSD_PERP`.
const PERPETUAL: &str = "PERP";

/// Checks a symbol from the command line, in upper or lower case.
pub(super) fn given_symbol(symbol: &str) -> Result<String, ReadError> {
    let upper = symbol.to_ascii_uppercase();
    let (pair, suffix) = upper.split_once('_').unwrap_or((&upper, PERPETUAL));
    let is_pair = !pair.is_empty() && pair.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !is_pair || !(suffix == PERPETUAL || is_expiry(suffix)) {
        return Err(ReadError::File(format!(
            "--symbol `{symbol}` is not a symbol of Binance: use letters and digits, such as \
             BTCUSDT, BTCUSD_PERP or BTCUSD_260925"
        )));
    }
    Ok(upper)
}

/// The symbol in a file's name: `BTCUSDT-trades-2021-01-08.csv`, `binance-BTCUSDT-2021-01-08.csv`,
/// `BTCUSD_PERP-trades-2021-01-08.csv`.
pub(super) fn symbol_in(file_name: &str) -> Result<String, ReadError> {
    let found: BTreeSet<String> = file_name
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .flat_map(|part| symbols(part, file_name))
        .collect();
    match (found.first(), found.len()) {
        (Some(symbol), 1) => Ok(symbol.clone()),
        _ => Err(ReadError::File(format!(
            "neither the rows nor the file name `{file_name}` contain the symbol: pass it, such \
             as --symbol BTCUSDT"
        ))),
    }
}

/// Whether it is a contract of COIN-M, whose quote is USD: `BTCUSD_PERP`, `BTCUSD_260925`.
pub(super) fn is_coin_m(symbol: &str) -> bool {
    symbol
        .split_once('_')
        .is_some_and(|(pair, _)| pair.ends_with("USD"))
}

/// Whether it is a contract that expires: `BTCUSDT_260925`.
pub(super) fn expires(symbol: &str) -> bool {
    symbol
        .split_once('_')
        .is_some_and(|(_, suffix)| is_expiry(suffix))
}

/// The symbols in a part of a file's name, with the suffix of a contract.
fn symbols(part: &str, file_name: &str) -> Vec<String> {
    let words: Vec<&str> = part.split('_').collect();
    let with_suffix = |(at, word): (usize, &&str)| {
        if !is_symbol(word) {
            return None;
        }
        let contract = words
            .get(at + 1)
            .map(|suffix| (format!("{word}_{suffix}"), *suffix));
        // Six digits may be the day of the file, unless the name is one of Binance's own.
        let is_contract = |symbol: &str, suffix: &str| {
            suffix == PERPETUAL
                || is_expiry(suffix) && file_name.contains(&format!("{symbol}-trades-"))
        };
        match contract {
            Some((symbol, suffix)) if is_contract(&symbol, suffix) => Some(symbol),
            _ => Some((*word).to_owned()),
        }
    };
    words.iter().enumerate().filter_map(with_suffix).collect()
}

/// Whether a word of a file's name is a pair. The shortest pairs have five letters; other words of a
/// name are not in capitals.
fn is_symbol(word: &str) -> bool {
    let is_capital = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
    word.len() >= 5
        && word.bytes().all(is_capital)
        && word.bytes().any(|byte| byte.is_ascii_uppercase())
}

fn is_expiry(suffix: &str) -> bool {
    suffix.len() == 6 && suffix.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_symbol_comes_from_the_file_name_or_is_required() {
        for (name, expected) in [
            ("binance-BTCUSDT-2021-01-08.csv", Some("BTCUSDT")),
            ("1000SATSUSDT-trades-2024-01.csv", Some("1000SATSUSDT")),
            ("ETHBTC.csv", Some("ETHBTC")),
            ("BTCUSDT-BTCUSDT.csv", Some("BTCUSDT")),
            ("BTCUSD_PERP-trades-2024-01.csv", Some("BTCUSD_PERP")),
            ("BTCUSD_240628-trades-2024-01-08.csv", Some("BTCUSD_240628")),
            (
                "BTCUSDT_240628-trades-2024-01-08.csv",
                Some("BTCUSDT_240628"),
            ),
            ("BTCUSDT_240108.csv", Some("BTCUSDT")),
            ("binance_BTCUSDT_trades.csv", Some("BTCUSDT")),
            ("BTCUSDT-ETHUSDT.csv", None),
            ("trades.csv", None),
            ("-", None),
            ("2021-01-08.csv", None),
        ] {
            assert_eq!(symbol_in(name).ok().as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn a_given_symbol_is_checked() {
        for (symbol, expected) in [
            ("btcusdt", Some("BTCUSDT")),
            ("btcusd_perp", Some("BTCUSD_PERP")),
            ("BTCUSDT_260925", Some("BTCUSDT_260925")),
            ("BTC/USDT", None),
            ("BTCUSD_", None),
            ("_PERP", None),
            ("", None),
        ] {
            assert_eq!(given_symbol(symbol).ok().as_deref(), expected, "{symbol}");
        }
        assert!(is_coin_m("BTCUSD_PERP") && is_coin_m("BTCUSD_240628"));
        assert!(!is_coin_m("BTCUSDT_240628") && !is_coin_m("BTCUSD"));
        assert!(expires("BTCUSDT_240628") && !expires("BTCUSD_PERP"));
    }
}
