//! Athena's errors as the program's, with suggestions and the position in the statement.

use athena::catalog::Table;
use athena::error::AthenaError;
use aws_client::error::CallError;
use query::{Position, at, did_you_mean, suggestions, table_names};

use crate::athena_bill::{Bill, had_read};
use crate::engine::EngineError;

/// An error without a position in a statement.
pub(crate) fn engine_error(error: &AthenaError) -> EngineError {
    statement_error(error, &[], |position| Position {
        line: position.line,
        column: position.column,
    })
}

/// Whether the tables' names and columns help to explain an error.
pub(super) fn is_about_a_name(error: &AthenaError) -> bool {
    matches!(
        error,
        AthenaError::Missing { .. } | AthenaError::Statement { .. }
    )
}

/// The error of a statement. `tables` are those of the database, `origin` maps a position to what
/// the user wrote.
pub(super) fn statement_error(
    error: &AthenaError,
    tables: &[Table],
    origin: impl Fn(athena::error::Position) -> Position,
) -> EngineError {
    let text = error.to_string();
    match error {
        AthenaError::Setup(_)
        | AthenaError::NoWorkgroup { .. }
        | AthenaError::NoResultLocation { .. } => EngineError::Usage(text),
        AthenaError::Missing { message, position } => {
            let names = || tables.iter().map(|table| table.name.as_str());
            let missing = missing_table(message).unwrap_or_default();
            let is_ours = |name: &&str| missing.eq_ignore_ascii_case(name);
            let not_created =
                table_names().any(|name| is_ours(&name) && names().all(|known| known != name));
            if not_created || tables.is_empty() {
                return EngineError::Usage(text);
            }
            query(
                message,
                position.map(origin),
                &suggestions(missing, names()),
            )
        }
        AthenaError::Statement { message, position } => {
            let columns = tables.iter().flat_map(|table| &table.columns);
            let mut columns: Vec<&str> = columns.map(|(name, _)| name.as_str()).collect();
            columns.sort_unstable();
            columns.dedup();
            let near = quoted(message)
                .filter(|_| message.contains("COLUMN_NOT_FOUND"))
                .map(|name| suggestions(last_part(name), columns.into_iter()));
            query(message, position.map(origin), &near.unwrap_or_default())
        }
        AthenaError::TooLong(_) => query(&text, None, &[]),
        AthenaError::Failed {
            retryable: false, ..
        } => query(&text, None, &[]),
        AthenaError::ScanLimit { scanned_bytes, .. } => {
            EngineError::Refused(format!("{text}; {}", billed(*scanned_bytes)))
        }
        AthenaError::Cancelled { scanned_bytes, .. } => {
            let message = format!("{text}, but not from here; {}", billed(*scanned_bytes));
            EngineError::StoppedElsewhere(message)
        }
        AthenaError::Call(CallError::Refused { code, message, .. })
            if code == "InvalidRequestException" =>
        {
            EngineError::Usage(message.clone())
        }
        AthenaError::Failed { .. }
        | AthenaError::Credentials(_)
        | AthenaError::Denied { .. }
        | AthenaError::Throttled(_)
        | AthenaError::Unanswered(_)
        | AthenaError::Result { .. }
        | AthenaError::Unreadable(_)
        | AthenaError::Call(_) => EngineError::Service(text),
    }
}

/// The error without the advice to run the query again.
pub(super) fn without_advice(error: &AthenaError) -> String {
    if let AthenaError::Throttled(message) = error {
        format!("Athena is throttled ({message})")
    } else {
        error.to_string()
    }
}

fn billed(scanned_bytes: u64) -> String {
    had_read(scanned_bytes, Some(Bill::of_scanned(scanned_bytes)))
}

fn query(message: &str, position: Option<Position>, near: &[String]) -> EngineError {
    EngineError::Query {
        message: format!("{message}{}{}", at(position), did_you_mean(near)),
        position,
    }
}

/// The first name in quotes of a message.
fn quoted(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once('\'')?;
    rest.split_once('\'').map(|(name, _)| name)
}

/// The table that a message reports as missing: `Table 'c.d.name' does not exist`, without quotes,
/// or as emulators say it, `Table with name name does not exist`.
fn missing_table(message: &str) -> Option<&str> {
    let bare = || {
        let (before, _) = message.split_once(" does not exist")?;
        before.rsplit(' ').next()
    };
    let name = quoted(message).or_else(bare)?;
    Some(last_part(name.trim_matches(['"', '`'])))
}

