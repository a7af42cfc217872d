//! The rollout: the cohort is exact, and changes take effect at once, are remembered and have an author.

use domain::{Percentage, cohort_bucket};
use serde_json::json;
use tempfile::TempDir;

use crate::process::{start, ticks_body};

#[tokio::test(flavor = "multi_thread")]
async fn each_stage_streams_its_cohort_exactly() {
    let folder = TempDir::new().unwrap();
    let process = start(
        &folder,
        &["--use-kinesis", "true", "--kinesis-percentage", "0"],
    )
    .await;
    for stage in ["0", "1", "10", "50", "100", "0"] {
        let (status, answer) = process
            .put_rollout(json!({"percentage": stage, "who": "ann", "why": "ramp"}))
            .await;
        assert_eq!(
            (status, &answer["percentage"]),
            (200, &json!(stage.parse::<f64>().unwrap()))
        );
        let token = format!(
            "T{}-{}",
            stage,
            process.get("/api/ledger").await.1["stored"]
        );
        let (_, answer) = process.deliver("ticks", ticks_body(&token, 2_000)).await;
        let share: Percentage = stage.parse().unwrap();
        let ticks = process
            .list(&format!("/api/ticks/{token}?limit=10000"), "ticks")
            .await;
        let cohort = ticks
            .iter()
            .filter(|tick| share.admits(cohort_bucket(tick["tick_id"].as_str().unwrap())));
        assert_eq!(answer["streamed"], cohort.count(), "{stage} %: {answer}");
        assert_eq!(answer["stored"], 2_000);
    }
    let (_, ledger) = process.get("/api/ledger").await;
    assert_eq!(
        (&ledger["difference"], &ledger["stored"]),
        (&json!(0), &json!(12_000))
    );
    assert_eq!(ledger["stream_records"], ledger["in_cohort"]);
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_remembered_with_who_and_why() {
    let folder = TempDir::new().unwrap();
    let arguments = ["--kinesis-percentage", "10"];
    let process = start(&folder, &arguments).await;
    assert_eq!(process.get("/api/rollout").await.1["percentage"], 10.0);
    for change in [
        json!({"percentage": 50}),
        json!({"percentage": 50, "who": "", "why": "x"}),
        json!({"percentage": 50, "who": "ann", "why": " "}),
        json!({"percentage": "ten", "who": "ann", "why": "x"}),
        json!({"percentage": 100.5, "who": "ann", "why": "x"}),
        json!({"percentage": 0.001, "who": "ann", "why": "x"}),
        json!({"use_kinesis": "false", "who": "ann", "why": "x"}),
        json!({"percent": 5, "who": "ann", "why": "x"}),
        json!({"who": "ann", "why": "x"}),
    ] {
        let (status, answer) = process.put_rollout(change.clone()).await;
        assert_eq!(status, 400, "{change}: {answer}");
    }
    assert_eq!(
        process.get("/api/rollout").await.1["percentage"],
        10.0,
        "a refused change has no effect"
    );
    process
        .put_rollout(json!({"percentage": 50, "who": "ann", "why": "half"}))
        .await;
    process.stop().await;

    let process = start(&folder, &arguments).await;
    let (_, rollout) = process.get("/api/rollout").await;
    assert_eq!(
        rollout["percentage"], 50.0,
        "a remembered change wins over the configuration"
    );
    assert_eq!(
        (&rollout["history"][0]["who"], &rollout["history"][0]["why"]),
        (&json!("ann"), &json!("half"))
    );
    process.stop().await;

    let process = start(&folder, &["--use-kinesis", "false"]).await;
    let (_, rollout) = process.get("/api/rollout").await;
    assert_eq!(
        (&rollout["use_kinesis"], &rollout["history"][0]["who"]),
        (&json!(false), &json!("environment")),
        "off always wins"
    );
    for change in [
        json!({"percentage": 10, "who": "ann", "why": "again"}),
        json!({"use_kinesis": true, "who": "ann", "why": "again"}),
    ] {
        let (status, answer) = process.put_rollout(change.clone()).await;
        assert_eq!(status, 409, "{change}: {answer}");
        let detail = answer["detail"].as_str().unwrap();
        assert!(detail.contains("USE_KINESIS=false"), "{answer}");
    }
    let quieter = json!({"use_kinesis": false, "percentage": 1, "who": "ann", "why": "calm"});
    assert_eq!(process.put_rollout(quieter).await.0, 200);
    let (_, answer) = process.deliver("ticks", ticks_body("OFF", 10)).await;
    assert_eq!(
        (&answer["stored"], &answer["in_cohort"], &answer["streamed"]),
        (&json!(10), &json!(0), &json!(0))
    );
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn by_token_all_ticks_of_a_token_are_in_or_out() {
    let folder = TempDir::new().unwrap();
    let process = start(
        &folder,
        &[
            "--kinesis-percentage",
            "50",
            "--kinesis-rollout-key",
            "token",
        ],
    )
    .await;
    let half: Percentage = "50".parse().unwrap();
    for n in 0..10 {
        let token = format!("TOKEN{n}");
        let (_, answer) = process.deliver("ticks", ticks_body(&token, 20)).await;
        let expected = if half.admits(cohort_bucket(&token)) {
            20
        } else {
            0
        };
        assert_eq!(answer["streamed"], expected, "{token}");
    }
    process.stop().await;
}
