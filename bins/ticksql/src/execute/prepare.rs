//! Prepares a query's statement for an engine.

use query::SqlError;
use runtime::clock;

use crate::cli_error::CliError;
use crate::engine::{Engine, EngineError, Estimate};
use crate::named::BoundQuery;
use crate::options::{EngineName, Options};
use crate::outputs::Outputs;
use crate::size::Size;
use crate::source::Source;
use crate::sql_tokens::begins_as_reading;
use crate::statement::Statement;

/// The statement of a query with its values. Notes about the values go to standard error.
pub(crate) fn prepared(
    engine: &dyn Engine,
    source: &Source,
    options: &Options,
    outputs: &mut Outputs<'_>,
) -> Result<(BoundQuery, Statement), CliError> {
    let bound = source.query.bind(&options.params, clock::now_ms())?;
    if !options.quiet {
        for note in &bound.notes {
            _ = writeln!(outputs.status, "note: {note}");
        }
    }
    let statement = match Statement::of(&bound) {
        Err(SqlError::Syntax { message, position }) if engine.name() == EngineName::Athena => {
            // Athena's dialect has words that this parser does not know.
            if options.full_scan && begins_as_reading(&bound.sql) {
                let statement = Statement::unparsed(&bound);
                return Ok((bound, statement));
            }
            let advice = match options.full_scan {
                true => {
                    "only a statement that begins with SELECT, WITH, VALUES, TABLE, SHOW, DESCRIBE or EXPLAIN is sent as it is"
                }
                false => {
                    "if Athena accepts it, pass --full-scan to send it without checking what it reads"
                }
            };
            let error = SqlError::Syntax { message, position };
            return Err(EngineError::Query {
                message: format!("{error}; {advice}"),
                position,
            }
            .into());
        }
        statement => statement?,
    };
    Ok((bound, statement))
}

/// Refuses what would read more than is allowed, or an unknown amount.
pub(crate) fn within(estimate: &Estimate, allowed: Size) -> Result<(), CliError> {
    if estimate.bytes > allowed.0 {
        return Err(CliError::TooMuch {
            estimated: Size(estimate.bytes),
            files: estimate.files,
            days: estimate.days.len(),
            allowed,
        });
    }
    match &estimate.unknown {
        Some(unknown) => Err(CliError::NotKnown {
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
        let error = within(&estimate(0, Some("the size of `b` is unknown")), Size(10));
        let error = error.unwrap_err();
        assert_eq!(error.exit_code(), 3);
        assert_eq!(
            error.to_string(),
            "the size of `b` is unknown, and --max-scan allows 10 B: omit --max-scan to run the query"
        );
    }
}
