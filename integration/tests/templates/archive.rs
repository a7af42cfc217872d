//! The archive: Glue, Firehose and Athena have the same columns as the codec.

use codec::ddl::hive_type;
use codec::tick_columns::{COLUMNS, PARTITIONS};
use serde_json::{Value, json};

use crate::stack::stack;

#[test]
fn glue_has_the_columns_of_the_codec() {
    let table = stack("data.yaml", &[]).one("ArchiveTable");
    let columns: Vec<Value> = COLUMNS
        .iter()
        .map(|column| {
            json!({"Name": column.name, "Type": hive_type(column.kind), "Comment": column.doc})
        })
        .collect();
    assert_eq!(
        table.at("/TableInput/StorageDescriptor/Columns"),
        &json!(columns)
    );
    let partitions: Vec<Value> = PARTITIONS
        .iter()
        .map(|name| json!({"Name": name, "Type": "int"}))
        .collect();
    assert_eq!(table.at("/TableInput/PartitionKeys"), &json!(partitions));
}

/// The properties at the end of the DDL, as pairs.
fn table_properties(ddl: &str) -> Vec<(&str, &str)> {
    let (_, properties) = ddl.split_once("TBLPROPERTIES").unwrap();
    let lines = properties.lines().filter_map(|line| line.split_once(" = "));
    lines
        .map(|(key, value)| (key.trim(), value.trim_end_matches(',')))
        .map(|(key, value)| (key.trim_matches('\''), value.trim_matches('\'')))
        .collect()
}

#[test]
fn glue_has_the_properties_of_the_ddl() {
    let ddl = include_str!("../../../sql/tables/price_archive.sql");
    let table = stack("data.yaml", &[]).one("ArchiveTable");
    let archive = "s3://ref:ArchiveBucket/price-archive/";
    assert_eq!(
        table.text("/TableInput/StorageDescriptor/Location"),
        archive
    );
    let properties = table_properties(ddl);
    assert!(properties.len() >= 10, "{properties:?}");
    for (key, value) in properties {
        assert_eq!(
            table.at("/TableInput/Parameters")[key],
            value.replace("{archive}", archive),
            "{key}"
        );
    }
}

#[test]
fn glue_reads_parquet() {
    let table = stack("data.yaml", &[]).one("ArchiveTable");
    let storage = "/TableInput/StorageDescriptor";
    for (property, ending) in [
        ("InputFormat", "MapredParquetInputFormat"),
        ("OutputFormat", "MapredParquetOutputFormat"),
        ("SerdeInfo/SerializationLibrary", "ParquetHiveSerDe"),
    ] {
        let class = table.text(&format!("{storage}/{property}"));
        assert!(class.ends_with(ending), "{class}");
    }
}

const S3: &str = "/ExtendedS3DestinationConfiguration";

#[test]
fn firehose_converts_by_glues_schema() {
    let delivery = stack("data.yaml", &[]).one("ArchiveDelivery");
    let at = |pointer: &str| delivery.at(&format!("{S3}{pointer}"));
    assert_eq!(
        delivery.text("/KinesisStreamSourceConfiguration/KinesisStreamARN"),
        "att:TicksStream.Arn"
    );
    let conversion = at("/DataFormatConversionConfiguration");
    assert_eq!(conversion["Enabled"], true);
    let schema = &conversion["SchemaConfiguration"];
    assert_eq!(schema["DatabaseName"], "ref:ArchiveDatabase");
    assert_eq!(schema["TableName"], "ref:ArchiveTable");
    let renamed: serde_json::Map<String, Value> = COLUMNS
        .iter()
        .filter(|column| column.name != column.json)
        .map(|column| (column.name.to_owned(), json!(column.json)))
        .collect();
    assert_eq!(
        conversion["InputFormatConfiguration"]["Deserializer"]["OpenXJsonSerDe"]["ColumnToJsonKeyMappings"],
        Value::Object(renamed)
    );
    assert_eq!(
        conversion["OutputFormatConfiguration"]["Serializer"],
        json!({"ParquetSerDe": {"Compression": "SNAPPY"}})
    );
    // Firehose refuses anything else together with a conversion.
    assert_eq!(at("/CompressionFormat"), "UNCOMPRESSED");
    assert_eq!(
        at("/BufferingHints"),
        &json!({"SizeInMBs": 128, "IntervalInSeconds": 300})
    );
    assert_eq!(at("/CloudWatchLoggingOptions/Enabled"), true);
}

/// The folders in a prefix, without the expressions in braces.
fn folders(prefix: &str) -> Vec<&str> {
    prefix
        .trim_end_matches('/')
        .split('/')
        .map(|folder| folder.split_once("=!{").map_or(folder, |(name, _)| name))
        .collect()
}

#[test]
fn files_are_in_partition_folders_in_both_modes() {
    for mode in ["event", "arrival"] {
        let delivery = stack("data.yaml", &[("ArchiveDay", mode)]).one("ArchiveDelivery");
        let prefix = delivery.text(&format!("{S3}/Prefix"));
        let mut expected = vec!["price-archive"];
        expected.extend(PARTITIONS);
        assert_eq!(folders(prefix), expected, "{mode}");
        assert!(prefix.ends_with('/'), "{prefix}");
        let errors = delivery.text(&format!("{S3}/ErrorOutputPrefix"));
        assert!(
            errors.starts_with("price-archive-errors/!{firehose:error-output-type}/"),
            "queries must not read {errors}"
        );
    }
}

#[test]
fn the_event_day_is_computed_from_the_event_time() {
    let delivery = stack("data.yaml", &[]).one("ArchiveDelivery");
    assert_eq!(
        delivery.at(&format!("{S3}/DynamicPartitioningConfiguration/Enabled")),
        true
    );
    let prefix = delivery.text(&format!("{S3}/Prefix"));
    for name in PARTITIONS {
        assert!(
            prefix.contains(&format!("{name}=!{{partitionKeyFromQuery:{name}}}/")),
            "{prefix}"
        );
    }
}

#[test]
fn the_arrival_day_needs_no_dynamic_partitioning() {
    let delivery = stack("data.yaml", &[("ArchiveDay", "arrival")]).one("ArchiveDelivery");
    for absent in [
        "DynamicPartitioningConfiguration",
        "ProcessingConfiguration",
    ] {
        assert!(
            delivery.find(&format!("{S3}/{absent}")).is_none(),
            "{absent}"
        );
    }
}

#[test]
fn a_query_that_scans_too_much_is_cancelled() {
    let group = stack("data.yaml", &[("AthenaScanLimitBytes", "50000000")]).one("QueryWorkGroup");
    let settings = group.at("/WorkGroupConfiguration");
    assert_eq!(settings["BytesScannedCutoffPerQuery"], 50_000_000);
    // Otherwise a client's settings override the workgroup's, including the location for results.
    assert_eq!(settings["EnforceWorkGroupConfiguration"], true);
    assert_eq!(
        settings["ResultConfiguration"]["OutputLocation"],
        "s3://ref:ArchiveBucket/athena-results/"
    );
}
