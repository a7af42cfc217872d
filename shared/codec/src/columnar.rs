//! Ticks as Arrow columns, for Parquet and SQL.

use std::borrow::Borrow;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, Float64Array, Int64Array, PrimitiveArray, RecordBatch, StringArray,
};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Field, Float64Type, Int64Type, Schema, SchemaRef,
};
use domain::{Method, Price, SourceName, TICK_VERSION, Tick, TickId, Token, Volume};
use rust_decimal::Decimal;

use crate::error::CodecError;
use crate::tick_columns::{COLUMNS, Column, Kind, Presence};

/// The most ticks in one batch: a text column holds 2 GiB, and a name has at most 64 bytes.
pub const BATCH_TICKS_MAX: usize = 32 * 1024 * 1024 - 1;

/// The Arrow type of a column.
#[must_use]
pub fn data_type(kind: Kind) -> DataType {
    match kind {
        Kind::Text => DataType::Utf8,
        Kind::Amount => DataType::Float64,
        Kind::Integer | Kind::EpochMs => DataType::Int64,
    }
}

/// The schema of the archive's files: the table of columns. The partition columns are in the path.
#[must_use]
pub fn schema() -> SchemaRef {
    schema_of(&COLUMNS)
}

/// The schema of a table of columns.
pub(crate) fn schema_of(columns: &[Column]) -> SchemaRef {
    let field = |column: &Column| {
        Field::new(
            column.name,
            data_type(column.kind),
            column.presence == Presence::Optional,
        )
    };
    Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()))
}

/// Ticks as one batch, in the given order. Amounts become the nearest double; a slot of 2^63 or
/// more becomes NULL.
///
/// # Errors
/// [`CodecError::BatchTooLarge`] above [`BATCH_TICKS_MAX`] ticks.
pub fn record_batch<T: Borrow<Tick>>(ticks: &[T]) -> Result<RecordBatch, CodecError> {
    if ticks.len() > BATCH_TICKS_MAX {
        return Err(CodecError::BatchTooLarge(ticks.len()));
    }
    let arrays = COLUMNS
        .iter()
        .map(|column| array(column, ticks))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(RecordBatch::try_new(schema(), arrays)?)
}

/// Every column of the table needs a line here; a missing one is an error at the first batch, which
/// the tests would notice.
fn array<T: Borrow<Tick>>(column: &Column, ticks: &[T]) -> Result<ArrayRef, CodecError> {
    let ticks = ticks.iter().map(Borrow::borrow);
    Ok(match column.name {
        "tick_id" => texts(ticks.map(|tick| tick.tick_id.to_string())),
        "token" => texts(ticks.map(|tick| tick.token.as_str())),
        "quote" => texts(ticks.map(|tick| tick.quote.as_str())),
        "price" => doubles(ticks.map(|tick| Some(tick.price.to_f64()))),
        "volume" => doubles(ticks.map(|tick| tick.volume.map(Volume::to_f64))),
        "ts" => integers(ticks.map(|tick| Some(tick.timestamp_ms))),
        "ingested_at" => integers(ticks.map(|tick| Some(tick.ingested_at_ms))),
        "source" => texts(ticks.map(|tick| tick.source.as_str())),
        // Slots are far below 2^63. A larger one is invalid, and `bigint` cannot hold it.
        "slot" => integers(ticks.map(|tick| tick.slot.and_then(|slot| slot.try_into().ok()))),
        "method" => texts(ticks.map(|tick| tick.method.as_str())),
        "version" => texts(ticks.map(|_| TICK_VERSION)),
        "sequence" => {
            integers(ticks.map(|tick| tick.sequence.and_then(|number| number.try_into().ok())))
        }
        "quality" => optional_texts(ticks.map(|tick| tick.quality.map(domain::Quality::as_str))),
        _ => return Err(CodecError::Column(column.name)),
    })
}

pub(crate) fn texts<T: AsRef<str>>(values: impl Iterator<Item = T>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values))
}

pub(crate) fn optional_texts<T: AsRef<str>>(values: impl Iterator<Item = Option<T>>) -> ArrayRef {
    Arc::new(values.collect::<StringArray>())
}

pub(crate) fn doubles(values: impl Iterator<Item = Option<f64>>) -> ArrayRef {
    Arc::new(values.collect::<Float64Array>())
}

pub(crate) fn integers(values: impl Iterator<Item = Option<i64>>) -> ArrayRef {
    Arc::new(values.collect::<Int64Array>())
}

/// Reads ticks from a batch that has the columns of the table, in any order. Amounts are the
/// shortest decimal that represents the double.
///
/// # Errors
/// [`CodecError`] names the column that is missing, NULL or breaks a rule.
pub fn ticks(batch: &RecordBatch) -> Result<Vec<Tick>, CodecError> {
    let rows = Rows::new(batch)?;
    (0..batch.num_rows()).map(|row| rows.tick(row)).collect()
}

