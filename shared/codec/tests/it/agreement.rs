//! JSON, the Arrow schema, the DDL and the files in `sql/` agree with the table of columns.

use arrow::datatypes::{DataType, Schema};
use codec::json::TickJson;
use codec::tick_columns::{COLUMNS, Column, Kind, PARTITIONS, Presence};
use codec::{anomaly_batch, anomaly_columns, columnar, ddl};
use serde_json::Value;

use crate::arbitrary::{swap, ticker};

const TABLE_SQL: &str = include_str!("../../../../sql/tables/price_archive.sql");
const ANOMALIES_SQL: &str = include_str!("../../../../sql/tables/anomalies.sql");
const VIEW_SQL: &str = include_str!("../../../../sql/views/price_history.sql");

#[test]
fn json_has_the_columns_in_their_order_and_types() {
    let check = |column: &Column, value: Option<&Value>| match (column.kind, value) {
        (Kind::Text | Kind::Amount, Some(value)) => assert!(value.is_string(), "{}", column.json),
        (Kind::Integer | Kind::EpochMs, Some(value)) => assert!(value.is_i64(), "{}", column.json),
        (_, None) => assert_eq!(column.presence, Presence::Optional, "{}", column.json),
    };
    for tick in [swap(), ticker()] {
        let text = serde_json::to_string(&TickJson(&tick)).unwrap();
        let object: Value = serde_json::from_str(&text).unwrap();
        COLUMNS
            .iter()
            .for_each(|column| check(column, object.get(column.json)));
        let places: Vec<_> = COLUMNS
            .iter()
            .filter_map(|c| text.find(&format!("\"{}\":", c.json)))
            .collect();
        assert!(places.is_sorted(), "{text}");
        assert_eq!(
            places.len(),
            object.as_object().unwrap().len(),
            "a field that is not in the table"
        );
    }
}

#[test]
fn the_arrow_schemas_have_the_columns_in_their_order_and_types() {
    check_schema(&columnar::schema(), &COLUMNS);
    check_schema(&anomaly_batch::schema(), &anomaly_columns::COLUMNS);
}

fn check_schema(schema: &Schema, columns: &[Column]) {
    let seen: Vec<_> = schema
        .fields()
        .iter()
        .map(|f| (f.name().as_str(), f.is_nullable()))
        .collect();
    let table = columns.iter();
    let table: Vec<_> = table
        .map(|column| (column.name, column.presence == Presence::Optional))
        .collect();
    assert_eq!(seen, table);
    for (field, column) in schema.fields().iter().zip(columns) {
        let hive = [
            (DataType::Utf8, "string"),
            (DataType::Float64, "double"),
            (DataType::Int64, "bigint"),
        ]
        .into_iter()
        .find_map(|(arrow, hive)| (arrow == *field.data_type()).then_some(hive));
        assert_eq!(hive, Some(ddl::hive_type(column.kind)), "{}", column.name);
    }
}

#[test]
fn the_table_files_are_the_ddl() {
    check_ddl(TABLE_SQL, "price_archive", &COLUMNS);
    check_ddl(ANOMALIES_SQL, "anomalies", &anomaly_columns::COLUMNS);
}

fn check_ddl(file: &str, table: &str, columns: &[Column]) {
    let (_, from_columns) = file.split_once(&format!("{table} (\n")).unwrap();
    let list = ddl::column_list(columns);
    assert!(
        from_columns.starts_with(&format!("{list})\n")),
        "sql/tables/{table}.sql must list:\n{list}"
    );
    assert!(file.contains(&format!("\nPARTITIONED BY ({})\n", ddl::partition_list())));
    for partition in PARTITIONS {
        assert!(file.contains(&format!("'projection.{partition}.type' = 'integer'")));
        assert!(file.contains(&format!("{partition}=${{{partition}}}/")));
    }
}

#[test]
fn the_view_file_names_the_columns_as_json_does() {
    let (_, list) = VIEW_SQL.split_once("SELECT\n").unwrap();
    let (list, _) = list.split_once("\nFROM price_archive").unwrap();
    let seen: Vec<&str> = list
        .lines()
        .map(|line| line.trim().trim_end_matches(','))
        .collect();
    let column = |column: &Column| match column.name == column.json {
        true => column.name.to_owned(),
        false => format!("{} AS \"{}\"", column.name, column.json),
    };
    let expected: Vec<String> = COLUMNS
        .iter()
        .map(column)
        .chain(PARTITIONS.map(str::to_owned))
        .collect();
    assert_eq!(seen, expected);
}
