//! Key: token, a zero, quote.
//! Value: the pair's number, and the days of receipt of its first and last tick (postcard). Numbers are
//! counted from 0 and are not used again.

use domain::{Pair, Token};
use serde::{Deserialize, Serialize};

use super::day::Day;
use crate::error::StorageError;

pub(crate) const KEYSPACE: &str = "pairs-by-name";

/// What is stored of a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PairRow {
    /// Stands for the pair in other keys.
    pub(crate) number: u32,
    /// The day of receipt of the first tick.
    pub(crate) first_day: Day,
    /// The day of receipt of the last tick.
    pub(crate) last_day: Day,
}

/// Separates the names; neither has it.
const SEPARATOR: u8 = 0;

pub(crate) fn key(pair: &Pair) -> Vec<u8> {
    let mut key = prefix(pair.token.as_str(), None);
    key.extend_from_slice(pair.quote.as_str().as_bytes());
    key
}

/// The beginning of the keys of a token's pairs; with a quote, the key of the pair.
pub(crate) fn prefix(token: &str, quote: Option<&str>) -> Vec<u8> {
    let mut prefix = token.as_bytes().to_vec();
    prefix.push(SEPARATOR);
    prefix.extend_from_slice(quote.unwrap_or_default().as_bytes());
    prefix
}

pub(crate) fn pair_of(key: &[u8]) -> Result<Pair, StorageError> {
    let corrupt = |_| StorageError::corrupt("pair", String::from_utf8_lossy(key));
    let mut names = key.splitn(2, |byte| *byte == SEPARATOR);
    let mut next = || {
        let name = String::from_utf8_lossy(names.next().unwrap_or_default());
        Token::new(&name).map_err(corrupt)
    };
    Ok(Pair {
        token: next()?,
        quote: next()?,
    })
}

pub(crate) fn encode(row: &PairRow) -> Result<Vec<u8>, StorageError> {
    super::encode("pair", row)
}

pub(crate) fn decode(bytes: &[u8]) -> Result<PairRow, StorageError> {
    super::decode("pair", bytes)
}
