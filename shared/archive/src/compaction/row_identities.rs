//! The identities of a batch's rows.

use arrow::array::{Array, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};

use crate::identity_sum::{IdentitySum, RowIdentity};
use crate::schema::ID;

/// The columns that identify a row.
pub(super) const COLUMNS: [&str; 4] = [ID, "token", "quote", "ts"];

/// The identities of a batch's rows. Columns that a file lacks are NULL.
pub(super) struct RowIdentities {
    token: Option<StringArray>,
    quote: Option<StringArray>,
    ts: Option<Int64Array>,
    tick_id: StringArray,
}

impl RowIdentities {
    /// # Errors
    /// A description, if a column is missing or has an incompatible type.
    pub(super) fn of(batch: &RecordBatch) -> Result<Self, String> {
        let incompatible = |name: &str| format!("its column `{name}` has an incompatible type");
        let texts = |name: &str| {
            let Some(column) = batch.column_by_name(name) else {
                return Ok::<_, String>(None);
            };
            let column = cast(column, &DataType::Utf8).map_err(|_| incompatible(name))?;
            Ok(column.as_string_opt::<i32>().cloned())
        };
        let ts = batch.column_by_name("ts").map(|column| {
            let column = cast(column, &DataType::Int64).map_err(|_| incompatible("ts"))?;
            let times = column.as_primitive_opt::<Int64Type>().cloned();
            times.ok_or_else(|| incompatible("ts"))
        });
        Ok(Self {
            token: texts("token")?,
            quote: texts("quote")?,
            ts: ts.transpose()?,
            tick_id: texts(ID)?.ok_or_else(|| format!("it has no column `{ID}`"))?,
        })
    }

    pub(super) fn row(&self, row: usize) -> RowIdentity<'_> {
        RowIdentity {
            token: text(self.token.as_ref(), row),
            quote: text(self.quote.as_ref(), row),
            ts: (self.ts.as_ref())
                .filter(|times| times.is_valid(row))
                .map(|times| times.value(row)),
            tick_id: text(Some(&self.tick_id), row),
        }
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = RowIdentity<'_>> {
        (0..self.tick_id.len()).map(|row| self.row(row))
    }

    /// Their checksum.
    pub(super) fn sum(&self) -> IdentitySum {
        let mut sum = IdentitySum::default();
        self.rows().for_each(|row| sum.add(&row.hash()));
        sum
    }
}

fn text(array: Option<&StringArray>, row: usize) -> Option<&str> {
    array
        .filter(|array| array.is_valid(row))
        .map(|array| array.value(row))
}