/// The columns of a batch, found by name.
struct Rows<'a> {
    tick_id: &'a StringArray,
    token: &'a StringArray,
    quote: &'a StringArray,
    price: &'a Float64Array,
    volume: &'a Float64Array,
    ts: &'a Int64Array,
    ingested_at: &'a Int64Array,
    source: &'a StringArray,
    slot: &'a Int64Array,
    method: &'a StringArray,
    /// Files of version 1.0 have neither.
    sequence: Option<&'a Int64Array>,
    quality: Option<&'a StringArray>,
}

impl<'a> Rows<'a> {
    fn new(batch: &'a RecordBatch) -> Result<Self, CodecError> {
        Ok(Self {
            tick_id: column(batch, "tick_id")?,
            token: column(batch, "token")?,
            quote: column(batch, "quote")?,
            price: column(batch, "price")?,
            volume: column(batch, "volume")?,
            ts: column(batch, "ts")?,
            ingested_at: column(batch, "ingested_at")?,
            source: column(batch, "source")?,
            slot: column(batch, "slot")?,
            method: column(batch, "method")?,
            sequence: later_column(batch, "sequence")?,
            quality: later_column(batch, "quality")?,
        })
    }

    fn tick(&self, row: usize) -> Result<Tick, CodecError> {
        let price = required::<Float64Type>(self.price, "price", row)?;
        let volume = optional::<Float64Type>(self.volume, row);
        let slot = optional::<Int64Type>(self.slot, row);
        let slot = slot.map(|slot| slot.try_into().map_err(|_| CodecError::Column("slot")));
        Ok(Tick {
            tick_id: TickId::parse(text(self.tick_id, "tick_id", row)?)?,
            token: token(self.token, "token", row)?,
            quote: token(self.quote, "quote", row)?,
            price: decimal(price, "price").and_then(|price| {
                Price::new(price).map_err(|source| CodecError::Amount {
                    column: "price",
                    source,
                })
            })?,
            volume: (volume.map(|volume| {
                Volume::new(decimal(volume, "volume")?).map_err(|source| CodecError::Amount {
                    column: "volume",
                    source,
                })
            }))
            .transpose()?,
            timestamp_ms: required::<Int64Type>(self.ts, "ts", row)?,
            ingested_at_ms: required::<Int64Type>(self.ingested_at, "ingested_at", row)?,
            source: SourceName::new(text(self.source, "source", row)?).map_err(|source| {
                CodecError::Name {
                    column: "source",
                    source,
                }
            })?,
            slot: slot.transpose()?,
            method: text(self.method, "method", row)?.parse::<Method>()?,
            sequence: (self.sequence)
                .and_then(|numbers| optional::<Int64Type>(numbers, row))
                .map(|number| {
                    number
                        .try_into()
                        .map_err(|_| CodecError::Column("sequence"))
                })
                .transpose()?,
            quality: (self.quality)
                .filter(|names| names.is_valid(row))
                .map(|names| names.value(row).parse())
                .transpose()?,
        })
    }
}

pub(crate) fn column<'a, A: Array + 'static>(
    batch: &'a RecordBatch,
    name: &'static str,
) -> Result<&'a A, CodecError> {
    let array = batch.column_by_name(name).ok_or(CodecError::Column(name))?;
    array
        .as_any()
        .downcast_ref()
        .ok_or(CodecError::Column(name))
}

/// A column that a later version added; `None` if the batch lacks it.
fn later_column<'a, A: Array + 'static>(
    batch: &'a RecordBatch,
    name: &'static str,
) -> Result<Option<&'a A>, CodecError> {
    match batch.column_by_name(name) {
        Some(_) => column(batch, name).map(Some),
        None => Ok(None),
    }
}

fn optional<T: ArrowPrimitiveType>(array: &PrimitiveArray<T>, row: usize) -> Option<T::Native> {
    array.is_valid(row).then(|| array.value(row))
}

pub(crate) fn required<T: ArrowPrimitiveType>(
    array: &PrimitiveArray<T>,
    column: &'static str,
    row: usize,
) -> Result<T::Native, CodecError> {
    optional(array, row).ok_or(CodecError::Null { column, row })
}

pub(crate) fn text<'a>(
    array: &'a StringArray,
    column: &'static str,
    row: usize,
) -> Result<&'a str, CodecError> {
    array
        .is_valid(row)
        .then(|| array.value(row))
        .ok_or(CodecError::Null { column, row })
}

pub(crate) fn token(
    array: &StringArray,
    column: &'static str,
    row: usize,
) -> Result<Token, CodecError> {
    Token::new(text(array, column, row)?).map_err(|source| CodecError::Name { column, source })
}

/// The shortest decimal that represents the double, rounded to 28 digits after the point.
fn decimal(value: f64, column: &'static str) -> Result<Decimal, CodecError> {
    value
        .to_string()
        .parse()
        .map_err(|_| CodecError::Double { column, value })
}
