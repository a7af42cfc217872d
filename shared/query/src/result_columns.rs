//! The columns of an answer: their types and names.

use std::sync::Arc;

use chrono::TimeZone as _;
use datafusion::arrow::array::timezone::Tz;
use datafusion::arrow::array::{ArrayRef, AsArray as _, RecordBatch, StringArray};
use datafusion::arrow::compute::{cast, max, min};
use datafusion::arrow::datatypes::{
    DataType, Field, IntervalMonthDayNano, IntervalMonthDayNanoType, Schema, SchemaRef,
};

use crate::dialect::types::{exact, is_utc};
use crate::error::{SqlError, message};
use crate::functions::timestamps::{civil, epoch_ms, in_zone_years};

/// How the names begin that a rewritten statement gives to results without one.
pub(crate) const UNNAMED: &str = "__unnamed";

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
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(fields) => {
                let types = fields.iter().map(|field| type_name(field.data_type()));
                format!("map({})", types.collect::<Vec<_>>().join(", "))
            }
            other => type_name(other),
        },
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
/// [`SqlError::Invalid`] if a column is not written as on Athena.
pub(crate) fn result_schema(schema: &Schema) -> Result<SchemaRef, SqlError> {
    let mut columns = Vec::with_capacity(schema.fields().len());
    for (place, field) in schema.fields().iter().enumerate() {
        let name = match field.name().starts_with(UNNAMED) {
            true => format!("_col{place}"),
            false => field.name().clone(),
        };
        // The planner's name for a second column of a name in a subquery.
        if let Some((first, number)) = name.rsplit_once(':')
            && number.parse::<u32>().is_ok()
            && schema.field_with_name(first).is_ok()
        {
            return Err(SqlError::Invalid {
                message: format!(
                    "two columns of a subquery have the name {first}, which they cannot on this engine: write AS with another name"
                ),
                position: None,
            });
        }
        let Some(data_type) = written(field.data_type()) else {
            return Err(SqlError::Invalid {
                message: format!(
                    "`{name}`, {}, is not written as on Athena: select its parts, map_keys and map_values by themselves",
                    type_name(field.data_type())
                ),
                position: None,
            });
        };
        columns.push(Field::new(name, data_type, true));
    }
    Ok(Arc::new(Schema::new(columns)))
}

/// The type that a column is written as: intervals are texts, and so are the keys of maps. `None` if Athena writes it in
/// another way.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "few of Arrow's types have others in them"
)]
fn written(data_type: &DataType) -> Option<DataType> {
    if matches!(data_type, DataType::Interval(_)) {
        return Some(DataType::Utf8);
    }
    let inner: Vec<&Field> = match data_type {
        DataType::List(item) | DataType::LargeList(item) => vec![item],
        DataType::Struct(fields) => fields.iter().map(AsRef::as_ref).collect(),
        _ => Vec::new(),
    };
    if inner.iter().any(|field| !is_plain(field)) {
        return None;
    }
    if let DataType::Map(entries, sorted) = data_type
        && let DataType::Struct(fields) = entries.data_type()
        && let [key, value] = fields.as_ref()
    {
        let is_text = |key: &DataType| {
            matches!(
                key,
                DataType::Utf8 | DataType::Utf8View | DataType::Boolean | DataType::Date32
            )
        };
        if !is_plain(value) {
            return None;
        }
        if !is_text(key.data_type()) && exact(key.data_type()).is_none() {
            return None;
        }
        let key = Arc::new(key.as_ref().clone().with_data_type(DataType::Utf8));
        let fields = DataType::Struct(vec![key, Arc::clone(value)].into());
        let entries = entries.as_ref().clone().with_data_type(fields);
        return Some(DataType::Map(Arc::new(entries), *sorted));
    }
    Some(data_type.clone())
}

fn is_plain(field: &Field) -> bool {
    written(field.data_type()).as_ref() == Some(field.data_type())
}

/// A batch under the columns' names, with intervals as Athena's texts.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "few of Arrow's types are written in another way"
)]
pub(crate) fn renamed(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, SqlError> {
    let texts = |column: &ArrayRef| match column.as_primitive_opt::<IntervalMonthDayNanoType>() {
        Some(intervals) => {
            let texts = intervals.iter().map(|interval| interval.map(interval_text));
            Arc::new(texts.collect::<StringArray>())
        }
        None => Arc::clone(column),
    };
    let columns = batch.columns().iter().zip(schema.fields());
    let columns = columns.map(|(column, field)| match column.data_type() {
        DataType::Map(..) => {
            cast(column, field.data_type()).map_err(|error| SqlError::Engine(error.to_string()))
        }
        DataType::Timestamp(..) => match in_calendar(column) {
            Ok(()) => Ok(Arc::clone(column)),
            Err(error) => Err(SqlError::Invalid {
                message: message(&error),
                position: None,
            }),
        },
        _ => Ok(texts(column)),
    });
    let columns = columns.collect::<Result<_, _>>()?;
    RecordBatch::try_new(Arc::clone(schema), columns)
        .map_err(|error| SqlError::Engine(error.to_string()))
}

/// Times of other years are written in another form than on Athena.
fn in_calendar(times: &ArrayRef) -> datafusion::error::Result<()> {
    let ms = epoch_ms(times)?;
    for ms in min(&ms).into_iter().chain(max(&ms)) {
        civil(ms)?;
    }
    let DataType::Timestamp(_, Some(name)) = times.data_type() else {
        return Ok(());
    };
    if is_utc(name) {
        return Ok(());
    }
    let zone: Tz = name.parse()?;
    for ms in ms.iter().flatten() {
        let local = zone.from_utc_datetime(&in_zone_years(ms, name)?);
        civil(local.naive_local().and_utc().timestamp_millis())?;
    }
    Ok(())
}

/// `1 12:00:00.000`, or `1-2` of years and months.
fn interval_text(interval: IntervalMonthDayNano) -> String {
    if interval.months != 0 {
        let sign = if interval.months < 0 { "-" } else { "" };
        let months = interval.months.unsigned_abs();
        return format!("{sign}{}-{}", months / 12, months % 12);
    }
    let ms = i64::from(interval.days) * 86_400_000 + interval.nanoseconds / 1_000_000;
    let (sign, ms) = (if ms < 0 { "-" } else { "" }, ms.unsigned_abs());
    let (days, hours, minutes) = (ms / 86_400_000, ms / 3_600_000 % 24, ms / 60_000 % 60);
    let (seconds, ms) = (ms / 1_000 % 60, ms % 1_000);
    format!("{sign}{days} {hours:02}:{minutes:02}:{seconds:02}.{ms:03}")
}
