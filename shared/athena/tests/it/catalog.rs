//! Workgroup, database, tables, and the archive's folder.

use athena::catalog::{NewWorkgroup, Table, WorkgroupSettings};
use athena::error::AthenaError;
use athena::folder::{Files, Location};
use chrono::NaiveDate;
use serde_json::json;

use super::answers::{refused, s3_refusal, xml};
use super::{always, athena};
use aws_client::scripted_http::{Answer, Call, Wire};

#[tokio::test]
async fn a_workgroup_is_found_or_missing() {
    let found = always(Answer::Good(json!({"WorkGroup": {
        "Name": "tickstream",
        "State": "ENABLED",
        "Configuration": {
            "BytesScannedCutoffPerQuery": 10_737_418_240_u64,
            "EngineVersion": {"EffectiveEngineVersion": "Athena engine version 3"},
            "ResultConfiguration": {"OutputLocation": "s3://b/athena-results/"},
        },
    }})));
    let group = athena(&found).find_workgroup().await.unwrap().unwrap();
    assert!(group.is_enabled);
    let expected = WorkgroupSettings {
        results: Some("s3://b/athena-results/".to_owned()),
        engine: Some("Athena engine version 3".to_owned()),
        scan_bytes_max: Some(10_737_418_240),
    };
    assert_eq!(group.settings, Some(expected));

    let odd = always(Answer::Good(json!({"WorkGroup": {
        "Name": "tickstream",
        "Configuration": {"BytesScannedCutoffPerQuery": "10737418240"},
    }})));
    let group = athena(&odd).find_workgroup().await.unwrap().unwrap();
    assert_eq!(
        group.settings, None,
        "it exists, even if its settings cannot be read"
    );
    let none = always(refused(
        "InvalidRequestException",
        "WorkGroup tickstream is not found.",
    ));
    assert_eq!(athena(&none).find_workgroup().await.unwrap(), None);
    let denied = always(refused("AccessDeniedException", "no"));
    assert!(athena(&denied).find_workgroup().await.is_err());
}

#[tokio::test]
async fn a_new_workgroup_enforces_its_settings() {
    let wire = always(Answer::Good(json!({})));
    let group = NewWorkgroup {
        description: "SQL on the archive".to_owned(),
        results: "s3://b/athena-results/".to_owned(),
        scan_bytes_max: 10_737_418_240,
    };
    athena(&wire).create_workgroup(&group).await.unwrap();
    let [call] = &wire.calls()[..] else { panic!() };
    assert_eq!(call.operation, "CreateWorkGroup");
    assert_eq!(
        call.body,
        json!({
            "Name": "tickstream",
            "Description": "SQL on the archive",
            "Configuration": {
                "EnforceWorkGroupConfiguration": true,
                "PublishCloudWatchMetricsEnabled": true,
                "BytesScannedCutoffPerQuery": 10_737_418_240_u64,
                "EngineVersion": {"SelectedEngineVersion": "Athena engine version 3"},
                "ResultConfiguration": {
                    "OutputLocation": "s3://b/athena-results/",
                    "EncryptionConfiguration": {"EncryptionOption": "SSE_S3"},
                },
            },
        })
    );
}

#[tokio::test]
async fn a_missing_database_is_distinguished_from_a_denied_one() {
    let there = always(Answer::Good(json!({"Database": {"Name": "prices"}})));
    assert!(athena(&there).has_database().await.unwrap());
    let absent = always(refused(
        "MetadataException",
        "Database prices not found. (Service: AWSGlue; Error Code: EntityNotFoundException)",
    ));
    assert!(!athena(&absent).has_database().await.unwrap());
    let hidden = always(refused(
        "MetadataException",
        "User: arn:aws:iam::1:user/ana is not authorized to perform: glue:GetDatabase on \
         resource: arn:aws:glue:us-east-1:1:catalog (Error Code: AccessDeniedException)",
    ));
    let error = athena(&hidden).has_database().await.unwrap_err();
    assert!(error.to_string().contains("glue:GetDatabase"), "{error}");
}

fn metadata(parameters: serde_json::Value) -> Answer {
    Answer::Good(json!({"TableMetadata": {
        "Name": "price_archive",
        "TableType": "EXTERNAL_TABLE",
        "Columns": [{"Name": "ts", "Type": "bigint"}],
        "PartitionKeys": [{"Name": "year", "Type": "int"}],
        "Parameters": parameters,
    }}))
}

