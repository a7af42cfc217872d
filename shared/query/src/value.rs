//! Values of a statement's parameters. They go into the parsed statement, so that no value is ever
//! read as SQL.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    Expr, UnaryOperator, Value as Literal, VisitMut, visit_expressions_mut,
};
use datafusion::sql::sqlparser::tokenizer::{Location, Span};

use crate::error::SqlError;

/// The value of a parameter, by its type in SQL.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A text.
    Varchar(String),
    /// A whole number.
    Bigint(i64),
    /// A finite number.
    Double(f64),
    /// TRUE or FALSE.
    Boolean(bool),
}

impl Value {
    /// The value as a literal of its type, which can be next to any operator: `'it''s'`,
    /// `BIGINT '-42'`, `1.5E0`, `(-1.5E0)`, `TRUE`.
    #[must_use]
    pub fn literal(&self) -> String {
        match self {
            Self::Varchar(text) => format!("'{}'", text.replace('\'', "''")),
            // A bare 42 is an INTEGER on Athena, and a product of two may overflow.
            Self::Bigint(number) => format!("BIGINT '{number}'"),
            Self::Double(number) if number.is_sign_negative() => format!("({number:E})"),
            Self::Double(number) => format!("{number:E}"),
            Self::Boolean(true) => "TRUE".to_owned(),
            Self::Boolean(false) => "FALSE".to_owned(),
        }
    }

    fn expression(&self) -> Expr {
        // Marked as long, it stays a bigint.
        let number = |text: String, long: bool| match text.strip_prefix('-') {
            Some(positive) => Expr::Nested(Box::new(Expr::UnaryOp {
                op: UnaryOperator::Minus,
                expr: Box::new(Expr::value(Literal::Number(positive.to_owned(), long))),
            })),
            None => Expr::value(Literal::Number(text, long)),
        };
        match self {
            Self::Varchar(text) => Expr::value(Literal::SingleQuotedString(text.clone())),
            Self::Bigint(value) => number(value.to_string(), true),
            Self::Double(value) => number(format!("{value:E}"), false),
            Self::Boolean(value) => Expr::value(Literal::Boolean(*value)),
        }
    }
}

/// Replaces each `?` of a statement by its value, in the order of the text.
pub(crate) fn bind(statement: &mut Statement, values: &[Value]) -> Result<(), SqlError> {
    if values.is_empty() {
        return Ok(());
    }
    let mut starts = BTreeSet::new();
    for_each_placeholder(statement, &mut |span, _| {
        starts.insert(span.start);
    });
    if starts.len() != values.len() {
        return Err(SqlError::Invalid {
            message: format!(
                "the statement has {} parameters, and {} values were passed",
                starts.len(),
                values.len()
            ),
            position: None,
        });
    }
    // The tree is not always walked in the order of the text.
    let values: BTreeMap<Location, &Value> = starts.into_iter().zip(values).collect();
    for_each_placeholder(statement, &mut |span, expression| {
        if let Some(value) = values.get(&span.start) {
            *expression = value.expression();
        }
    });
    Ok(())
}

fn for_each_placeholder(statement: &mut Statement, found: &mut dyn FnMut(Span, &mut Expr)) {
    match statement {
        Statement::Statement(statement) => in_expressions(statement.as_mut(), found),
        Statement::Explain(explain) => for_each_placeholder(&mut explain.statement, found),
        Statement::CreateExternalTable(_) | Statement::CopyTo(_) | Statement::Reset(_) => {}
    }
}

fn in_expressions(tree: &mut impl VisitMut, found: &mut dyn FnMut(Span, &mut Expr)) {
    let visited = visit_expressions_mut(tree, |expression| {
        if let Expr::Value(value) = expression
            && value.value == Literal::Placeholder("?".to_owned())
        {
            let span = value.span;
            found(span, expression);
        }
        ControlFlow::<()>::Continue(())
    });
    debug_assert!(visited.is_continue());
}

#[cfg(test)]
mod tests {
    use datafusion::sql::parser::DFParser;
    use datafusion::sql::sqlparser::dialect::GenericDialect;
    use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};
    use proptest::prelude::*;

    use super::*;

    fn bound(sql: &str, values: &[Value]) -> Result<String, SqlError> {
        let mut statement = DFParser::parse_sql(sql).unwrap().pop_front().unwrap();
        bind(&mut statement, values)?;
        Ok(statement.to_string())
    }

    #[test]
    fn values_replace_placeholders_in_the_order_of_the_text() {
        let sql = "SELECT approx_percentile_cont(0.5) WITHIN GROUP (ORDER BY price + ?) FILTER (WHERE volume > ?) \
                   FROM ticks WHERE token = ? AND flag = ? LIMIT ?";
        let values = [
            Value::Bigint(-3),
            Value::Double(0.25),
            Value::Varchar("it's".to_owned()),
            Value::Boolean(true),
            Value::Bigint(7),
        ];
        assert_eq!(
            bound(sql, &values).unwrap(),
            "SELECT approx_percentile_cont(0.5) WITHIN GROUP (ORDER BY price + (-3L)) FILTER (WHERE volume > 2.5E-1) \
             FROM ticks WHERE token = 'it''s' AND flag = true LIMIT 7L"
        );
    }

    #[test]
    fn there_must_be_as_many_values_as_placeholders() {
        let error = bound("SELECT ?, ?", &[Value::Boolean(true)]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the statement has 2 parameters, and 1 values were passed"
        );
    }

    #[test]
    fn a_literal_shows_its_type() {
        let check = |value: Value, expected: &str| assert_eq!(value.literal(), expected);
        check(Value::Varchar("it's".to_owned()), "'it''s'");
        check(Value::Varchar(String::new()), "''");
        check(Value::Bigint(i64::MIN), "BIGINT '-9223372036854775808'");
        check(Value::Double(1.5), "1.5E0");
        check(Value::Double(-0.001), "(-1E-3)");
        check(Value::Boolean(false), "FALSE");
    }

    proptest! {
        /// The literal of any text is one token, and means the text.
        #[test]
        fn no_text_breaks_out_of_its_literal(text in "(?s).*|['\\\\\"?:;\\-/* ]{0,12}") {
            let literal = Value::Varchar(text.clone()).literal();
            let tokens = Tokenizer::new(&GenericDialect {}, &literal).tokenize().unwrap();
            prop_assert_eq!(tokens, vec![Token::SingleQuotedString(text)]);
        }

        #[test]
        fn numbers_stand_for_themselves(bigint: i64, double in proptest::num::f64::NORMAL) {
            let literal = Value::Double(double).literal();
            let number: f64 = literal.trim_matches(['(', ')']).parse().unwrap();
            prop_assert_eq!(number.to_bits(), double.to_bits());
            let literal = Value::Bigint(bigint).literal();
            prop_assert_eq!(literal, format!("BIGINT '{bigint}'"));
        }
    }
}
