//! Types of arguments in SQL, each with the one type in Arrow that a function's code handles.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, TimeUnit};

/// The time zone of every `timestamp with time zone`.
pub(super) const UTC: &str = "UTC";

/// The type of an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum ArgType {
    /// `varchar`
    Text,
    /// `varbinary`
    Bytes,
    /// Whole numbers: `bigint`
    Integer,
    /// Any number, as `double`
    Double,
    /// `timestamp`, with or without a time zone, or `date`, to the millisecond
    Time,
}

impl ArgType {
    /// The type in Arrow that an argument is cast to; `None` if it does not fit.
    #[expect(clippy::wildcard_enum_match_arm, reason = "the engine's enum grows")]
    pub(super) fn coerced(self, given: &DataType) -> Option<DataType> {
        let types = match self {
            Self::Text => DataType::Utf8View,
            Self::Bytes => DataType::Binary,
            Self::Integer => DataType::Int64,
            Self::Double => DataType::Float64,
            Self::Time => match given {
                DataType::Timestamp(_, zone) => {
                    DataType::Timestamp(TimeUnit::Millisecond, zone.clone())
                }
                DataType::Date32 | DataType::Date64 => DataType::Date32,
                _ => DataType::Timestamp(TimeUnit::Millisecond, None),
            },
        };
        let fits = match self {
            Self::Text => matches!(
                given,
                DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
            ),
            Self::Bytes => matches!(
                given,
                DataType::Binary
                    | DataType::LargeBinary
                    | DataType::BinaryView
                    | DataType::FixedSizeBinary(_)
            ),
            Self::Integer => given.is_integer(),
            Self::Double => given.is_numeric(),
            Self::Time => matches!(
                given,
                DataType::Timestamp(..) | DataType::Date32 | DataType::Date64
            ),
        };
        (fits || given.is_null()).then_some(types)
    }

    /// The name in messages.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Text => "varchar",
            Self::Bytes => "varbinary",
            Self::Integer => "bigint",
            Self::Double => "double",
            Self::Time => "timestamp",
        }
    }
}

/// The types that arguments are cast to; `None` if one does not fit, or their number differs.
pub(super) fn coerced(kinds: &[ArgType], given: &[DataType]) -> Option<Vec<DataType>> {
    let types = kinds.iter().zip(given);
    let types = types.map(|(kind, given)| kind.coerced(given));
    types
        .collect::<Option<_>>()
        .filter(|_| kinds.len() == given.len())
}

/// A moment: `timestamp(3) with time zone`, as Trino calls it.
pub(super) fn moment() -> DataType {
    DataType::Timestamp(TimeUnit::Millisecond, Some(Arc::from(UTC)))
}

/// A date and time of day: `timestamp(3)`.
pub(super) fn timestamp() -> DataType {
    DataType::Timestamp(TimeUnit::Millisecond, None)
}