/// The name without catalogue and database.
fn last_part(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables() -> Vec<Table> {
        let table = |name: &str, columns: &[&str]| Table {
            name: name.to_owned(),
            is_view: false,
            columns: columns
                .iter()
                .map(|column| ((*column).to_owned(), "bigint".to_owned()))
                .collect(),
            location: None,
        };
        vec![
            table("price_archive", &["ts", "price", "token"]),
            table("price_history", &["timestamp", "price"]),
            table("ticks", &["time", "price"]),
            table("quarantine", &["reason"]),
        ]
    }

    fn explained(error: &AthenaError, tables: &[Table]) -> EngineError {
        statement_error(error, tables, |position| Position {
            line: position.line + 10,
            column: position.column,
        })
    }

    const POSITION: athena::error::Position = athena::error::Position { line: 1, column: 8 };

    #[test]
    fn an_unknown_column_comes_with_its_position_and_suggestions() {
        let error = AthenaError::Statement {
            message: "COLUMN_NOT_FOUND: Column 'prise' cannot be resolved".to_owned(),
            position: Some(POSITION),
        };
        let EngineError::Query { message, position } = explained(&error, &tables()) else {
            panic!()
        };
        assert_eq!(
            message,
            "COLUMN_NOT_FOUND: Column 'prise' cannot be resolved at line 11, column 8: did you \
             mean `price`?"
        );
        let expected = Position {
            line: 11,
            column: 8,
        };
        assert_eq!(position, Some(expected));
    }

    #[test]
    fn a_missing_table_of_ours_suggests_init_and_another_a_name() {
        let missing = |name: &str| AthenaError::Missing {
            message: format!(
                "TABLE_NOT_FOUND: Table 'awsdatacatalog.tickstream.{name}' does not exist"
            ),
            position: Some(POSITION),
        };
        let fresh: Vec<Table> = tables()
            .into_iter()
            .filter(|table| table.name == "price_archive")
            .collect();
        let EngineError::Usage(text) = explained(&missing("price_history"), &fresh) else {
            panic!()
        };
        assert!(text.contains("ticksql init"), "{text}");
        let EngineError::Query { message, .. } = explained(&missing("price_histroy"), &tables())
        else {
            panic!()
        };
        assert!(
            message.contains("did you mean `price_history`"),
            "{message}"
        );
        // The database's name contains that of a table, and Athena words the message in several ways.
        let without_views = &tables()[..1];
        for message in [
            "TABLE_NOT_FOUND: Table 'awsdatacatalog.tickstream.price_archiv' does not exist",
            "SYNTAX_ERROR: Table awsdatacatalog.tickstream.price_archiv does not exist",
            "Catalog Error: Table with name price_archiv does not exist!",
        ] {
            let error = AthenaError::Missing {
                message: message.to_owned(),
                position: Some(POSITION),
            };
            let EngineError::Query { message, .. } = explained(&error, without_views) else {
                panic!("{message}")
            };
            assert!(
                message.contains("did you mean `price_archive`"),
                "{message}"
            );
        }
        let nothing_there = explained(&missing("anything"), &[]);
        assert!(
            matches!(nothing_there, EngineError::Usage(_)),
            "{nothing_there:?}"
        );
    }

    #[test]
    fn the_kind_decides_the_exit_code() {
        let failed = |retryable| AthenaError::Failed {
            message: "no".to_owned(),
            retryable,
        };
        assert!(matches!(
            engine_error(&failed(false)),
            EngineError::Query { .. }
        ));
        assert!(matches!(
            engine_error(&failed(true)),
            EngineError::Service(_)
        ));
        let limit = AthenaError::ScanLimit {
            message: "Bytes scanned limit was exceeded".to_owned(),
            scanned_bytes: 10_800_000_000,
        };
        let EngineError::Refused(message) = engine_error(&limit) else {
            panic!()
        };
        assert!(
            message.ends_with("it had read 10.8 GB: 10.8 GB billed, $0.0540"),
            "{message}"
        );
        let stopped = AthenaError::Cancelled {
            id: "q1".to_owned(),
            reason: Some("by ana".to_owned()),
            scanned_bytes: 0,
        };
        let EngineError::StoppedElsewhere(message) = engine_error(&stopped) else {
            panic!()
        };
        assert_eq!(
            message,
            "the query q1 was cancelled: by ana, but not from here; it had read 0 B: nothing billed"
        );
        let throttled = AthenaError::Throttled("Rate exceeded".to_owned());
        assert!(throttled.to_string().contains("run it again"));
        assert!(!without_advice(&throttled).contains("run it again"));
        let denied = AthenaError::Denied {
            action: Some("glue:GetTable".to_owned()),
            message: "no".to_owned(),
        };
        assert!(matches!(engine_error(&denied), EngineError::Service(_)));
        assert!(matches!(
            engine_error(&AthenaError::NoWorkgroup {
                workgroup: "x".to_owned(),
                region: "eu-west-1".to_owned(),
            }),
            EngineError::Usage(_)
        ));
        let unknown = AthenaError::Call(CallError::Refused {
            code: "InvalidRequestException".to_owned(),
            message: "QueryExecution q1 was not found".to_owned(),
            status: 400,
            request_id: "R".to_owned(),
        });
        assert!(matches!(engine_error(&unknown), EngineError::Usage(_)));
    }
}
