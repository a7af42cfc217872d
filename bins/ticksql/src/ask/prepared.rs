//! A query's statement, before any engine sees it.

use query::SqlError;
use runtime::clock;

use super::Outputs;
use crate::cli::Options;
use crate::engine::{Engine, EngineError, EngineName, Estimate};
use crate::named::Bound;
use crate::problem::Problem;
use crate::size::Size;
use crate::source::Source;
use crate::statement::Statement;

/// The statement of a query with its values. What a person should know is said.
pub(crate) fn prepared(
    engine: &dyn Engine,
    source: &Source,
    options: &Options,
    outputs: &mut Outputs<'_>,
) -> Result<(Bound, Statement), Problem> {
    let bound = source.query.bind(&options.params, clock::now_ms())?;
    if !options.quiet {
        for note in &bound.notes {
            _ = writeln!(outputs.status, "note: {note}");
        }
    }
    let statement = match Statement::of(&bound) {
        Ok(statement) => statement,
        Err(SqlError::Syntax {
            message,
            position: place,
        }) if engine.name() == EngineName::Athena => {
            // Athena's dialect has words that this parser does not know.
            if options.full_scan && reads_only(&bound.sql) {
                Statement::unread(&bound)
            } else {
                let error = SqlError::Syntax {
                    message,
                    position: place,
                };
                let message = format!(
                    "{error}; if Athena understands it, --full-scan sends it without a look at what it reads"
                );
                return Err(EngineError::Query { message, place }.into());
            }
        }
        Err(error) => return Err(error.into()),
    };
    Ok((bound, statement))
}

/// Whether a statement begins as those do that only read.
fn reads_only(sql: &str) -> bool {
    let lines = sql.lines().map(str::trim);
    let mut words = lines
        .filter(|line| !line.starts_with("--"))
        .flat_map(str::split_whitespace);
    let first = words.next().unwrap_or_default().trim_start_matches('(');
    ["select", "with", "values", "show", "describe", "explain"]
        .iter()
        .any(|word| first.eq_ignore_ascii_case(word))
}

/// Refuses what would read more than is allowed, and what nobody knows of.
pub(crate) fn within(estimate: &Estimate, allowed: Size) -> Result<(), Problem> {
    if estimate.bytes > allowed.0 {
        return Err(Problem::TooMuch {
            estimated: Size(estimate.bytes),
            files: estimate.files,
            days: estimate.days.len(),
            allowed,
        });
    }
    match &estimate.unknown {
        Some(unknown) => Err(Problem::NotKnown {
            unknown: unknown.clone(),
            allowed,
        }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_not_allowed() {
        let estimate = |bytes, unknown: Option<&str>| Estimate {
            bytes,
            unknown: unknown.map(str::to_owned),
            ..Estimate::default()
        };
        assert!(within(&estimate(10, None), Size(10)).is_ok());
        let error = within(&estimate(11, None), Size(10)).unwrap_err();
        assert_eq!(error.exit_code(), 3, "{error}");
        let error = within(
            &estimate(0, Some("what lies behind `b` is not known")),
            Size(10),
        );
        let error = error.unwrap_err();
        assert_eq!(error.exit_code(), 3);
        assert_eq!(
            error.to_string(),
            "what lies behind `b` is not known, and --max-scan allows 10 B: without --max-scan it runs"
        );
    }

    #[test]
    fn statements_that_read_are_told_by_their_first_word() {
        for sql in ["SELECT 1", "-- a\n  with x", "(Values 1)", "show tables"] {
            assert!(reads_only(sql), "{sql}");
        }
        for sql in ["", "DROP TABLE x", "-- select\nINSERT INTO x"] {
            assert!(!reads_only(sql), "{sql}");
        }
    }
}
