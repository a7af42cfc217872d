//! One tick as a record.

use domain::{Method, Price, Quality, SourceName, Tick, TickId, Token, Volume};

use super::amounts::{price, put_amount, volume};
use super::bytes::{Reader, put_short_number, unzigzag, zigzag};
use super::names::{put_name, source_name, token};
use crate::error::CodecError;

/// The first byte of a record of one tick.
const FORMAT_TICK: u8 = 1;

/// The first byte of a block.
pub(super) const FORMAT_BLOCK: u8 = 2;

/// The formats that can be read.
const READABLE: &str = "1 (a tick) and 2 (a block)";

/// Records of version 1.0 have neither of these two; a reader of 1.0 refuses both as unknown methods.
const HAS_SEQUENCE: u8 = 0x10;
const HAS_QUALITY: u8 = 0x20;
const HAS_VOLUME: u8 = 0x40;
const HAS_SLOT: u8 = 0x80;
const METHOD_BITS: u8 = 0x0f;

/// Bytes to reserve for one tick, so the buffer rarely grows while it is written.
const TICK_BYTES_TYPICAL: usize = 128;

/// Appends a tick as a record: 50 to 120 bytes for the ticks that sources send, and at most 287
/// (three names of 64 bytes).
pub fn encode(tick: &Tick, out: &mut Vec<u8>) {
    out.reserve(TICK_BYTES_TYPICAL);
    out.push(FORMAT_TICK);
    put_fields(tick, out);
    put_name(tick.token.as_str(), out);
    put_name(tick.quote.as_str(), out);
    put_name(tick.source.as_str(), out);
}

/// Reads a record that [`encode`] wrote.
///
/// # Errors
/// [`CodecError`] if the bytes are not such a record, or more bytes follow it.
pub fn decode(record: &[u8]) -> Result<Tick, CodecError> {
    let mut reader = Reader::new(record);
    check_format(&mut reader, FORMAT_TICK)?;
    let fields = Fields::read(&mut reader)?;
    let base = token(&mut reader, "token")?;
    let quote = token(&mut reader, "quote")?;
    let source = source_name(&mut reader)?;
    reader.end()?;
    Ok(fields.with_names(base, quote, source))
}

pub(super) fn check_format(reader: &mut Reader<'_>, expected: u8) -> Result<(), CodecError> {
    match reader.byte("format")? {
        format if format == expected => Ok(()),
        format => Err(CodecError::Version {
            found: format.to_string(),
            readable: READABLE,
        }),
    }
}

/// Appends all fields of a tick except its names.
pub(super) fn put_fields(tick: &Tick, out: &mut Vec<u8>) {
    let volume_flag = if tick.volume.is_some() { HAS_VOLUME } else { 0 };
    let slot_flag = if tick.slot.is_some() { HAS_SLOT } else { 0 };
    let sequence_flag = if tick.sequence.is_some() {
        HAS_SEQUENCE
    } else {
        0
    };
    let quality_flag = if tick.quality.is_some() {
        HAS_QUALITY
    } else {
        0
    };
    out.push(method_code(tick.method) | volume_flag | slot_flag | sequence_flag | quality_flag);
    out.extend_from_slice(tick.tick_id.as_bytes());
    put_short_number(zigzag(tick.timestamp_ms), out);
    put_short_number(
        zigzag(tick.ingested_at_ms.wrapping_sub(tick.timestamp_ms)),
        out,
    );
    put_amount(tick.price.decimal(), out);
    if let Some(volume) = tick.volume {
        put_amount(volume.decimal(), out);
    }
    if let Some(slot) = tick.slot {
        put_short_number(slot, out);
    }
    if let Some(sequence) = tick.sequence {
        put_short_number(sequence, out);
    }
    if let Some(quality) = tick.quality {
        out.push(quality as u8);
    }
}

/// All fields of a tick except its names.
pub(super) struct Fields {
    method: Method,
    tick_id: TickId,
    timestamp_ms: i64,
    ingested_at_ms: i64,
    price: Price,
    volume: Option<Volume>,
    slot: Option<u64>,
    sequence: Option<u64>,
    quality: Option<Quality>,
}

impl Fields {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        let head = reader.byte("method")?;
        let code = head & METHOD_BITS;
        let method = Method::ALL
            .get(usize::from(code))
            .copied()
            .ok_or(CodecError::Code {
                field: "method",
                value: u64::from(code),
            })?;
        let tick_id = TickId::from_bytes(reader.array("tick_id")?);
        let timestamp_ms = unzigzag(reader.number("timestamp")?);
        let delay_ms = unzigzag(reader.number("ingested_at")?);
        Ok(Self {
            method,
            tick_id,
            timestamp_ms,
            ingested_at_ms: timestamp_ms.wrapping_add(delay_ms),
            price: price(reader)?,
            volume: if head & HAS_VOLUME == 0 {
                None
            } else {
                Some(volume(reader)?)
            },
            slot: if head & HAS_SLOT == 0 {
                None
            } else {
                Some(reader.number("slot")?)
            },
            sequence: if head & HAS_SEQUENCE == 0 {
                None
            } else {
                Some(reader.number("sequence")?)
            },
            quality: if head & HAS_QUALITY == 0 {
                None
            } else {
                Some(quality(reader.byte("quality")?)?)
            },
        })
    }

    pub(super) fn with_names(self, token: Token, quote: Token, source: SourceName) -> Tick {
        let Self {
            method,
            tick_id,
            timestamp_ms,
            ingested_at_ms,
            price,
            volume,
            slot,
            sequence,
            quality,
        } = self;
        Tick {
            tick_id,
            token,
            quote,
            price,
            volume,
            timestamp_ms,
            ingested_at_ms,
            source,
            slot,
            method,
            sequence,
            quality,
        }
    }
}

/// A method's code is its position in [`Method::ALL`], which is in the order of declaration.
fn method_code(method: Method) -> u8 {
    method as u8
}

/// A quality's code is its position in [`Quality::ALL`].
fn quality(code: u8) -> Result<Quality, CodecError> {
    let quality = Quality::ALL.get(usize::from(code)).copied();
    quality.ok_or(CodecError::Code {
        field: "quality",
        value: u64::from(code),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_of_methods_never_change() {
        let codes = Method::ALL
            .map(|method| format!("{} {method}", method_code(method)))
            .join(", ");
        let stored =
            "0 reported, 1 trade, 2 ticker, 3 oracle, 4 quote, 5 swap_event, 6 net_balances";
        assert_eq!(codes, stored);
    }
}
