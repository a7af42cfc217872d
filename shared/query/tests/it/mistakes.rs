//! Mistakes in a statement: where they are, and what could be meant.

use query::{Position, SqlError};
use testkit::market::market;

use crate::answer::{archive_of, open, refusal};

#[tokio::test]
async fn a_statement_that_ends_too_early_is_refused_at_its_end() {
    let data = archive_of(&market(1));
    let sql = open(data.path()).await;
    let check = async |query: &str, expected: &str, line: u64, column: u64| {
        let error = refusal(&sql, query).await;
        assert!(matches!(error, SqlError::Syntax { .. }), "{error:?}");
        assert_eq!(error.position(), Some(Position { line, column }), "{query}");
        let expected =
            format!("syntax error at line {line}, column {column}: Expected: {expected}");
        assert_eq!(error.to_string(), expected, "{query}");
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
async fn no_part_of_a_statement_is_shown_in_debug_form() {
    let data = archive_of(&market(1));
    let sql = open(data.path()).await;
    for (query, column) in [
        ("SELECT substr(1) FROM ticks", 15),
        ("SELECT substring(token) FROM ticks", 18),
    ] {
        let error = refusal(&sql, query).await;
        let position = Position { line: 1, column };
        assert_eq!(error.position(), Some(position), "{query}: {error}");
        let message = error.to_string();
        assert!(message.contains("substr"), "{query}: {message}");
        assert!(!message.contains(['{', '[']), "{query}: {message}");
    }
}

#[tokio::test]
async fn what_only_athena_takes_is_said_to_run_there() {
    let data = archive_of(&market(1));
    let sql = open(data.path()).await;
    for (query, instead) in [
        ("SELECT INTERVAL -'3' YEAR", "INTERVAL '-1' DAY"),
        ("SELECT INTERVAL '0' MONTH", "leave it out"),
        ("SELECT INTERVAL '1-2' YEAR TO MONTH", "date_add"),
    ] {
        let message = refusal(&sql, query).await.to_string();
        let is_true = message.contains("runs on Athena, but not on this engine");
        assert!(is_true && message.contains(instead), "{query}: {message}");
    }
}

#[tokio::test]
async fn the_most_similar_functions_are_suggested() {
    let data = archive_of(&market(1));
    let sql = open(data.path()).await;
    let check = async |call: &str, expected: &str| {
        let error = refusal(&sql, &format!("SELECT {call}(price) FROM ticks")).await;
        let SqlError::Invalid { message, .. } = &error else {
            panic!("{call}: {error:?}")
        };
        assert!(message.contains(expected), "{call}: {message}");
    };
    check("cont", "(did you mean `count`").await;
    check("cuont", "(did you mean `count`").await;
    check("avrage", "(did you mean `avg`").await;
    check(
        "no_such_thing",
        "`no_such_thing` (docs/sql.md lists those that it has)",
    )
    .await;
}

/// The statement is inspected, not the engine's message: any unknown function is reported where it is.
#[tokio::test]
async fn an_unknown_function_is_reported_where_it_is() {
    let data = archive_of(&market(1));
    let sql = open(data.path()).await;
    let check = async |query: &str, message: &str, line: u64, column: u64| {
        let error = refusal(&sql, query).await;
        assert!(error.to_string().contains(message), "{query}: {error}");
        assert_eq!(error.position(), Some(Position { line, column }), "{query}");
    };
    check(
        "SELECT abs(1),\n lower(lowerr('A'))",
        "no function `lowerr`",
        2,
        8,
    )
    .await;
    check(
        "SELECT 1 FROM ticks WHERE try(day) = 1",
        "no function `try`",
        1,
        27,
    )
    .await;
    check("EXPLAIN SELECT reduce(1, 2)", "no function `reduce`", 1, 16).await;
    // What the planner handles itself is not unknown, whatever else is wrong.
    let error = refusal(&sql, "SELECT 1 + ARRAY[1] FROM unnest(ARRAY[1]) AS t(n)").await;
    assert!(!error.to_string().contains("no function"), "{error}");
}
