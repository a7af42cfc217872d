//! Earlier queries as rows.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray, UInt64Array};
use chrono::{DateTime, SecondsFormat};

use crate::athena_bill::Bill;
use crate::cli_error::CliError;
use crate::engine::PastQuery;
use crate::options::EngineName;
use crate::sql_tokens::on_one_line;

/// Characters of a statement that are shown in a list.
const SQL_CHARS_SHOWN: usize = 60;

/// Queries as rows.
pub(crate) fn rows(queries: &[PastQuery]) -> Result<RecordBatch, CliError> {
    let texts = |text: &dyn Fn(&PastQuery) -> String| -> ArrayRef {
        Arc::new(
            queries
                .iter()
                .map(|query| Some(text(query)))
                .collect::<StringArray>(),
        )
    };
    let bytes = queries.iter().map(|query| Some(query.scanned_bytes));
    let ran = queries.iter().map(|query| Some(query.ran_ms));
    let dollars = queries.iter().map(dollars);
    Ok(RecordBatch::try_from_iter_with_nullable([
        ("id", texts(&|query| query.id.clone()), false),
        ("engine", texts(&|query| query.engine.to_string()), false),
        ("when", texts(&|query| moment(query.at_ms)), false),
        ("state", texts(&|query| query.state.clone()), false),
        (
            "ran_ms",
            Arc::new(ran.collect::<UInt64Array>()) as ArrayRef,
            false,
        ),
        (
            "bytes",
            Arc::new(bytes.collect::<UInt64Array>()) as ArrayRef,
            false,
        ),
        (
            "usd",
            Arc::new(dollars.collect::<Float64Array>()) as ArrayRef,
            true,
        ),
        ("query", texts(&shown), false),
    ])?)
}

/// What Athena billed; local queries cost nothing, and so do failed ones and reused results.
fn dollars(query: &PastQuery) -> Option<f64> {
    if query.engine == EngineName::Local {
        return None;
    }
    let bill = match query.state.as_str() {
        "failed" => Bill::NOTHING,
        _ if query.reused => Bill::NOTHING,
        _ => Bill::of_scanned(query.scanned_bytes),
    };
    Some(bill.dollars().0)
}

fn moment(ms: i64) -> String {
    DateTime::from_timestamp_millis(ms)
        .map(|time| time.to_rfc3339_opts(SecondsFormat::Secs, true))
        .unwrap_or_default()
}

/// A query's name, if it is known, and the start of its statement.
fn shown(query: &PastQuery) -> String {
    let words = first_words(&query.sql);
    match &query.name {
        Some(name) => format!("{name}: {words}"),
        None => words,
    }
}

/// The start of a statement on one line, without its comments.
fn first_words(sql: &str) -> String {
    let text = on_one_line(sql);
    let mut shown: String = text.chars().take(SQL_CHARS_SHOWN).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_what_was_billed() {
        let athena = |state: &str, scanned_bytes, reused| PastQuery {
            engine: EngineName::Athena,
            state: state.to_owned(),
            scanned_bytes,
            reused,
            ..PastQuery::example(1)
        };
        let check = |query: PastQuery, expected: Option<f64>| assert_eq!(dollars(&query), expected);
        check(athena("succeeded", 1, false), Some(0.000_05));
        check(athena("cancelled", 20_000_000, false), Some(0.000_1));
        check(athena("succeeded", 0, true), Some(0.0));
        check(athena("succeeded", 0, false), Some(0.0));
        check(athena("succeeded", 7, true), Some(0.0));
        check(athena("failed", 500, false), Some(0.0));
        check(PastQuery::example(1), None);
        let named = PastQuery {
            name: Some("candles".to_owned()),
            ..PastQuery::example(1)
        };
        let shown = shown(&named);
        assert!(
            shown.starts_with("candles: SELECT 1 FROM ttt") && shown.ends_with('…'),
            "{shown}"
        );
    }
}
