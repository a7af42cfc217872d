//! SHOW and DESCRIBE in Athena's form, as queries of constants.

use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::sql::sqlparser::ast::{
    DescribeAlias, ObjectName, ShowStatementFilter, ShowStatementOptions, Statement,
};
use datafusion::sql::sqlparser::parser::Parser;

use super::grammar::AthenaDialect;
use crate::ast_names::last_name;
use crate::error::SqlError;
use crate::position::Position;
use crate::result_columns::type_name;
use crate::suggestions::suggestions;
use crate::table_names::table_names;

/// The DDL of the tables, which has the comments of their columns.
const TABLES: [(&str, &str); 3] = [
    (
        "price_archive",
        include_str!("../../../../sql/tables/price_archive.sql"),
    ),
    (
        "quarantine",
        include_str!("../../../../sql/tables/quarantine.sql"),
    ),
    (
        "anomalies",
        include_str!("../../../../sql/tables/anomalies.sql"),
    ),
];

/// The query for a statement that describes; `None` for others.
pub(super) fn as_query(
    statement: &Statement,
    known: &[(String, SchemaRef)],
) -> Result<Option<Statement>, SqlError> {
    let sql = match statement {
        Statement::ShowTables {
            terse: false,
            history: false,
            extended: false,
            full: false,
            external: false,
            show_options,
        } => tables(show_options)?,
        Statement::ShowColumns {
            extended: false,
            full: false,
            show_options,
        } => {
            let table = show_options
                .show_in
                .as_ref()
                .and_then(|show_in| show_in.parent_name.as_ref());
            match (table, &show_options.filter_position) {
                (Some(table), None) => columns(table, known)?,
                _ => return Err(unsupported("SHOW COLUMNS FROM table")),
            }
        }
        Statement::ExplainTable {
            describe_alias: DescribeAlias::Describe | DescribeAlias::Desc,
            hive_format: None,
            table_name,
            ..
        } => columns(table_name, known)?,
        Statement::Query(_)
        | Statement::Explain {
            describe_alias: DescribeAlias::Explain,
            analyze: _,
            verbose: false,
            query_plan: false,
            format: None,
            options: None,
            ..
        } => {
            return Ok(None);
        }
        _ => {
            return Err(unsupported(
                "SHOW TABLES, SHOW COLUMNS FROM table, DESCRIBE table and EXPLAIN query",
            ));
        }
    };
    let parsed = Parser::new(&AthenaDialect)
        .try_with_sql(&sql)
        .and_then(|mut parser| parser.parse_statement());
    parsed
        .map(Some)
        .map_err(|error| SqlError::Engine(error.to_string()))
}

fn unsupported(instead: &str) -> SqlError {
    SqlError::Invalid {
        message: format!(
            "this statement does not run on both engines: those that do are {instead}"
        ),
        position: None,
    }
}

fn tables(options: &ShowStatementOptions) -> Result<String, SqlError> {
    use datafusion::sql::sqlparser::ast::ShowStatementFilterPosition as At;
    if options.show_in.is_some() {
        return Err(unsupported("SHOW TABLES without a database"));
    }
    let pattern = match &options.filter_position {
        None => "%".to_owned(),
        Some(
            At::Suffix(ShowStatementFilter::Like(pattern))
            | At::Infix(ShowStatementFilter::Like(pattern)),
        ) => pattern.replace('\'', "''"),
        Some(_) => return Err(unsupported("SHOW TABLES LIKE 'pattern'")),
    };
    let mut names: Vec<String> = table_names().map(|name| format!("('{name}')")).collect();
    names.sort();
    let names = names.join(", ");
    Ok(format!(
        "SELECT \"table\" FROM (VALUES {names}) AS t (\"table\") WHERE \"table\" LIKE '{pattern}' ORDER BY 1"
    ))
}

fn columns(table: &ObjectName, known: &[(String, SchemaRef)]) -> Result<String, SqlError> {
    let name = last_name(table)
        .map(|name| name.value.to_lowercase())
        .unwrap_or_default();
    let Some((_, schema)) = known.iter().find(|(table, _)| *table == name) else {
        let position = last_name(table)
            .and_then(|name| Position::new(name.span.start.line, name.span.start.column));
        return Err(SqlError::UnknownTable {
            suggestions: suggestions(&name, table_names()),
            name,
            position,
        });
    };
    let ddl = TABLES
        .iter()
        .find(|(table, _)| *table == name)
        .map_or("", |(_, ddl)| ddl);
    let is_table = !ddl.is_empty();
    let rows = schema.fields().iter().enumerate().map(|(place, field)| {
        let (column, data_type) = (field.name(), field.data_type());
        let is_partition = is_table && ["year", "month", "day"].contains(&column.as_str());
        let extra = if is_partition { "partition key" } else { "" };
        let comment = comment(ddl, column);
        format!(
            "({place}, '{column}', '{}', '{extra}', '{comment}')",
            athena_type(data_type)
        )
    });
    let rows = rows.collect::<Vec<_>>().join(", ");
    Ok(format!(
        "SELECT \"column\", \"type\", \"extra\", \"comment\" FROM (VALUES {rows}) \
         AS t (place, \"column\", \"type\", \"extra\", \"comment\") ORDER BY place"
    ))
}

/// The comment of a column, with its quotes as they are in the DDL.
fn comment<'a>(ddl: &'a str, column: &str) -> &'a str {
    let start = format!("`{column}` ");
    let line = ddl
        .lines()
        .map(str::trim_start)
        .find(|line| line.starts_with(&start));
    let comment = line
        .and_then(|line| line.split_once("COMMENT '"))
        .map_or("", |(_, comment)| comment);
    comment.trim_end_matches(',').trim_end_matches('\'')
}

/// The type's name with the digits of a timestamp.
fn athena_type(data_type: &DataType) -> String {
    match data_type {
        DataType::Timestamp(..) => "timestamp(3)".to_owned(),
        other => type_name(other),
    }
}
