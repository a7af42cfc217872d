//! The columns of an answer: their types and names.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};

use crate::dialect::rewrite::UNNAMED;
use crate::error::SqlError;

/// A type's name in Trino.
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

/// The columns, with a number appended to a repeated name: a join may return two columns of one name.
pub(crate) fn unique_names(schema: &Schema) -> SchemaRef {
    let mut seen = HashSet::new();
    let mut unique = |(place, field): (usize, &FieldRef)| {
        let name = match field.name().starts_with(UNNAMED) {
            true => format!("_col{place}"),
            false => field.name().clone(),
        };
        let numbered = (2_u32..).map(|number| format!("{name}_{number}"));
        let mut names = std::iter::once(name.clone()).chain(numbered);
        let name = names
            .find(|name| seen.insert(name.clone()))
            .unwrap_or_default();
        Field::new(name, field.data_type().clone(), true)
    };
    Arc::new(Schema::new(
        schema.fields().iter().enumerate().map(&mut unique).collect::<Vec<_>>(),
    ))
}

/// A batch under the columns' unique names.
pub(crate) fn renamed(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, SqlError> {
    RecordBatch::try_new(Arc::clone(schema), batch.columns().to_vec())
        .map_err(|error| SqlError::Engine(error.to_string()))
}
