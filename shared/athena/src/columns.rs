//! Converts a result's columns to Arrow types, and its rows of text to record batches.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryBuilder, RecordBatch, RecordBatchOptions, StringArray, StringBuilder,
};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::util::display::FormatOptions;
use aws_sdk_athena::types::ColumnInfo;

use super::error::AthenaError;
use super::fields::Fields;

/// Rows per batch.
const BATCH_ROWS: usize = 8_192;

/// Bytes of text per batch, for results with long values.
const BATCH_BYTES: usize = 16 * 1024 * 1024;

/// The schema of a result. A number is appended to repeated names.
pub(super) fn schema(columns: &[ColumnInfo]) -> SchemaRef {
    let mut seen = HashSet::new();
    let mut unique = |name: &str| {
        let numbered = (2_u32..).map(|number| format!("{name}_{number}"));
        std::iter::once(name.to_owned())
            .chain(numbered)
            .find(|name| seen.insert(name.clone()))
            .unwrap_or_default()
    };
    let field = |column: &ColumnInfo| {
        let name = unique(column.label().unwrap_or(column.name()));
        let arrow = data_type(column.r#type(), column.precision(), column.scale());
        Field::new(name, arrow, true)
    };
    Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()))
}

/// Types without an Arrow equivalent are read as text: arrays, maps, rows, JSON, times, intervals, and
/// timestamps with a time zone, which may differ between rows.
fn data_type(name: &str, precision: i32, scale: i32) -> DataType {
    match name {
        "boolean" => DataType::Boolean,
        "tinyint" => DataType::Int8,
        "smallint" => DataType::Int16,
        "int" | "integer" => DataType::Int32,
        "bigint" => DataType::Int64,
        "float" | "real" => DataType::Float32,
        "double" => DataType::Float64,
        "date" => DataType::Date32,
        // Athena's timestamps have milliseconds.
        "timestamp" => DataType::Timestamp(TimeUnit::Millisecond, None),
        "varbinary" | "binary" => DataType::Binary,
        "decimal" => match (u8::try_from(precision), i8::try_from(scale)) {
            (Ok(precision @ 1..=38), Ok(scale)) if scale >= 0 => {
                DataType::Decimal128(precision, scale)
            }
            _ => DataType::Utf8,
        },
        _ => DataType::Utf8,
    }
}

/// Builds batches from rows of text.
#[derive(Debug)]
pub(super) struct Gatherer {
    schema: SchemaRef,
    columns: Vec<StringBuilder>,
    /// The column of the next field.
    column: usize,
    rows: usize,
    bytes: usize,
    /// Rows to skip at the start: the header.
    skip: usize,
    /// Rows seen, for messages.
    seen: u64,
    full: Vec<RecordBatch>,
}

impl Gatherer {
    /// A gatherer that skips the first `skip` rows.
    pub(super) fn new(schema: SchemaRef, skip: usize) -> Self {
        let columns = schema.fields().iter().map(|_| StringBuilder::new());
        Self {
            columns: columns.collect(),
            schema,
            column: 0,
            rows: 0,
            bytes: 0,
            skip,
            seen: 0,
            full: Vec::new(),
        }
    }

    /// Takes the full batches.
    pub(super) fn take_full(&mut self) -> Vec<RecordBatch> {
        std::mem::take(&mut self.full)
    }

    /// Takes all remaining batches, after the last row.
    pub(super) fn finish(&mut self) -> Result<Vec<RecordBatch>, AthenaError> {
        if self.rows > 0 {
            self.flush()?;
        }
        Ok(self.take_full())
    }

    fn flush(&mut self) -> Result<(), AthenaError> {
        let columns = self.columns.iter_mut().zip(self.schema.fields());
        let columns = columns.map(|(texts, field)| typed(&texts.finish(), field));
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)
            .map_err(|error| AthenaError::Unreadable(error.to_string()))?;
        self.full.push(batch);
        (self.rows, self.bytes) = (0, 0);
        Ok(())
    }
}

impl Fields for Gatherer {
    type Error = AthenaError;

