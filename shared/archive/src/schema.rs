//! Checks the schema of a file: it must have tick ids, and its columns must convert to the table's
//! types. Missing and additional columns are allowed.

use arrow::datatypes::{DataType, Field, Schema};
use codec::columnar;

/// The column that every file of ticks has.
pub(crate) const ID: &str = "tick_id";

/// Checks that a file can be read as the current table of ticks.
///
/// # Errors
/// A description, if it has no ids, or a column of an incompatible type.
pub(crate) fn readable(file: &Schema) -> Result<(), String> {
    readable_as(&columnar::schema(), file)
}

/// Checks that a file can be read as a table of ticks or of anomalies, which have the ids of ticks, too.
///
/// # Errors
/// A description, if it has no ids, or a column of an incompatible type.
pub fn readable_as(table: &Schema, file: &Schema) -> Result<(), String> {
    of_ticks(file)?;
    lacking(table, file).map(|_| ())
}

/// Checks that a file has ticks at all.
pub(crate) fn of_ticks(file: &Schema) -> Result<(), String> {
    match file.field_with_name(ID) {
        Ok(_) => Ok(()),
        Err(_) => Err(format!(
            "it has no column `{ID}`, so it does not contain ticks"
        )),
    }
}

/// The columns of a file that are not among the known ones.
///
/// # Errors
/// A description, if a column has an incompatible type.
pub(crate) fn lacking(known: &Schema, file: &Schema) -> Result<Vec<Field>, String> {
    let mut lacking = Vec::new();
    for field in file.fields() {
        match known.field_with_name(field.name()) {
            Ok(known) if fits(field.data_type(), known.data_type()) => {}
            Ok(known) => {
                return Err(format!(
                    "its column `{}` has the type {}, but the other files have {}",
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

/// Whether every value of `from` can be represented in the other type.
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
    use super::*;

    fn file(columns: &[(&str, DataType)]) -> Schema {
        let field =
            |(name, data_type): &(&str, DataType)| Field::new(*name, data_type.clone(), true);
        Schema::new(columns.iter().map(field).collect::<Vec<_>>())
    }

    #[test]
    fn narrow_types_and_unknown_or_missing_columns_are_allowed() {
        let narrow = file(&[
            (ID, DataType::LargeUtf8),
            ("price", DataType::Float32),
            ("slot", DataType::Int32),
            ("chain", DataType::Utf8),
        ]);
        assert_eq!(readable(&narrow), Ok(()));
        assert_eq!(readable(&columnar::schema()), Ok(()));
    }

    #[test]
    fn a_type_that_loses_values_is_refused() {
        let error = readable(&file(&[(ID, DataType::Utf8), ("ts", DataType::Utf8)]));
        let words = "its column `ts` has the type Utf8, but the other files have Int64";
        assert_eq!(error, Err(words.to_owned()));
    }

    #[test]
    fn a_file_without_ids_does_not_contain_ticks() {
        let error = readable(&file(&[("ts", DataType::Int64)]));
        let words = "it has no column `tick_id`, so it does not contain ticks";
        assert_eq!(error, Err(words.to_owned()));
    }
}
