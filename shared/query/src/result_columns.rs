//! The columns of an answer: their types and names.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use crate::dialect::unnamed::UNNAMED;
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
        DataType::Null => "unknown".to_owned(),
        DataType::List(item) | DataType::LargeList(item) => {
            format!("array({})", type_name(item.data_type()))
        }
        DataType::Struct(fields) => {
            let types: Vec<String> = fields
                .iter()
                .map(|field| type_name(field.data_type()))
                .collect();
            format!("row({})", types.join(", "))
        }
        DataType::Interval(_) => "interval".to_owned(),
        DataType::Int8 => "tinyint".to_owned(),
        DataType::Int16 => "smallint".to_owned(),
        DataType::Decimal128(precision, scale) => format!("decimal({precision},{scale})"),
        other => other.to_string().to_lowercase(),
    }
}

/// The columns under Athena's names.
///
/// # Errors
/// [`SqlError::Invalid`] if two have the same name: Athena returns both, but a JSON object or a Parquet file cannot.
pub(crate) fn result_schema(schema: &Schema) -> Result<SchemaRef, SqlError> {
    let mut seen = HashSet::new();
    let mut columns = Vec::with_capacity(schema.fields().len());
    for (place, field) in schema.fields().iter().enumerate() {
        let name = match field.name().starts_with(UNNAMED) {
            true => format!("_col{place}"),
            false => field.name().clone(),
        };
        if !seen.insert(name.clone()) {
            return Err(SqlError::Invalid {
                message: format!("two columns are called `{name}`: name one of them with AS"),
                position: None,
            });
        }
        columns.push(Field::new(name, field.data_type().clone(), true));
    }
    Ok(Arc::new(Schema::new(columns)))
}

/// A batch under the columns' unique names.
pub(crate) fn renamed(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, SqlError> {
    RecordBatch::try_new(Arc::clone(schema), batch.columns().to_vec())
        .map_err(|error| SqlError::Engine(error.to_string()))
}
