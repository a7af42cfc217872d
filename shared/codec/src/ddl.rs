//! A table of columns as DDL for Glue and Athena (Hive's dialect).

use std::fmt::Write as _;

use crate::tick_columns::{Column, Kind, PARTITIONS};

/// The column's type in Hive's DDL.
#[must_use]
pub fn hive_type(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "string",
        Kind::Amount => "double",
        Kind::Integer | Kind::EpochMs => "bigint",
    }
}

/// The list of columns between the parentheses of `CREATE EXTERNAL TABLE`: one line per column,
/// indented by two spaces, with the meaning as its comment.
#[must_use]
pub fn column_list(columns: &[Column]) -> String {
    let mut text = String::new();
    for (index, column) in columns.iter().enumerate() {
        let comma = if index + 1 < columns.len() { "," } else { "" };
        // Writing to a String cannot fail.
        _ = writeln!(
            text,
            "  `{}` {} COMMENT '{}'{comma}",
            column.name,
            hive_type(column.kind),
            column.doc
        );
    }
    text
}

/// The list between the parentheses of `PARTITIONED BY`.
#[must_use]
pub fn partition_list() -> String {
    PARTITIONS.map(|name| format!("`{name}` int")).join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{anomaly_columns, tick_columns};

    #[test]
    fn each_column_is_a_line_with_its_type_and_meaning() {
        let list = column_list(&tick_columns::COLUMNS);
        assert_eq!(list.lines().count(), tick_columns::COLUMNS.len());
        assert!(
            list.starts_with("  `tick_id` string COMMENT 'Identity"),
            "{list}"
        );
        assert!(
            list.ends_with("or wide_confidence'\n"),
            "no comma after the last column: {list}"
        );
        assert_eq!(partition_list(), "`year` int, `month` int, `day` int");
    }

    #[test]
    fn meanings_need_no_escaping() {
        let tables = [tick_columns::COLUMNS.as_slice(), &anomaly_columns::COLUMNS];
        assert!(
            tables
                .concat()
                .iter()
                .all(|column| !column.doc.contains(['\'', '"', '\\', '\n']))
        );
    }
}
