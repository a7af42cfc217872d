//! Mistakes in a statement: where they are, and what could be meant.

use query::{Place, SqlError};
use testkit::market::market;

use crate::sql::{archive_of, open, refusal};

#[tokio::test]
async fn a_statement_that_ends_too_early_is_told_with_its_end() {
    let data = archive_of(&market(1));
    let sql = open(data.path()).await;
    let check = async |query: &str, expected: &str, line: u64, column: u64| {
        let error = refusal(&sql, query).await;
        assert!(matches!(error, SqlError::Syntax { .. }), "{error:?}");
        assert_eq!(error.place(), Some(Place { line, column }), "{query}");
        let told = format!("syntax error at line {line}, column {column}: Expected: {expected}");
        assert_eq!(error.to_string(), told, "{query}");
    };
    let an_expression = "an expression, found: the end of the statement";
    check("SELECT 1 +", an_expression, 1, 11).await;
    check("SELECT 1 + \n\n", an_expression, 1, 11).await;
    check(
        "SELECT 'ä'\nFROM ticks WHERE day = 1 AND",
        an_expression,
        2,
        29,
    )
    .await;
    check("SELECT (1", "), found: the end of the statement", 1, 10).await;
}

#[tokio::test]
async fn no_part_of_a_statement_is_shown_as_the_parser_holds_it() {
    let data = archive_of(&market(1));
    let sql = open(data.path()).await;
    for (query, column) in [
        ("SELECT substr(1) FROM ticks", 15),
        ("SELECT substring(token) FROM ticks", 18),
    ] {
        let error = refusal(&sql, query).await;
        let told = format!(
            "substr and substring take a text and where to begin, and may take a length: \
             substr(token, 1, 4) at line 1, column {column}"
        );
        assert_eq!(error.to_string(), told, "{query}");
    }
}

#[tokio::test]
async fn the_nearest_functions_are_those_with_the_fewest_slips() {
    let data = archive_of(&market(1));
    let sql = open(data.path()).await;
    let check = async |call: &str, expected: &str| {
        let error = refusal(&sql, &format!("SELECT {call}(price) FROM ticks")).await;
        let SqlError::Invalid { message, .. } = &error else {
            panic!("{call}: {error:?}")
        };
        assert!(message.contains(expected), "{call}: {message}");
    };
    check("cont", "(did you mean `count` or `c").await;
    check("cuont", "(did you mean `count`").await;
    check("avrage", "(did you mean `avg`?)").await;
    check("selct", "`selct` (docs/sql.md lists those that it has)").await;
}
