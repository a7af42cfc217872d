//! A consumer that fails is seen, and recovers.

use std::fs;

use tempfile::TempDir;

use crate::process::{start, ticks_body};

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_fails_is_in_health_status_and_metrics() {
    let folder = TempDir::new().unwrap();
    let process = start(&folder, &["--archive-seconds", "1"]).await;
    let metric = async |name: &str| {
        let metrics = process.http.get(format!("{}/metrics", process.url));
        let text = metrics.send().await.unwrap().text().await.unwrap();
        let line = text.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_whitespace().last())
            .map(str::to_owned)
    };
    let up = r#"tickstream_consumer_up{consumer="archive"}"#;
    assert_eq!(process.get("/healthz").await.0, 200);
    assert_eq!(metric(up).await.as_deref(), Some("1"));

    // A file in the place of the archive's folder.
    let table = archive::table_folder(folder.path());
    let aside = folder.path().join("aside");
    fs::rename(&table, &aside).unwrap();
    fs::write(&table, "in the way").unwrap();
    assert_eq!(process.deliver("ticks", ticks_body("BTC", 5)).await.0, 200);
    process
        .until("/api/status", |status| {
            let tasks = status["tasks"].as_array().unwrap();
            let archive = tasks.iter().find(|task| task["name"] == "archive");
            archive.is_some_and(|task| task["failing"].is_string())
        })
        .await;
    let (status, health) = process.get("/healthz").await;
    assert_eq!(status, 503);
    assert!(
        health["detail"].as_str().unwrap().contains("archive"),
        "{health}"
    );
    assert_eq!(metric(up).await.as_deref(), Some("0"));
    assert_eq!(
        metric(r#"tickstream_consumer_up{consumer="outbox"}"#)
            .await
            .as_deref(),
        Some("1")
    );

    fs::remove_file(&table).unwrap();
    fs::rename(&aside, &table).unwrap();
    process
        .until("/healthz", |health| health["status"] == "ok")
        .await;
    assert_eq!(metric(up).await.as_deref(), Some("1"));
    process.stop().await;
}
