//! Names in a record: the code of a well-known name, or length and text.

use domain::{SourceName, Token};

use super::bytes::Reader;
use crate::error::CodecError;

/// Names that most ticks have, written as their position in this list. The list is part of the
/// format: names may be appended, but never moved or removed.
const WELL_KNOWN: [&str; 12] = [
    "USD",
    "USDC",
    "USDT",
    "EUR",
    "BTC",
    "ETH",
    "SOL",
    "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v", // USDC
    "Es9vMFrzaCERmJfrF4H2FYD4KCoNkY11McCe8BenwNYB", // USDT
    "So11111111111111111111111111111111111111112",  // wrapped SOL
    "2b1kV6DkPAnxd5ixfnxCpjxmKwqjjaYmCZfHsFu24GXo", // PYUSD
    "USD1ttGY1N17NEEHLmELoaybftRBUSErhqYiQzvEmuB",  // USD1
];

/// Codes from here on are lengths: 128 and the number of bytes (1 to 64).
const LENGTH_BASE: u8 = 0x80;

/// Appends a name of at most 64 bytes.
pub(super) fn put_name(name: &str, out: &mut Vec<u8>) {
    let known = WELL_KNOWN.iter().position(|known| *known == name);
    // A position is below 128, and a name has at most 64 bytes.
    if let Some(code) = known.and_then(|position| u8::try_from(position).ok()) {
        out.push(code);
    } else {
        out.push(LENGTH_BASE | name.len().to_le_bytes()[0]);
        out.extend_from_slice(name.as_bytes());
    }
}

fn text<'a>(reader: &mut Reader<'a>, field: &'static str) -> Result<&'a str, CodecError> {
    let code = reader.byte(field)?;
    if code < LENGTH_BASE {
        let known = WELL_KNOWN.get(usize::from(code)).copied();
        return known.ok_or(CodecError::Code {
            field,
            value: u64::from(code),
        });
    }
    let bytes = reader.slice(usize::from(code & !LENGTH_BASE), field)?;
    let at =
        |error: std::str::Utf8Error| bytes.get(error.valid_up_to()).copied().unwrap_or_default();
    std::str::from_utf8(bytes).map_err(|error| CodecError::Code {
        field,
        value: u64::from(at(error)),
    })
}

pub(super) fn token(reader: &mut Reader<'_>, column: &'static str) -> Result<Token, CodecError> {
    Token::new(text(reader, column)?).map_err(|source| CodecError::Name { column, source })
}

pub(super) fn source_name(reader: &mut Reader<'_>) -> Result<SourceName, CodecError> {
    let column = "source";
    SourceName::new(text(reader, column)?).map_err(|source| CodecError::Name { column, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_of_well_known_names_never_change() {
        // Changing this line changes the format: stored records would be read with other tokens.
        let codes = WELL_KNOWN.map(|name| &name[..name.len().min(4)]).join(" ");
        assert_eq!(
            codes,
            "USD USDC USDT EUR BTC ETH SOL EPjF Es9v So11 2b1k USD1"
        );
        assert!(WELL_KNOWN.iter().all(|name| Token::new(name).is_ok()));
    }

    #[test]
    fn the_longest_name_round_trips() {
        for name in ["USD", "a", &"x".repeat(64)] {
            let mut out = Vec::new();
            put_name(name, &mut out);
            assert_eq!(
                token(&mut Reader::new(&out), "token").unwrap().as_str(),
                name
            );
        }
    }

    #[test]
    fn unknown_codes_and_broken_texts_are_refused() {
        for record in [
            &[12_u8][..],
            &[0x80],
            &[0x81, 0xff],
            &[0x82, b'a'],
            &[0x81, b' '],
        ] {
            assert!(
                token(&mut Reader::new(record), "token").is_err(),
                "{record:?}"
            );
        }
    }
}