    fn field(&mut self, value: Option<&[u8]>) -> Result<(), AthenaError> {
        let column = self.column;
        self.column += 1;
        if self.skip > 0 {
            return Ok(());
        }
        let unreadable = |what: String| AthenaError::Unreadable(what);
        let Some(texts) = self.columns.get_mut(column) else {
            return Err(unreadable(format!(
                "row {} has more fields than the result has columns ({})",
                self.seen + 1,
                self.columns.len()
            )));
        };
        match value {
            None => texts.append_null(),
            Some(bytes) => {
                let text = std::str::from_utf8(bytes)
                    .map_err(|_| unreadable(format!("row {} is not UTF-8", self.seen + 1)))?;
                texts.append_value(text);
                self.bytes += bytes.len();
            }
        }
        Ok(())
    }

    fn end_of_row(&mut self) -> Result<(), AthenaError> {
        let fields = std::mem::take(&mut self.column);
        self.seen += 1;
        if fields != self.columns.len() {
            return Err(AthenaError::Unreadable(format!(
                "row {} has {fields} fields, but the result has {} columns",
                self.seen,
                self.columns.len()
            )));
        }
        if self.skip > 0 {
            self.skip -= 1;
            return Ok(());
        }
        self.rows += 1;
        if self.rows >= BATCH_ROWS || self.bytes >= BATCH_BYTES {
            self.flush()?;
        }
        Ok(())
    }
}

fn typed(texts: &StringArray, field: &Field) -> Result<ArrayRef, AthenaError> {
    let wrong = |what: &dyn std::fmt::Display| {
        AthenaError::Unreadable(format!("column {}: {what}", field.name()))
    };
    if *field.data_type() == DataType::Binary {
        return binary(texts).map_err(|text| wrong(&format!("'{text}' is not a varbinary")));
    }
    if let DataType::Decimal128(_, scale) = field.data_type()
        && let Some(text) = texts.iter().flatten().find(|text| is_finer(text, *scale))
    {
        // A cast would round it.
        return Err(wrong(&format!(
            "'{text}' has more than {scale} decimal places"
        )));
    }
    cast(texts, field).map_err(|error| wrong(&error))
}

fn cast(texts: &StringArray, field: &Field) -> Result<ArrayRef, arrow::error::ArrowError> {
    let strict = CastOptions {
        safe: false,
        format_options: FormatOptions::default(),
    };
    cast_with_options(texts, field.data_type(), &strict)
}

fn is_finer(text: &str, scale: i8) -> bool {
    let decimals = text.split_once('.').map_or(0, |(_, digits)| digits.len());
    decimals > usize::try_from(scale).unwrap_or(0)
}

/// Parses bytes in the service's form: `68 65 6c 6c 6f`.
fn binary(texts: &StringArray) -> Result<ArrayRef, String> {
    let mut values = BinaryBuilder::new();
    for text in texts {
        match text {
            None => values.append_null(),
            Some(text) => {
                let bytes: Option<Vec<u8>> = text
                    .split_ascii_whitespace()
                    .map(|byte| u8::from_str_radix(byte, 16).ok())
                    .collect();
                values.append_value(bytes.ok_or_else(|| text.to_owned())?);
            }
        }
    }
    Ok(Arc::new(values.finish()))
}

#[cfg(test)]
mod tests {
    use arrow::util::pretty::pretty_format_batches;

    use super::*;

    fn column(name: &str, kind: &str) -> ColumnInfo {
        let column = ColumnInfo::builder().name(name).r#type(kind);
        column.precision(10).scale(2).build().unwrap()
    }

    fn gather(kinds: &[&str], rows: &[&[Option<&str>]]) -> Result<RecordBatch, AthenaError> {
        let columns: Vec<_> = kinds.iter().map(|kind| column(kind, kind)).collect();
        let mut gatherer = Gatherer::new(schema(&columns), 0);
        for row in rows {
            for value in *row {
                gatherer.field(value.map(str::as_bytes))?;
            }
            gatherer.end_of_row()?;
        }
        Ok(gatherer.finish()?.remove(0))
    }

