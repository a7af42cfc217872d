//! `TicksTable`: a table of ticks that was restored to a point in time, in place of the data stack's.

use crate::stack::{Resource, Stack, stack};

const RESTORED: &str = "prices-ticks-restored";

fn texts(resources: &[Resource]) -> String {
    let texts = resources.iter().map(|one| one.properties.to_string());
    texts.collect::<Vec<_>>().join("\n")
}

/// The descriptions of the alarms about a throttled table.
fn throttle_descriptions(given: &[(&str, &str)]) -> String {
    let alarms = stack("alarms.yaml", given);
    let descriptions = alarms.all("AWS::CloudWatch::Alarm");
    descriptions
        .iter()
        .filter_map(|alarm| alarm.find("/AlarmDescription")?.as_str())
        .filter(|text| text.contains("DynamoDB refuses"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// What the functions and their permissions say about the table, and what the alarms do.
fn tables(given: &[(&str, &str)]) -> (String, Vec<String>) {
    let service: Stack = stack("service.yaml", given);
    let functions = service.all("AWS::Lambda::Function");
    let roles = service.all("AWS::IAM::Role");
    let watched = stack("alarms.yaml", given)
        .all("AWS::CloudWatch::Alarm")
        .iter()
        .filter_map(|alarm| alarm.find("/Dimensions")?.as_array().cloned())
        .flatten()
        .filter(|dimension| dimension["Name"] == "TableName")
        .map(|dimension| dimension["Value"].as_str().unwrap().to_owned())
        .collect();
    (texts(&functions) + &texts(&roles), watched)
}

#[test]
fn functions_permissions_and_alarms_use_a_restored_table() {
    let (own, watched) = tables(&[]);
    let uses = |text: &str, table: &str| {
        let variables = text.matches(&format!(r#""TICKS_TABLE":"{table}""#)).count();
        let grants = text.matches(&format!(r#":table/{table}""#)).count();
        (variables, grants)
    };
    assert_eq!(uses(&own, "prices-ticks"), (2, 2));
    assert_eq!(
        watched
            .iter()
            .filter(|name| *name == "prices-ticks")
            .count(),
        3
    );

    let (restored, watched) = tables(&[("TicksTable", RESTORED)]);
    assert_eq!(uses(&restored, RESTORED), (2, 2));
    assert_eq!(uses(&restored, "prices-ticks"), (0, 0));
    assert_eq!(watched.iter().filter(|name| *name == RESTORED).count(), 3);
    assert!(!watched.iter().any(|name| name == "prices-ticks"));
    let own = throttle_descriptions(&[]);
    let restored_table = throttle_descriptions(&[("TicksTable", RESTORED)]);
    assert_eq!(restored_table, own.replace("prices-ticks", RESTORED));
    assert_eq!(
        restored_table.matches(RESTORED).count(),
        4,
        "{restored_table}"
    );
    let dashboards = stack("alarms-math.yaml", &[("TicksTable", RESTORED)]);
    let dashboards = texts(&dashboards.all("AWS::CloudWatch::Dashboard"));
    // Refused writes, and its consumed units.
    assert_eq!(dashboards.matches(RESTORED).count(), 3, "{dashboards}");
    let stream = r#""STREAM_NAME":"prices-ticks""#;
    assert!(restored.contains(stream), "the stream stays the same");
}
