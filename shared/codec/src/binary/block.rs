//! Many ticks as one record, which contains each name once.

use std::borrow::Borrow;
use std::collections::HashMap;

use domain::{SourceName, Tick, Token};

use super::bytes::{Reader, put_short_number};
use super::names::{put_name, source_name, token};
use super::record::{FORMAT_BLOCK, Fields, check_format, put_fields};
use crate::error::CodecError;

/// The fewest bytes that a tick takes in a block. A count that cannot fit into the remaining bytes
/// is refused before memory is allocated for it.
const TICK_BYTES_MIN: usize = 1 + 16 + 1 + 1 + 2 + 3;

/// Bytes to reserve for one tick of a block.
const TICK_BYTES_TYPICAL: usize = 48;

/// Writes ticks as one record, in their order.
#[must_use]
pub fn encode_block<T: Borrow<Tick>>(ticks: &[T]) -> Vec<u8> {
    let mut tokens = Positions::default();
    let mut sources = Positions::default();
    let mut body = Vec::with_capacity(ticks.len() * TICK_BYTES_TYPICAL);
    put_short_number(ticks.len() as u64, &mut body);
    for tick in ticks {
        let tick = tick.borrow();
        put_fields(tick, &mut body);
        put_short_number(tokens.of(tick.token.as_str()), &mut body);
        put_short_number(tokens.of(tick.quote.as_str()), &mut body);
        put_short_number(sources.of(tick.source.as_str()), &mut body);
    }
    let mut out =
        Vec::with_capacity(body.len() + 64 * (tokens.names.len() + sources.names.len()) + 16);
    out.push(FORMAT_BLOCK);
    tokens.put(&mut out);
    sources.put(&mut out);
    out.extend_from_slice(&body);
    out
}

/// Reads a record that [`encode_block`] wrote. Ticks of one block share their names in memory.
///
/// # Errors
/// [`CodecError`] if the bytes are not such a record, or more bytes follow it.
pub fn decode_block(record: &[u8]) -> Result<Vec<Tick>, CodecError> {
    let mut reader = Reader::new(record);
    check_format(&mut reader, FORMAT_BLOCK)?;
    let count = count(&mut reader, "tokens", 1)?;
    let tokens = (0..count)
        .map(|_| token(&mut reader, "token"))
        .collect::<Result<Vec<_>, _>>()?;
    let sources = read_sources(&mut reader)?;
    let ticks = self::count(&mut reader, "ticks", TICK_BYTES_MIN)?;
    let ticks = (0..ticks)
        .map(|_| {
            let fields = Fields::read(&mut reader)?;
            let base: &Token = at(&tokens, &mut reader, "token")?;
            let quote: &Token = at(&tokens, &mut reader, "quote")?;
            let source = at(&sources, &mut reader, "source")?;
            Ok(fields.with_names(base.clone(), quote.clone(), source.clone()))
        })
        .collect::<Result<Vec<_>, CodecError>>()?;
    reader.end()?;
    Ok(ticks)
}

fn read_sources(reader: &mut Reader<'_>) -> Result<Vec<SourceName>, CodecError> {
    let count = count(reader, "sources", 1)?;
    (0..count).map(|_| source_name(reader)).collect()
}

/// Reads how many entries follow, and refuses a count that cannot fit into the rest of the record.
fn count(
    reader: &mut Reader<'_>,
    field: &'static str,
    entry_bytes_min: usize,
) -> Result<usize, CodecError> {
    let value = reader.number(field)?;
    let room = reader.left() / entry_bytes_min;
    match usize::try_from(value) {
        Ok(count) if count <= room => Ok(count),
        _ => Err(CodecError::Code { field, value }),
    }
}

fn at<'a, T>(
    names: &'a [T],
    reader: &mut Reader<'_>,
    field: &'static str,
) -> Result<&'a T, CodecError> {
    let value = reader.number(field)?;
    let name = usize::try_from(value)
        .ok()
        .and_then(|position| names.get(position));
    name.ok_or(CodecError::Code { field, value })
}

/// Each distinct name, in the order of first use.
#[derive(Default)]
struct Positions<'a> {
    names: Vec<&'a str>,
    positions: HashMap<&'a str, u64>,
    latest: Option<(&'a str, u64)>,
}

impl<'a> Positions<'a> {
    fn of(&mut self, name: &'a str) -> u64 {
        // Adjacent ticks often have the same name, and comparing is cheaper than hashing.
        if let Some((latest, position)) = self.latest
            && latest == name
        {
            return position;
        }
        let next = self.names.len() as u64;
        let position = *self.positions.entry(name).or_insert(next);
        if position == next {
            self.names.push(name);
        }
        self.latest = Some((name, position));
        position
    }

    fn put(&self, out: &mut Vec<u8>) {
        put_short_number(self.names.len() as u64, out);
        for name in &self.names {
            put_name(name, out);
        }
    }
}