    #[test]
    fn values_get_the_types_of_their_columns() {
        let kinds = [
            "varchar",
            "bigint",
            "integer",
            "double",
            "boolean",
            "timestamp",
            "date",
            "decimal",
            "varbinary",
            "array",
        ];
        let batch = gather(
            &kinds,
            &[
                &[
                    Some(""),
                    Some("-9223372036854775808"),
                    Some("7"),
                    Some("1.0E-5"),
                    Some("true"),
                    Some("2026-03-07 12:34:56.789"),
                    Some("2026-03-07"),
                    Some("-12.30"),
                    Some("68 65 6c 6c 6f"),
                    Some("[1, 2]"),
                ],
                &[None; 10],
            ],
        )
        .unwrap();
        let types: Vec<_> = batch
            .schema()
            .fields()
            .iter()
            .map(|field| field.data_type().clone())
            .collect();
        let expected = [
            DataType::Utf8,
            DataType::Int64,
            DataType::Int32,
            DataType::Float64,
            DataType::Boolean,
            DataType::Timestamp(TimeUnit::Millisecond, None),
            DataType::Date32,
            DataType::Decimal128(10, 2),
            DataType::Binary,
            DataType::Utf8,
        ];
        assert_eq!(types, expected);
        let shown = pretty_format_batches(&[batch.slice(0, 1)])
            .unwrap()
            .to_string();
        for text in [
            "-9223372036854775808",
            "| 0.00001 ",
            "2026-03-07T12:34:56.789",
            "-12.30",
            "68656c6c6f",
        ] {
            assert!(shown.contains(text), "{text} in\n{shown}");
        }
        for column in batch.columns() {
            assert!(column.is_valid(0) && column.is_null(1));
        }
    }

    #[test]
    fn nan_and_infinity_are_parsed() {
        let batch = gather(
            &["double"],
            &[&[Some("NaN")], &[Some("Infinity")], &[Some("-Infinity")]],
        )
        .unwrap();
        let shown = pretty_format_batches(&[batch]).unwrap().to_string();
        assert!(shown.contains("NaN") && shown.contains("-inf"), "{shown}");
    }

    #[test]
    fn a_value_that_does_not_fit_its_column_is_an_error_that_names_it() {
        for (kind, value) in [
            ("bigint", "many"),
            ("decimal", "1.005"),
            ("varbinary", "zz"),
            ("timestamp", "yesterday"),
        ] {
            let error = gather(&[kind], &[&[Some(value)]]).unwrap_err().to_string();
            assert!(
                error.contains(&format!("column {kind}")) && error.contains(value),
                "{error}"
            );
        }
    }

    #[test]
    fn rows_with_a_wrong_number_of_fields_are_errors() {
        for row in [&[Some("1")][..], &[None, None, None]] {
            let error = gather(&["bigint", "varchar"], &[row]).unwrap_err();
            assert!(error.to_string().contains("row 1 has"), "{error}");
        }
    }

    #[test]
    fn repeated_names_get_a_number() {
        let columns = ["a", "b", "a", "a_2", "a"].map(|name| column(name, "bigint"));
        let names: Vec<_> = schema(&columns)
            .fields()
            .iter()
            .map(|field| field.name().clone())
            .collect();
        assert_eq!(names, ["a", "b", "a_2", "a_2_2", "a_3"]);
    }

    #[test]
    fn many_rows_are_split_into_batches_without_the_header() {
        let mut gatherer = Gatherer::new(schema(&[column("n", "bigint")]), 1);
        gatherer.field(Some(b"n")).unwrap();
        gatherer.end_of_row().unwrap();
        for n in 0..20_000 {
            gatherer.field(Some(n.to_string().as_bytes())).unwrap();
            gatherer.end_of_row().unwrap();
        }
        let mut batches = gatherer.take_full();
        assert_eq!(batches.len(), 2);
        batches.extend(gatherer.finish().unwrap());
        let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
        assert_eq!(rows, 20_000);
    }
}
