//! The answer to a query.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion::arrow::json::writer::JsonArray;
use serde::Serialize;
use serde_json::value::RawValue;

use super::error::SqlError;
use super::json::json_writer;

/// The rows that a query gave.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The columns; no two have the same name.
    pub schema: SchemaRef,
    /// The rows, in their order.
    pub batches: Vec<RecordBatch>,
    /// How many rows there are.
    pub rows: usize,
    /// Whether there are more, which a limit left out.
    pub truncated: bool,
    /// Files of the archive that were looked into.
    pub files: usize,
    /// Bytes that were read of them (pages; footers are kept in memory).
    pub bytes_read: u64,
    /// How long it took, the wait for other queries included.
    pub elapsed: Duration,
}

#[derive(Serialize)]
struct Document<'a> {
    columns: Vec<ColumnJson<'a>>,
    rows: &'a RawValue,
    row_count: usize,
    truncated: bool,
    files: usize,
    bytes_read: u64,
    elapsed_ms: f64,
}

#[derive(Serialize)]
struct ColumnJson<'a> {
    name: &'a str,
    #[serde(rename = "type")]
    type_name: String,
}

impl<'a> ColumnJson<'a> {
    fn of(field: &'a FieldRef) -> Self {
        Self {
            name: field.name(),
            type_name: type_name(field.data_type()),
        }
    }
}

impl Answer {
    /// The answer as one JSON object: `columns` (name and type), `rows` (an object each, keyed by
    /// column name, as [`json_writer`] has it), `row_count`, `truncated`, `files`,
    /// `bytes_read`, `elapsed_ms`.
    ///
    /// # Errors
    /// [`SqlError::Engine`] where a column has a type that JSON cannot show.
    pub fn to_json(&self) -> Result<Vec<u8>, SqlError> {
        let shown = |error: String| SqlError::Engine(format!("no JSON of the answer: {error}"));
        let mut writer = json_writer().build::<_, JsonArray>(Vec::new());
        let batches: Vec<&RecordBatch> = self.batches.iter().collect();
        writer
            .write_batches(&batches)
            .map_err(|error| shown(error.to_string()))?;
        writer.finish().map_err(|error| shown(error.to_string()))?;
        let rows = String::from_utf8(writer.into_inner()).map_err(|e| shown(e.to_string()))?;
        let rows = RawValue::from_string(rows).map_err(|error| shown(error.to_string()))?;
        let document = Document {
            columns: self.schema.fields().iter().map(ColumnJson::of).collect(),
            rows: &rows,
            row_count: self.rows,
            truncated: self.truncated,
            files: self.files,
            bytes_read: self.bytes_read,
            // To the microsecond: what is below says nothing.
            elapsed_ms: (self.elapsed.as_secs_f64() * 1e6).round() / 1e3,
        };
        serde_json::to_vec(&document).map_err(|error| shown(error.to_string()))
    }
}

/// A type's name in SQL, as Trino has it.
#[must_use]
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "few of Arrow's types have a name in SQL"
)]
pub fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "varchar".to_owned(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => "varbinary".to_owned(),
        DataType::Float64 => "double".to_owned(),
        DataType::Float32 => "real".to_owned(),
        DataType::Int64 | DataType::UInt64 => "bigint".to_owned(),
        DataType::Int32 | DataType::UInt32 => "integer".to_owned(),
        DataType::Timestamp(_, None) => "timestamp".to_owned(),
        DataType::Timestamp(_, Some(_)) => "timestamp with time zone".to_owned(),
        DataType::Date32 => "date".to_owned(),
        DataType::Decimal128(precision, scale) => format!("decimal({precision},{scale})"),
        other => other.to_string().to_lowercase(),
    }
}

/// The columns with a number behind names that came before: a join may give two of one name.
pub(super) fn unique_names(schema: &Schema) -> SchemaRef {
    let mut seen = HashSet::new();
    let mut unique = |field: &FieldRef| {
        let numbered = (2_u32..).map(|number| format!("{}_{number}", field.name()));
        let mut names = std::iter::once(field.name().clone()).chain(numbered);
        let name = names
            .find(|name| seen.insert(name.clone()))
            .unwrap_or_default();
        Field::new(name, field.data_type().clone(), true)
    };
    Arc::new(Schema::new(
        schema.fields().iter().map(&mut unique).collect::<Vec<_>>(),
    ))
}

/// A batch under the columns' unique names.
pub(super) fn renamed(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, SqlError> {
    RecordBatch::try_new(Arc::clone(schema), batch.columns().to_vec())
        .map_err(|error| SqlError::Engine(error.to_string()))
}
