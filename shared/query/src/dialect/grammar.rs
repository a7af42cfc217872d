//! The dialect of the parser: forms of other products that Athena's grammar lacks are syntax errors.

use std::any::TypeId;

use datafusion::sql::sqlparser::dialect::{Dialect, GenericDialect};

macro_rules! supports {
    ($($part:ident;)*) => {
        $(fn $part(&self) -> bool {
            true
        })*
    };
}

/// The parser's settings for Athena's grammar. What they cannot express, [`super::syntax`] refuses.
#[derive(Debug, Default)]
pub(crate) struct AthenaDialect;

impl Dialect for AthenaDialect {
    /// Some of the parser's choices, such as UNNEST in FROM, depend on the type of a dialect that it knows.
    fn dialect(&self) -> TypeId {
        TypeId::of::<GenericDialect>()
    }

    fn is_identifier_start(&self, char: char) -> bool {
        char.is_ascii_alphabetic() || char == '_'
    }

    fn is_identifier_part(&self, char: char) -> bool {
        char.is_ascii_alphanumeric() || char == '_'
    }

    fn is_delimited_identifier_start(&self, char: char) -> bool {
        char == '"'
    }

    supports! {
        supports_unicode_string_literal;
        supports_filter_during_aggregation;
        supports_group_by_expr;
        supports_window_function_null_treatment_arg;
        supports_lambda_functions;
        supports_parens_around_table_factor;
        supports_array_typedef_with_brackets;
        supports_comma_separated_trim;
        supports_match_recognize;
        supports_numeric_literal_underscores;
        allow_extract_custom;
    }
}