#[tokio::test]
async fn a_table_has_columns_and_the_location_of_its_files() {
    for parameters in [
        json!({"location": "s3://b/price-archive"}),
        json!({"location": "s3://b/price-archive/"}),
        json!({"storage.location.template":
               "s3://b/price-archive/year=${year}/month=${month}/day=${day}/"}),
    ] {
        let wire = always(metadata(parameters));
        let table = athena(&wire).find_table("price_archive").await.unwrap();
        let expected = Table {
            name: "price_archive".to_owned(),
            is_view: false,
            columns: [("ts", "bigint"), ("year", "int")]
                .map(|(name, kind)| (name.to_owned(), kind.to_owned()))
                .to_vec(),
            location: Location::parse("s3://b/price-archive/"),
        };
        assert_eq!(table, Some(expected));
        assert_eq!(
            wire.calls()[0].body,
            json!({"CatalogName": "AwsDataCatalog", "DatabaseName": "prices",
                   "TableName": "price_archive"})
        );
    }
    let absent = always(refused("MetadataException", "EntityNotFoundException: no"));
    let none = athena(&absent).find_table("price_archive").await.unwrap();
    assert_eq!(none, None);
}

#[tokio::test]
async fn tables_and_views_are_listed_by_name() {
    let wire = Wire::new(|_, call: &Call| match call.body.get("NextToken") {
        None => Answer::Good(json!({
            "TableMetadataList": [{"Name": "ticks", "TableType": "VIRTUAL_VIEW",
                                   "Columns": [{"Name": "time", "Type": "timestamp"}]}],
            "NextToken": "more",
        })),
        Some(_) => Answer::Good(json!({
            "TableMetadataList": [{"Name": "price_archive", "TableType": "EXTERNAL_TABLE"}],
        })),
    });
    let tables = athena(&wire).tables().await.unwrap();
    let names: Vec<(&str, bool)> = tables
        .iter()
        .map(|table| (table.name.as_str(), table.is_view))
        .collect();
    assert_eq!(names, [("price_archive", false), ("ticks", true)]);
}

/// A listing of folders, or of objects and their sizes.
fn listing(folders: &[&str], objects: &[(&str, u64)]) -> Answer {
    let folders = folders
        .iter()
        .map(|prefix| format!("<CommonPrefixes><Prefix>{prefix}</Prefix></CommonPrefixes>"));
    let objects = objects
        .iter()
        .map(|(key, bytes)| format!("<Contents><Key>{key}</Key><Size>{bytes}</Size></Contents>"));
    let all: String = folders.chain(objects).collect();
    xml(
        200,
        &format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult>\
             <IsTruncated>false</IsTruncated>{all}</ListBucketResult>"
        ),
    )
}

fn day(year: i32, month: u32, day: u32) -> NaiveDate {
    NaiveDate::from_ymd_opt(year, month, day).unwrap()
}

#[tokio::test]
async fn the_archives_days_and_their_sizes_are_listed() {
    const ROOT: &str = "price-archive/";
    let wire = Wire::new(|_, call: &Call| {
        let path = call.path.replace("%2F", "/").replace("%3D", "=");
        let prefix = path
            .split(['?', '&'])
            .find_map(|part| part.strip_prefix("prefix="))
            .unwrap()
            .to_owned();
        let below = |names: &[&str]| {
            let folder = prefix.rsplit_once('/').unwrap().0;
            let folders: Vec<String> = names
                .iter()
                .map(|name| format!("{folder}/{name}/"))
                .collect();
            let folders: Vec<&str> = folders.iter().map(String::as_str).collect();
            listing(&folders, &[])
        };
        match prefix.strip_prefix(ROOT).unwrap() {
            "year=" => below(&["year=2026", "year=2025", "year=x"]),
            "year=2025/month=" => below(&["month=12"]),
            "year=2026/month=" => below(&["month=01"]),
            "year=2025/month=12/day=" => below(&["day=31"]),
            "year=2026/month=01/day=" => below(&["day=01", "day=02", "day=32"]),
            "year=2026/month=01/day=01/" => listing(
                &[],
                &[
                    ("price-archive/year=2026/month=01/day=01/a.parquet", 100),
                    ("price-archive/year=2026/month=01/day=01/b.parquet", 23),
                    (
                        "price-archive/year=2026/month=01/day=01/_compaction.json",
                        9,
                    ),
                ],
            ),
            "year=2030/month=01/day=01/" => listing(&[], &[]),
            other => panic!("{other}"),
        }
    });
    let location = Location::parse("s3://b/price-archive").unwrap();
    let folder = athena(&wire).folder(location);
    assert_eq!(folder.location().to_string(), "s3://b/price-archive/");
    assert_eq!(
        folder.days().await.unwrap(),
        [day(2025, 12, 31), day(2026, 1, 1), day(2026, 1, 2)]
    );
    let files = folder
        .files(&[day(2026, 1, 1), day(2030, 1, 1)])
        .await
        .unwrap();
    assert_eq!(
        files,
        [
            Files {
                count: 2,
                bytes: 123
            },
            Files::default()
        ]
    );
}

#[tokio::test]
async fn a_bucket_that_may_not_be_listed_names_the_missing_permission() {
    let wire = always(s3_refusal(403, "AccessDenied"));
    let location = Location::parse("s3://b/price-archive/").unwrap();
    let error = athena(&wire).folder(location).days().await.unwrap_err();
    assert!(matches!(error, AthenaError::Denied { .. }), "{error:?}");
    assert!(error.to_string().contains("s3:ListBucket on b"), "{error}");
}
