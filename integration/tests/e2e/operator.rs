//! `tickctl doctor` and `tickctl status` on a deployed project, with its SQL.

use std::collections::BTreeMap;

use integration::bootstraps;
use integration::stream_metrics;
use serde_json::Value;
use tokio::process::Command;

use crate::project::{CommandOutput, Project};
use crate::staged::alarm;

/// Runs `tickctl` as an operator of the project, who knows the webhook's address.
async fn tickctl(project: &Project, arguments: &[&str]) -> CommandOutput {
    let webhook = project.webhook("SOURCE");
    let output = Command::new(bootstraps::program("tickctl").unwrap())
        .args(arguments)
        .args(["--aws", "--project", &project.name])
        .args(["--webhook", webhook.trim_end_matches("/webhooks/SOURCE")])
        .envs(project.emulator.environment())
        .env("HOME", tempfile::tempdir().unwrap().path())
        .output()
        .await
        .unwrap();
    CommandOutput::of(&output)
}

/// The lines of `tickctl doctor` by check: the state, and the evidence.
fn checks(output: &CommandOutput) -> BTreeMap<String, (String, String)> {
    let report: Value = serde_json::from_str(&output.out).unwrap_or_else(|_| panic!("{output:?}"));
    let lines = report["checks"].as_array().unwrap();
    let text = |line: &Value, name: &str| line[name].as_str().unwrap().to_owned();
    lines
        .iter()
        .map(|line| {
            assert!(
                line["state"] == "ok" || line["advice"].is_string(),
                "{line}"
            );
            (
                text(line, "check"),
                (text(line, "state"), text(line, "evidence")),
            )
        })
        .collect()
}

#[track_caller]
fn has(found: &BTreeMap<String, (String, String)>, check: &str, state: &str, evidence: &str) {
    let (is, says) = &found[check];
    assert!(
        is == state && says.contains(evidence),
        "{check}: {found:#?}"
    );
}

/// Sixty ticks a minute that are stored, streamed, analysed and archived; the emulator writes no such metrics itself.
async fn put_metrics(project: &Project) {
    let config = project.emulator.sdk_config();
    let named = |resource: &str| format!("{}-{resource}", project.name);
    let (webhook, analytics) = (named("webhook"), named("analytics"));
    let (ticks, archive) = (named("ticks"), named("archive"));
    let of_function = aws::emf::DIMENSION;
    for (namespace, name, dimension, value) in [
        (
            aws::emf::NAMESPACE,
            "Received",
            (of_function, &webhook),
            60.0,
        ),
        (aws::emf::NAMESPACE, "Stored", (of_function, &webhook), 60.0),
        (
            aws::emf::NAMESPACE,
            "Streamed",
            (of_function, &webhook),
            60.0,
        ),
        (
            "AWS/Kinesis",
            "IncomingRecords",
            ("StreamName", &ticks),
            60.0,
        ),
        (
            "AWS/Lambda",
            "IteratorAge",
            (of_function, &analytics),
            900.0,
        ),
        (
            "AWS/Firehose",
            "DeliveryToS3.DataFreshness",
            ("DeliveryStreamName", &archive),
            250.0,
        ),
    ] {
        let (dimension, resource) = dimension;
        stream_metrics::put(&config, namespace, name, (dimension, resource), value)
            .await
            .unwrap();
    }
}

/// What cannot be seen on an emulator is not reported as well, what works is, and a broken thing is found.
pub(crate) async fn doctor_and_status_look_at_it(project: &Project) {
    let doctor = ["doctor", "--json", "--budget", "500"];
    let output = tickctl(project, &doctor).await;
    assert_eq!(output.code, 3, "{output:?}");
    let before = checks(&output);
    has(
        &before,
        "alarms",
        "not_seen",
        "an emulator evaluates none of them",
    );
    for check in [
        "stream", "archive", "lag", "ledger", "redrive", "quotas", "writes", "cost",
    ] {
        has(&before, check, "not_seen", "no metric of the project");
    }
    has(&before, "sql", "ok", "athena");
    has(&before, "versions", "ok", env!("CARGO_PKG_VERSION"));
    has(&before, "certificate", "ok", "loopback");

    put_metrics(project).await;
    let output = tickctl(project, &doctor).await;
    assert_eq!(output.code, 3, "{output:?}");
    let healthy = checks(&output);
    has(
        &healthy,
        "stream",
        "ok",
        "600 stored, 600 of them in the cohort (share 100 %), 600 streamed",
    );
    has(
        &healthy,
        "archive",
        "ok",
        "the oldest undelivered record is 4 min old",
    );
    has(&healthy, "lag", "ok", "analytics behind (0 s)");
    has(&healthy, "ledger", "ok", "difference 0");
    has(&healthy, "writes", "ok", "stored 600 of 600 entries");
    has(&healthy, "redrive", "ok", "0 ticks in the redrive queue");
    has(&healthy, "cost", "ok", "of the budget of $500");
    let unseen = healthy.iter().filter(|(_, (state, _))| state != "ok");
    let unseen: Vec<&str> = unseen.map(|(check, _)| check.as_str()).collect();
    assert_eq!(unseen, ["alarms"], "{healthy:#?}");

    alarm(project, "ALARM").await;
    let output = tickctl(project, &["doctor", "--budget", "1"]).await;
    assert_eq!(output.code, 1, "{output:?}");
    for line in [
        "failed    alarms      1 on: ",
        "failed    cost        ",
        "do: `aws cloudwatch describe-alarms",
    ] {
        assert!(output.out.contains(line), "{line}\n{}", output.out);
    }
    let malformed = r#"[{"token":"BTC","price":"-1","timestamp":"2026-01-01T00:00:00Z"}]"#;
    let (_, answer) = project.post("ticks", malformed.to_owned()).await;
    assert_eq!(answer["rejected"], 1, "{answer}");
    let bucket = project.archive_bucket().await;
    let screen = tickctl(project, &["status", "--bucket", &bucket])
        .await
        .ok();
    println!("{screen}");
    for line in [
        format!("project   {}", project.name),
        "rollout   100 %; seen: 100.00 % of 600 new ticks in 600 s".to_owned(),
        "rate      1.0 ticks/s".to_owned(),
        "alarms    1 on: ".to_owned(),
        "a test begins here".to_owned(),
        "reasons   in the last hour: ".to_owned(),
        "invalid_price".to_owned(),
    ] {
        assert!(screen.contains(&line), "{line}\n{screen}");
    }
    alarm(project, "OK").await;
}
