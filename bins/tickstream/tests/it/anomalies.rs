//! Anomalies become rows of a table for `ticksql`, each once.

use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::ticks::START_MS;

use crate::archived::anomalies;
use crate::process::{Process, WAIT_TIMEOUT, start};

/// A calm price of a token, and a jump at the end.
fn jump_of(token: &str) -> String {
    let tick = |n: i64, price: String| json!({"token": token, "price": price, "timestamp": START_MS + n * 1_000, "id": n.to_string()});
    let calm = (0..600).map(|n| tick(n, format!("100.{:02}", n * 7 % 11)));
    let ticks: Vec<Value> = calm.chain([tick(601, "150".to_owned())]).collect();
    Value::from(ticks).to_string()
}

/// Waits until the files have the anomalies that the API lists, at least `count`, and returns their ids.
async fn until_written(process: &Process, folder: &TempDir, count: usize) -> Vec<String> {
    let written = async {
        loop {
            let listed = process.list("/api/anomalies", "anomalies").await;
            let mut listed: Vec<String> = listed
                .iter()
                .map(|it| it["tick_id"].as_str().unwrap().to_owned())
                .collect();
            listed.sort();
            if listed.len() >= count && anomalies(folder.path()) == listed {
                return listed;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(WAIT_TIMEOUT, written).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn anomalies_are_in_the_files_of_the_table_once() {
    let folder = TempDir::new().unwrap();
    let process = start(&folder, &["--archive-seconds", "1"]).await;
    process.deliver("ticks", jump_of("CALM")).await;
    let first = until_written(&process, &folder, 1).await;
    process.stop().await;
    let process = start(&folder, &["--archive-seconds", "1"]).await;
    process.deliver("ticks", jump_of("OTHER")).await;
    let both = until_written(&process, &folder, first.len() + 1).await;
    assert!(
        first.iter().all(|id| both.contains(id)),
        "{first:?} {both:?}"
    );
    process.stop().await;
}
