//! Adapts files of other releases and writers to the columns of the current table.
//!
//! A column that a file lacks is NULL in its rows. Unknown columns are kept, so an older release
//! does not lose data that a newer one wrote.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, UInt64Array, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use codec::columnar;

use crate::schema;

/// The column with a row's position among all rows of a day's files. It is present until duplicates
/// are removed.
const ORDINAL: &str = "tickstream.ordinal";

/// The columns of a day's rows.
#[derive(Debug, Clone)]
pub(super) struct Columns {
    /// The stored columns: the table's, then the unknown ones. All are nullable.
    pub(super) stored: SchemaRef,
    /// The stored columns, and the ordinal at the end.
    pub(super) numbered: SchemaRef,
}

impl Columns {
    /// The columns of the current table.
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

    /// These columns and more.
    pub(super) fn widened(&self, more: Vec<Field>) -> Self {
        let known = self.stored.fields().iter().map(|field| (**field).clone());
        Self::new(known.chain(more))
    }

    /// The columns of a file that are missing here.
    ///
    /// # Errors
    /// A description, if a column has an incompatible type.
    pub(super) fn lacking(&self, file: &Schema) -> Result<Vec<Field>, String> {
        schema::lacking(&self.stored, file)
    }

    /// Converts a batch of a file to these columns, with its rows numbered from `first`.
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

#[cfg(test)]
mod tests {
    use arrow::array::{Array, AsArray, Float32Array, Int32Array, StringArray};

    use super::*;

    fn file(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
        RecordBatch::try_from_iter(columns).unwrap()
    }

    #[test]
    fn missing_columns_are_null_and_narrow_types_are_widened() {
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
}
