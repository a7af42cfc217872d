//! Files of other releases and writers: their columns become those of today's table.
//!
//! A column that a file lacks is NULL in its rows. A column that the table does not know is kept,
//! so that an older release does not lose what a newer one wrote. A column of the table in a type
//! that does not fit makes its file unreadable.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, UInt64Array, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use codec::columnar;

/// The place of a row among all rows of a day's files, carried beside it until duplicates are
/// left out.
const ORDINAL: &str = "tickstream.ordinal";

/// The column that every file of ticks has.
const ID: &str = "tick_id";

/// The columns of a day's rows.
#[derive(Debug, Clone)]
pub(super) struct Columns {
    /// As they are stored: the table's, then those that are kept. All may be NULL.
    pub(super) stored: SchemaRef,
    /// With the ordinal at the end.
    pub(super) numbered: SchemaRef,
}

impl Columns {
    /// The columns of today's table.
    pub(super) fn of_the_table() -> Self {
        Self::new(columnar::schema().fields().iter().map(|f| (**f).clone()))
    }

    fn new(fields: impl Iterator<Item = Field>) -> Self {
        let stored: Vec<Field> = fields.map(|field| field.with_nullable(true)).collect();
        let ordinal = Field::new(ORDINAL, DataType::UInt64, false);
        let numbered: Vec<Field> = stored.iter().cloned().chain([ordinal]).collect();
        Self {
            stored: Arc::new(Schema::new(stored)),
            numbered: Arc::new(Schema::new(numbered)),
        }
    }

    /// The same with more columns.
    pub(super) fn widened(&self, more: Vec<Field>) -> Self {
        let known = self.stored.fields().iter().map(|field| (**field).clone());
        Self::new(known.chain(more))
    }

    /// The columns of a file that these lack.
    ///
    /// # Errors
    /// In words, where a column has a type that does not fit.
    pub(super) fn lacking(&self, file: &Schema) -> Result<Vec<Field>, String> {
        let mut lacking = Vec::new();
        for field in file.fields() {
            match self.stored.field_with_name(field.name()) {
                Ok(known) if fits(field.data_type(), known.data_type()) => {}
                Ok(known) => {
                    return Err(format!(
                        "its column `{}` is {}, and that of the others is {}",
                        field.name(),
                        field.data_type(),
                        known.data_type()
                    ));
                }
                Err(_) => lacking.push((**field).clone()),
            }
        }
        Ok(lacking)
    }

    /// A batch of a file in these columns, its rows numbered from `first`.
    pub(super) fn numbered(
        &self,
        batch: &RecordBatch,
        first: u64,
    ) -> Result<RecordBatch, ArrowError> {
        let mut arrays = Vec::with_capacity(self.numbered.fields().len());
        for field in self.stored.fields() {
            arrays.push(match batch.column_by_name(field.name()) {
                Some(array) => cast(array, field.data_type())?,
                None => new_null_array(field.data_type(), batch.num_rows()),
            });
        }
        let ordinals: ArrayRef = Arc::new(UInt64Array::from_iter_values(
            (first..).take(batch.num_rows()),
        ));
        arrays.push(ordinals);
        RecordBatch::try_new(Arc::clone(&self.numbered), arrays)
    }
}

/// Whether a file of the archive can be read as today's table: in queries, and in compaction.
///
/// # Errors
/// In words, where it has no ids, or a column in a type that does not fit.
pub fn readable(file: &Schema) -> Result<(), String> {
    of_ticks(file)?;
    Columns::of_the_table().lacking(file).map(|_| ())
}

/// Whether a file is one of ticks at all.
pub(super) fn of_ticks(file: &Schema) -> Result<(), String> {
    match file.field_with_name(ID) {
        Ok(_) => Ok(()),
        Err(_) => Err(format!("it has no column `{ID}`: it is no file of ticks")),
    }
}

/// Whether every value of one type is one of the other.
fn fits(from: &DataType, to: &DataType) -> bool {
    use DataType::{
        Dictionary, Float32, Float64, Int8, Int16, Int32, Int64, LargeUtf8, UInt8, UInt16, UInt32,
        Utf8, Utf8View,
    };
    if let Dictionary(_, values) = from {
        return fits(values, to);
    }
    from == to
        || (*to == Utf8 && matches!(from, LargeUtf8 | Utf8View))
        || (*to == Int64 && matches!(from, Int8 | Int16 | Int32 | UInt8 | UInt16 | UInt32))
        || (*to == Float64 && *from == Float32)
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, AsArray, Float32Array, Int32Array, StringArray};

    use super::*;

    fn file(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
        RecordBatch::try_from_iter(columns).unwrap()
    }

    #[test]
    fn what_a_file_lacks_is_null_and_narrow_types_are_widened() {
        let columns = Columns::of_the_table();
        let batch = file(vec![
            ("price", Arc::new(Float32Array::from(vec![1.5])) as ArrayRef),
            ("tick_id", Arc::new(StringArray::from(vec!["a"]))),
            ("slot", Arc::new(Int32Array::from(vec![7]))),
        ]);
        assert_eq!(columns.lacking(batch.schema_ref()), Ok(vec![]));
        let numbered = columns.numbered(&batch, 40).unwrap();
        let stored = columnar::schema();
        assert_eq!(numbered.num_columns(), stored.fields().len() + 1);
        let column = |name: &str| numbered.column_by_name(name).unwrap();
        assert_eq!(column("tick_id").as_string::<i32>().value(0), "a");
        assert!(column("token").is_null(0) && column("version").is_null(0));
        let price = column("price").as_primitive::<arrow::datatypes::Float64Type>();
        assert!((price.value(0) - 1.5).abs() < f64::EPSILON);
        let ordinal = column(ORDINAL).as_primitive::<arrow::datatypes::UInt64Type>();
        assert_eq!(ordinal.value(0), 40);
    }

    #[test]
    fn columns_of_a_newer_release_are_kept() {
        let columns = Columns::of_the_table();
        let batch = file(vec![(
            "chain",
            Arc::new(StringArray::from(vec!["solana"])) as ArrayRef,
        )]);
        let lacking = columns.lacking(batch.schema_ref()).unwrap();
        assert_eq!(lacking.len(), 1);
        let columns = columns.widened(lacking);
        assert_eq!(columns.lacking(batch.schema_ref()), Ok(vec![]));
        let numbered = columns.numbered(&batch, 0).unwrap();
        let chain = numbered.column_by_name("chain").unwrap();
        assert_eq!(chain.as_string::<i32>().value(0), "solana");
        let other = file(vec![(
            "chain",
            Arc::new(Int32Array::from(vec![1])) as ArrayRef,
        )]);
        let error = columns.lacking(other.schema_ref()).unwrap_err();
        assert!(error.contains("`chain`"), "{error}");
    }

    #[test]
    fn a_type_that_loses_values_is_refused() {
        let columns = Columns::of_the_table();
        let batch = file(vec![(
            "ts",
            Arc::new(StringArray::from(vec!["2026-03-07"])) as ArrayRef,
        )]);
        let error = columns.lacking(batch.schema_ref()).unwrap_err();
        assert_eq!(
            error,
            "its column `ts` is Utf8, and that of the others is Int64"
        );
    }
}
