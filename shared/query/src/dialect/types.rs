//! Athena's types, and which of them it converts to which by itself.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, TimeUnit};

/// The zone of times without one.
pub(crate) const UTC: &str = "+00:00";

/// The most digits of a decimal.
pub(crate) const DIGITS_MAX: u8 = 38;

/// Digits that an integer of a type may have; `None` for other types.
pub(crate) fn integer_digits(data_type: &DataType) -> Option<u8> {
    Some(match data_type {
        DataType::Int8 => 3,
        DataType::Int16 => 5,
        DataType::Int32 => 10,
        // The engine counts rows in unsigned numbers.
        DataType::Int64 | DataType::UInt64 | DataType::UInt32 => 19,
        _ => return None,
    })
}

pub(crate) fn is_integer(data_type: &DataType) -> bool {
    integer_digits(data_type).is_some()
}

/// Precision and scale of an integer or a decimal.
pub(crate) fn exact(data_type: &DataType) -> Option<(u8, i8)> {
    match data_type {
        DataType::Decimal128(precision, scale) => Some((*precision, *scale)),
        other => Some((integer_digits(other)?, 0)),
    }
}

pub(crate) fn is_float(data_type: &DataType) -> bool {
    *data_type == DataType::Float64
}

pub(crate) fn is_number(data_type: &DataType) -> bool {
    is_float(data_type) || exact(data_type).is_some()
}

pub(crate) fn is_text(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8
    )
}

pub(crate) fn is_bytes(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Binary | DataType::BinaryView | DataType::LargeBinary
    )
}

pub(crate) fn is_timestamp(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Timestamp(..))
}

pub(crate) fn is_time(data_type: &DataType) -> bool {
    is_timestamp(data_type) || *data_type == DataType::Date32
}

pub(crate) fn is_interval(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Interval(_))
}

pub(crate) fn is_boolean(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Boolean | DataType::Null)
}

/// Whether the engine compares values of a type as Athena does: arrays, rows and maps may contain NULL.
pub(crate) fn is_orderable(data_type: &DataType) -> bool {
    !matches!(data_type, DataType::Struct(_) | DataType::Map(..))
        && items(data_type).is_none()
        && !is_interval(data_type)
}

/// Whether grouping by values of a type gives the same groups as on Athena. DataFusion distinguishes equal intervals in
/// different units, equal maps in different orders, and NaN and -0 inside arrays and rows.
pub(crate) fn is_groupable(data_type: &DataType) -> bool {
    let is_plain = |item: &DataType| is_groupable(item) && !is_float(item);
    match data_type {
        DataType::Map(..) | DataType::Interval(_) => false,
        DataType::Struct(fields) => fields.iter().all(|field| is_plain(field.data_type())),
        other => items(other).is_none_or(is_plain),
    }
}

/// The items of an array.
pub(crate) fn items(data_type: &DataType) -> Option<&DataType> {
    match data_type {
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            Some(item.data_type())
        }
        _ => None,
    }
}

/// The type to which Athena converts both; `None` if it refuses to.
pub(crate) fn common(one: &DataType, other: &DataType) -> Option<DataType> {
    use DataType as Type;
    if one == other {
        return Some(one.clone());
    }
    match (one, other) {
        (Type::Null, known) | (known, Type::Null) => Some(known.clone()),
        (one, other) if is_number(one) && is_number(other) => Some(common_number(one, other)),
        (one, other) if is_text(one) && is_text(other) => Some(Type::Utf8View),
        (one, other) if is_bytes(one) && is_bytes(other) => Some(Type::BinaryView),
        (Type::Date32, Type::Timestamp(_, zone)) | (Type::Timestamp(_, zone), Type::Date32)
            if !in_utc(zone) =>
        {
            None
        }
        (Type::Date32, time @ Type::Timestamp(..)) | (time @ Type::Timestamp(..), Type::Date32) => {
            Some(time.clone())
        }
        // Each value keeps its zone on Athena; here a column has one.
        (Type::Timestamp(_, zone), Type::Timestamp(_, other))
            if zone != other && !(in_utc(zone) && in_utc(other)) =>
        {
            None
        }
        (Type::Timestamp(unit, zone), Type::Timestamp(other_unit, other_zone)) => {
            let unit = if finer(*unit, *other_unit) {
                *unit
            } else {
                *other_unit
            };
            Some(Type::Timestamp(
                unit,
                zone.clone().or_else(|| other_zone.clone()),
            ))
        }
        (one, other) if is_interval(one) && is_interval(other) => Some(one.clone()),
        (Type::Struct(ones), Type::Struct(others)) if ones.len() == others.len() => {
            let fields = ones.iter().zip(others);
            let common = fields.map(|(one, other)| {
                let data_type = common(one.data_type(), other.data_type())?;
                Some(Arc::new(Field::new(one.name(), data_type, true)))
            });
            common
                .collect::<Option<Vec<_>>>()
                .map(|fields| Type::Struct(fields.into()))
        }
        (one, other) => {
            let item = common(items(one)?, items(other)?)?;
            Some(Type::List(Arc::new(Field::new_list_field(item, true))))
        }
    }
}

fn in_utc(zone: &Option<Arc<str>>) -> bool {
    zone.as_deref().is_none_or(is_utc)
}

pub(crate) fn finer(one: TimeUnit, other: TimeUnit) -> bool {
    let rank = |unit| match unit {
        TimeUnit::Second => 0,
        TimeUnit::Millisecond => 1,
        TimeUnit::Microsecond => 2,
        TimeUnit::Nanosecond => 3,
    };
    rank(one) >= rank(other)
}

fn common_number(one: &DataType, other: &DataType) -> DataType {
    if is_float(one) || is_float(other) {
        return DataType::Float64;
    }
    match (integer_digits(one), integer_digits(other)) {
        (Some(digits), Some(others)) => match digits.max(others) {
            3 => DataType::Int8,
            5 => DataType::Int16,
            10 => DataType::Int32,
            _ => DataType::Int64,
        },
        _ => {
            let (precision, scale) = exact(one).unwrap_or((DIGITS_MAX, 0));
            let (other_precision, other_scale) = exact(other).unwrap_or((DIGITS_MAX, 0));
            let whole =
                (precision.cast_signed() - scale).max(other_precision.cast_signed() - other_scale);
            let scale = scale.max(other_scale);
            decimal(whole + scale, scale)
        }
    }
}

/// A decimal with at most as many digits as there may be.
pub(crate) fn decimal(precision: i8, scale: i8) -> DataType {
    let precision = precision.clamp(1, DIGITS_MAX.cast_signed());
    DataType::Decimal128(precision.cast_unsigned(), scale.clamp(0, precision))
}

/// Whether a CAST from one to the other exists in Athena.
pub(crate) fn castable(from: &DataType, to: &DataType) -> bool {
    let scalar = |it: &DataType| {
        is_number(it)
            || is_time(it)
            || *it == DataType::Boolean
            || matches!(it, DataType::Time64(_))
    };
    if from == to || from.is_null() || common(from, to).is_some_and(|both| both == *to) {
        return true;
    }
    if is_text(from) {
        return scalar(to) || is_text(to) || is_bytes(to);
    }
    if is_text(to) {
        return scalar(from);
    }
    (*from == DataType::Boolean && (is_integer(to) || is_float(to)))
        || (is_number(from) && (is_number(to) || *to == DataType::Boolean))
        || (is_time(from) && is_time(to))
}

/// Whether a zone is UTC.
pub(crate) fn is_utc(zone: &str) -> bool {
    matches!(zone, "UTC" | "+00:00" | "Z")
}
