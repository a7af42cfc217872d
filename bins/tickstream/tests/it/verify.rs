//! The comparison of store, stream and archive, over HTTP.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::process::{Process, start, ticks_body};

/// The lines of a comparison's response.
async fn verify(process: &Process, body: Value) -> (u16, Vec<Value>) {
    let request = process.post("/api/verify", body.to_string());
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    (status, lines.collect())
}

/// Everything up to now, with nothing on its way.
fn everything() -> Value {
    let now_ms = runtime::clock::now_ms();
    json!({
        "from_ms": 0, "to_ms": now_ms,
        "due_after": {"stored_ms": 0, "streamed_ms": 0, "archived_ms": 0},
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proof_is_made_while_the_process_runs_and_kept() {
    let folder = TempDir::new().unwrap();
    let process = start(&folder, &[]).await;
    let (_, none) = process.get("/api/proof").await;
    assert_eq!(
        none,
        json!({"verdict": null, "proof": null, "proves_stage": false, "why_not_of_stage": null})
    );
    let (status, _) = process.deliver("ticks", ticks_body("BTC", 200)).await;
    assert_eq!(status, 200);
    assert_eq!(process.flush_archive().await.0, 200);
    let (status, lines) = verify(&process, everything()).await;
    assert_eq!(status, 200);
    let proof = &lines.last().unwrap()["result"];
    assert_eq!(proof["counts"]["matched"], 200, "{lines:?}");
    assert!(
        lines
            .iter()
            .rev()
            .skip(1)
            .all(|line| line["progress"]["phase"].is_string())
    );
    let (_, kept) = process.get("/api/proof").await;
    assert_eq!(kept["verdict"], "proven");
    assert_eq!(kept["proof"]["counts"], proof["counts"]);
    assert_eq!(kept["proves_stage"], true, "the share never changed");
    process.stop().await;
    let process = start(&folder, &[]).await;
    assert_eq!(
        process.get("/api/proof").await.1,
        kept,
        "it survives a restart"
    );
    let change = json!({"percentage": 50, "who": "a test", "why": "a new stage"});
    assert_eq!(process.put_rollout(change).await.0, 200);
    let after = process.get("/api/proof").await.1;
    assert_eq!(after["proves_stage"], false, "it is of the stage before");
    let why = "it has 0 s of the stage, and 10 min are needed";
    assert_eq!(after["why_not_of_stage"], why);
    process.stop().await;
}

/// The archive may be written every 15 minutes: what it will write is late, and a repair does not write it as well.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_archiver_will_write_is_not_repaired() {
    let folder = TempDir::new().unwrap();
    let process = start(&folder, &["--archive-seconds", "900"]).await;
    let (_, status) = process.get("/api/status").await;
    assert_eq!(status["archive"]["every_seconds"], 900);
    let (status, _) = process.deliver("ticks", ticks_body("BTC", 90)).await;
    assert_eq!(status, 200);
    let mut repair = everything();
    repair["repair"] = true.into();
    let (_, lines) = verify(&process, repair).await;
    let proof = &lines.last().unwrap()["result"];
    assert_eq!(proof["counts"]["archive"]["overdue"], 90, "{proof}");
    assert_eq!(proof["counts"]["archive"]["missing"], 0);
    assert_eq!(
        proof["repaired"],
        json!({"appended": 0, "left_out": 0, "archived": 0})
    );
    assert_eq!(process.get("/api/proof").await.1["verdict"], "incomplete");
    assert_eq!(process.flush_archive().await.0, 200);
    let (_, lines) = verify(&process, everything()).await;
    let counts = &lines.last().unwrap()["result"]["counts"];
    assert_eq!(
        (&counts["matched"], &counts["archive"]["repeated"]),
        (&90.into(), &0.into())
    );
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ranges_that_cannot_be_seen_are_refused_or_prove_nothing() {
    let folder = TempDir::new().unwrap();
    let process = start(&folder, &[]).await;
    let now_ms = runtime::clock::now_ms();
    for (body, expected) in [
        (
            json!({"from_ms": 0, "to_ms": now_ms + 60_000}),
            "in the future",
        ),
        (
            json!({"from_ms": now_ms, "to_ms": now_ms}),
            "the range is empty",
        ),
        (json!({"from_ms": 5}), "missing field `to_ms`"),
        (
            json!({"from_ms": 0, "to_ms": 5, "all": true}),
            "unknown field",
        ),
    ] {
        let (status, problem) = process
            .send(process.post("/api/verify", body.to_string()))
            .await;
        assert_eq!(status, 400, "{body}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(expected), "{detail}");
    }
    let (status, lines) = verify(&process, everything()).await;
    assert_eq!(status, 200);
    assert_eq!(lines.last().unwrap()["result"]["counts"]["stored"], 0);
    assert_eq!(process.get("/api/proof").await.1["verdict"], "no_ticks");
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_operators_may_compare() {
    let folder = TempDir::new().unwrap();
    let token = "operator-0123456789-0123456789-0";
    let process = start(&folder, &["--operator-token", token]).await;
    let now_ms = runtime::clock::now_ms();
    let replay = json!({"from_ms": 0, "to_ms": now_ms, "per_second_max": 1});
    for (path, body) in [
        ("/api/verify", everything()),
        ("/api/replay/stream", replay),
    ] {
        let post = || process.post(path, body.to_string());
        assert_eq!(process.send(post()).await.0, 401, "{path}");
        let response = post().bearer_auth(token).send().await.unwrap();
        assert_eq!(response.status().as_u16(), 200, "{path}");
        // To its end, so that the next one has its turn.
        response.bytes().await.unwrap();
    }
    process.stop().await;
}
