//! A tick as JSON: the same text in the stream, the queues and the read API.

use std::borrow::Cow;
use std::io::Write as _;

use domain::{Method, Price, SourceName, TICK_VERSION, Tick, TickId, Token, Volume};
use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};

use crate::error::CodecError;

/// Bytes to reserve for one tick, so the buffer rarely grows while it is written.
pub const TICK_BYTES_TYPICAL: usize = 384;

/// The format versions that can be read: a later minor version only adds fields.
const READABLE: &str = "1.x";

/// A tick as a serde value, for responses that contain ticks. It has the same fields in the same
/// order as [`write_json`].
#[derive(Debug, Clone, Copy)]
pub struct TickJson<'a>(pub &'a Tick);

/// Appends a tick as one JSON object on one line (without a line break). Amounts are exact texts;
/// fields without a value are omitted.
pub fn write_json(tick: &Tick, out: &mut Vec<u8>) {
    out.reserve(TICK_BYTES_TYPICAL);
    out.extend_from_slice(b"{\"tick_id\":\"");
    out.extend_from_slice(&tick.tick_id.hex());
    // Names, ids and methods have no character that JSON would escape (see `domain::NameError`).
    put(out, "\",\"token\":\"", tick.token.as_str());
    put(out, "\",\"quote\":\"", tick.quote.as_str());
    put(out, "\",\"price\":\"", tick.price);
    if let Some(volume) = tick.volume {
        put(out, "\",\"volume\":\"", volume);
    }
    put(out, "\",\"timestamp\":", tick.timestamp_ms);
    put(out, ",\"ingested_at\":", tick.ingested_at_ms);
    put(out, ",\"source\":\"", tick.source.as_str());
    if let Some(slot) = tick.slot {
        put(out, "\",\"slot\":", slot);
        put(out, ",\"method\":\"", tick.method.as_str());
    } else {
        put(out, "\",\"method\":\"", tick.method.as_str());
    }
    put(out, "\",\"version\":\"", TICK_VERSION);
    out.push(b'"');
    if let Some(sequence) = tick.sequence {
        put(out, ",\"sequence\":", sequence);
    }
    if let Some(quality) = tick.quality {
        put(out, ",\"quality\":\"", quality.as_str());
        out.push(b'"');
    }
    out.push(b'}');
}

fn put(out: &mut Vec<u8>, before: &str, value: impl std::fmt::Display) {
    out.extend_from_slice(before.as_bytes());
    // Writing to a Vec cannot fail.
    _ = write!(out, "{value}");
}

impl Serialize for TickJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(tick) = self;
        let absent = [
            tick.volume.is_none(),
            tick.slot.is_none(),
            tick.sequence.is_none(),
            tick.quality.is_none(),
        ];
        let absent: usize = absent.into_iter().map(usize::from).sum();
        let mut object =
            serializer.serialize_struct("Tick", crate::tick_columns::COLUMNS.len() - absent)?;
        object.serialize_field("tick_id", &tick.tick_id)?;
        object.serialize_field("token", tick.token.as_str())?;
        object.serialize_field("quote", tick.quote.as_str())?;
        object.serialize_field("price", &tick.price)?;
        match &tick.volume {
            Some(volume) => object.serialize_field("volume", volume)?,
            None => object.skip_field("volume")?,
        }
        object.serialize_field("timestamp", &tick.timestamp_ms)?;
        object.serialize_field("ingested_at", &tick.ingested_at_ms)?;
        object.serialize_field("source", tick.source.as_str())?;
        match &tick.slot {
            Some(slot) => object.serialize_field("slot", slot)?,
            None => object.skip_field("slot")?,
        }
        object.serialize_field("method", tick.method.as_str())?;
        object.serialize_field("version", TICK_VERSION)?;
        match &tick.sequence {
            Some(sequence) => object.serialize_field("sequence", sequence)?,
            None => object.skip_field("sequence")?,
        }
        match &tick.quality {
            Some(quality) => object.serialize_field("quality", quality)?,
            None => object.skip_field("quality")?,
        }
        object.end()
    }
}

/// The fields as they are in the text. Unknown fields belong to a later version and are ignored.
#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow)]
    tick_id: Cow<'a, str>,
    #[serde(borrow)]
    token: Cow<'a, str>,
    #[serde(borrow)]
    quote: Cow<'a, str>,
    #[serde(borrow)]
    price: Cow<'a, str>,
    #[serde(borrow, default)]
    volume: Option<Cow<'a, str>>,
    timestamp: i64,
    ingested_at: i64,
    #[serde(borrow)]
    source: Cow<'a, str>,
    #[serde(default)]
    slot: Option<u64>,
    #[serde(borrow)]
    method: Cow<'a, str>,
    #[serde(borrow)]
    version: Cow<'a, str>,
    #[serde(default)]
    sequence: Option<u64>,
    #[serde(borrow, default)]
    quality: Option<Cow<'a, str>>,
}

/// Reads what [`write_json`] wrote. The round trip is exact.
///
/// # Errors
/// [`CodecError`] names the defect and the field; a version other than 1.x is refused.
pub fn from_json(text: &[u8]) -> Result<Tick, CodecError> {
    let fields: Fields<'_> = serde_json::from_slice(text)?;
    if !fields.version.starts_with("1.") {
        let found = fields.version.chars().take(20).collect();
        return Err(CodecError::Version {
            found,
            readable: READABLE,
        });
    }
    let token =
        |column, text: &str| Token::new(text).map_err(|source| CodecError::Name { column, source });
    Ok(Tick {
        tick_id: TickId::parse(&fields.tick_id)?,
        token: token("token", &fields.token)?,
        quote: token("quote", &fields.quote)?,
        price: Price::parse(&fields.price).map_err(|source| CodecError::Amount {
            column: "price",
            source,
        })?,
        volume: (fields.volume.as_deref().map(Volume::parse).transpose()).map_err(|source| {
            CodecError::Amount {
                column: "volume",
                source,
            }
        })?,
        timestamp_ms: fields.timestamp,
        ingested_at_ms: fields.ingested_at,
        source: SourceName::new(&fields.source).map_err(|source| CodecError::Name {
            column: "source",
            source,
        })?,
        slot: fields.slot,
        method: fields.method.parse::<Method>()?,
        sequence: fields.sequence,
        quality: fields.quality.as_deref().map(str::parse).transpose()?,
    })
}
