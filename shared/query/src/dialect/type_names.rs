//! The names of types in a statement.

use datafusion::sql::sqlparser::ast::{
    ArrayElemTypeDef, CharacterLength, DataType, ExactNumberInfo, TimezoneInfo,
};
use datafusion::sql::sqlparser::tokenizer::Span;

use super::refusal::{invalid, refused};
use crate::error::SqlError;

/// Refuses a type that Athena does not have under this name, or that the engine does not have.
pub(crate) fn check(data_type: &DataType, span: Span) -> Result<(), SqlError> {
    use DataType as Type;
    let instead = match data_type {
        Type::Boolean
        | Type::TinyInt(None)
        | Type::SmallInt(None)
        | Type::Int(None)
        | Type::Integer(None)
        | Type::BigInt(None)
        | Type::Double(ExactNumberInfo::None)
        | Type::DoublePrecision
        | Type::Decimal(_)
        | Type::Varchar(None | Some(CharacterLength::IntegerLength { unit: None, .. }))
        | Type::Varbinary(None)
        | Type::Date
        | Type::Time(None, TimezoneInfo::None)
        | Type::Timestamp(None | Some(0 | 3), TimezoneInfo::None | TimezoneInfo::WithTimeZone) => {
            return Ok(());
        }
        Type::Array(ArrayElemTypeDef::Parenthesis(item) | ArrayElemTypeDef::AngleBracket(item)) => {
            return check(item, span);
        }
        Type::Real
        | Type::Timestamp(..)
        | Type::Char(_)
        | Type::JSON
        | Type::Map(..)
        | Type::Custom(..)
        | Type::Interval { .. }
        | Type::Uuid => {
            let message = format!(
                "the type `{data_type}` is not on this engine: write timestamp, varchar, or the parts of it"
            );
            return Err(invalid(message, span));
        }
        Type::Text | Type::String(_) | Type::Character(_) | Type::CharacterVarying(_) => {
            "write varchar"
        }
        Type::Varchar(_) => "write varchar",
        Type::Numeric(_) | Type::Dec(_) => "write decimal(p, s)",
        Type::Float(_) | Type::Float4 | Type::Float8 | Type::Float32 | Type::Float64 => {
            "write double or real"
        }
        Type::Int2(_) | Type::Int4(_) | Type::Int8(_) | Type::Int32 | Type::Int64 => {
            "write integer or bigint"
        }
        Type::Bool => "write boolean",
        Type::Datetime(_) | Type::TimestampNtz(_) => "write timestamp",
        Type::Bytea | Type::Binary(_) | Type::Blob(_) => "write varbinary",
        _ => "docs/sql.md lists the types",
    };
    Err(refused(&format!("the type `{data_type}`"), instead, span))
}

/// The type under a name that the planner takes, with Athena's defaults.
pub(crate) fn planned(data_type: &DataType) -> DataType {
    use DataType as Type;
    use ExactNumberInfo as Number;
    match data_type {
        Type::Decimal(number) => Type::Decimal(match number {
            Number::None => Number::PrecisionAndScale(38, 0),
            Number::Precision(precision) => Number::PrecisionAndScale(*precision, 0),
            both @ Number::PrecisionAndScale(..) => *both,
        }),
        Type::Timestamp(digits, zone) => Type::Timestamp(Some(digits.unwrap_or(3)), *zone),
        Type::Array(ArrayElemTypeDef::Parenthesis(item) | ArrayElemTypeDef::AngleBracket(item)) => {
            Type::Array(ArrayElemTypeDef::AngleBracket(Box::new(planned(item))))
        }
        Type::Varbinary(_) => Type::Bytea,
        other => other.clone(),
    }
}
