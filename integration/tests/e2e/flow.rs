//! Ticks after the webhook: live feed, analysis, archive, redrive, quarantine.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aws::dynamodb::CandleTable;
use aws::dynamodb::candle_blocks::{ReadRange, TIMEOUT};
use domain::analytics::{Candle, Interval};
use domain::{Pair, Tick, TickId};
use futures_util::{SinkExt as _, StreamExt as _};
use integration::faults::{Choice, Fault, FaultyEndpoint, Times};
use serde_json::{Value, json};
use testkit::ticks::{START_MS, tick, ticks};
use tokio_tungstenite::tungstenite::Message;

use crate::project::{Project, until};

type Socket =
    tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>;

/// A project with a share of 100 %.
pub(crate) async fn at_full() -> Project {
    let project = Project::deploy().await;
    let full = project
        .run(&["100", "--watch", "1", "--force", "a test begins here"])
        .await;
    full.ok();
    project
}

async fn watch(project: &Project, tokens: &str) -> Socket {
    let url = format!("{}{tokens}", project.output("live"));
    let (socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
    socket
}

/// Reads messages until one matches, for at most 30 s.
async fn receive(socket: &mut Socket, mut wanted: impl FnMut(&Value) -> bool) -> Value {
    let received = tokio::time::timeout(Duration::from_secs(30), async {
        loop {
            let message = socket.next().await.unwrap().unwrap();
            let Message::Text(text) = message else {
                continue;
            };
            let value: Value = serde_json::from_str(&text).unwrap();
            if wanted(&value) {
                return value;
            }
        }
    });
    received.await.expect("the message did not come")
}

fn has_tick(message: &Value, token: &str) -> bool {
    let ticks = message["ticks"].as_array();
    message["type"] == "updates"
        && ticks.is_some_and(|ticks| ticks.iter().any(|tick| tick["token"] == token))
}

#[tokio::test(flavor = "multi_thread")]
async fn ticks_reach_the_live_feed_the_analysis_and_the_archive() {
    let project = at_full().await;
    let mut everything = watch(&project, "").await;
    let mut only_b = watch(&project, "?tokens=flow-b").await;
    let sent = ticks(&["flow-a", "flow-b"], 65);
    project.deliver(&sent).await;

    // The live feed: all tokens, and one token.
    receive(&mut everything, |message| has_tick(message, "flow-a")).await;
    let received = receive(&mut only_b, |message| has_tick(message, "flow-b")).await;
    let others = received["ticks"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|tick| tick["token"] != "flow-b");
    assert_eq!(others.count(), 0, "{received}");

    // A message subscribes to another token and returns its latest tick; an invalid message gets an error.
    let mut fresh = tick("flow-now", 1);
    fresh.timestamp_ms = runtime::clock::now_ms();
    project.deliver(std::slice::from_ref(&fresh)).await;
    let subscribe = json!({"action": "subscribe", "tokens": ["flow-now"]}).to_string();
    only_b.send(Message::text(subscribe)).await.unwrap();
    let snapshot = receive(&mut only_b, |message| message["type"] == "snapshot").await;
    assert_eq!(
        snapshot["ticks"][0]["tick_id"],
        fresh.tick_id.to_string(),
        "{snapshot}"
    );
    only_b
        .send(Message::text("{\"action\":\"dance\"}"))
        .await
        .unwrap();
    receive(&mut only_b, |message| message["type"] == "error").await;

    // Candles are computed from the stream: a little more than a minute of ticks.
    until("candles are in the table", async || {
        candles(&project, "flow-a").await >= 2
    })
    .await;
    receive(&mut everything, |message| message["candles"].is_array()).await;

    // A replay does not change any counts.
    let before = project.stored().await;
    let trades = minute_trades(&project, "flow-a").await;
    project.deliver(&sent).await;
    assert_eq!(project.stored().await, before);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(
        minute_trades(&project, "flow-a").await,
        trades,
        "candles count each tick once"
    );

    // Firehose's Parquet files have every tick, with its time, price and volume.
    let folder = tempfile::tempdir().unwrap();
    until("the archive has every tick", async || {
        let archived = archived(&project, folder.path()).await;
        sent.iter().all(|tick| archived.contains_key(&tick.tick_id))
    })
    .await;
    let archived = archived(&project, folder.path()).await;
    for tick in &sent {
        assert_eq!(archived[&tick.tick_id], row_of(tick), "{tick:?}");
    }

    // A malformed entry is quarantined, and the valid one in the same delivery is processed.
    let body = r#"[{"token":"flow-c","price":"-1","timestamp":"2026-01-01T00:00:00Z"},
                   {"token":"flow-c","price":"1","timestamp":"2026-01-01T00:00:00Z"}]"#;
    let (status, answer) = project.post("ticks", body.to_owned()).await;
    assert_eq!(
        (status, &answer["stored"], &answer["rejected"]),
        (200, &json!(1), &json!(1)),
        "{answer}"
    );
    let kept = project.objects("quarantine/").await;
    assert!(
        kept.iter()
            .any(|(_, text)| String::from_utf8_lossy(text).contains("flow-c")),
        "{kept:?}"
    );

    // A record that is not a tick does not block its shard.
    poison(&project).await;
    project.deliver(&ticks(&["flow-d"], 3)).await;
    until("the shard continues after the poison", async || {
        candles(&project, "flow-d").await > 0
    })
    .await;
    until("the poison is quarantined", async || {
        let kept = project.objects("quarantine/").await;
        kept.iter()
            .any(|(_, text)| String::from_utf8_lossy(text).contains("not a tick at all"))
    })
    .await;
}

async fn poison(project: &Project) {
    let data = aws_sdk_kinesis::primitives::Blob::new("not a tick at all");
    project
        .kinesis
        .put_record()
        .stream_name(format!("{}-ticks", project.name))
        .partition_key("flow-d")
        .data(data)
        .send()
        .await
        .unwrap();
}

/// The candles of a minute that are stored of a token.
async fn stored_candles(project: &Project, token: &str) -> Vec<Candle> {
    let table = format!("{}-analytics", project.name);
    let clock = Arc::new(runtime::clock::now_ms);
    let table = CandleTable::new(&project.dynamodb, table, 30, TIMEOUT, clock);
    let day = ReadRange {
        from_ms: START_MS,
        to_ms: START_MS + 86_400_000,
        limit: 1_000,
    };
    let pair = Pair::of(&tick(token, 0));
    let read = table.candles(&pair, Interval::OneMinute, day).await;
    read.unwrap()
}

async fn candles(project: &Project, token: &str) -> usize {
    stored_candles(project, token).await.len()
}

/// The tick counts of all minutes.
pub(crate) async fn minute_trades(project: &Project, token: &str) -> u64 {
    let candles = stored_candles(project, token).await;
    candles.iter().map(|candle| candle.tick_count()).sum()
}

/// A tick's token, time, price and volume, as in the archive's columns.
type Row = (String, i64, f64, Option<f64>);

fn row_of(tick: &Tick) -> Row {
    // The nearest double to the exact text.
    let double = |text: String| text.parse::<f64>().unwrap();
    (
        tick.token.to_string(),
        tick.timestamp_ms,
        double(tick.price.to_string()),
        tick.volume.map(|volume| double(volume.to_string())),
    )
}

/// The rows in the Parquet files, read by DuckDB. The emulator writes one file per tick in the folder of
/// the arrival's day; `folder` keeps downloaded files. Repeated ticks must be equal.
async fn archived(project: &Project, folder: &Path) -> BTreeMap<TickId, Row> {
    project.fetch("price-archive/year=", folder).await;
    let tools = integration::emulator::tools().await.unwrap();
    let query = "import duckdb, glob, json, sys\n\
        files = glob.glob(sys.argv[1] + '/*')\n\
        columns = 'tick_id, token, ts, price, volume'\n\
        rows = duckdb.read_parquet(files).project(columns).fetchall() if files else []\n\
        print(json.dumps(rows))";
    let output = tokio::process::Command::new(tools.python)
        .args(["-c", query, folder.to_str().unwrap()])
        .output()
        .await
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let rows: Vec<(String, String, i64, f64, Option<f64>)> =
        serde_json::from_slice(&output.stdout).unwrap();
    let mut archived = BTreeMap::new();
    for (id, token, ts, price, volume) in rows {
        let row = (token, ts, price, volume);
        let before = archived.insert(TickId::parse(&id).unwrap(), row.clone());
        assert!(before.is_none_or(|before| before == row), "{id}: {row:?}");
    }
    archived
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_while_the_stream_is_down() {
    let project = at_full().await;
    let faulty = FaultyEndpoint::start(project.emulator).await.unwrap();
    for function in ["webhook", "redrive"] {
        let faults = ("AWS_ENDPOINT_URL_KINESIS", faulty.url_for_functions());
        project.set_variables(function, &[faults]).await;
    }
    let before = ticks(&["outage-a"], 20);
    project.post_ticks(&before).await;
    faulty
        .fail("PutRecords", Fault::Unavailable, Times::Always)
        .unwrap();
    let during = ticks(&["outage-b"], 20);
    let answer = project.post_ticks(&during).await;
    assert_eq!(answer["stored"], 20, "{answer}");
    assert_eq!(
        (&answer["streamed"], &answer["redriven"]),
        (&json!(0), &json!(20)),
        "{answer}"
    );
    assert!(
        project.depth("redrive").await > 0,
        "the redrive queue has them"
    );
    let stored = project.stored().await;
    assert!(during.iter().all(|tick| stored.contains(&tick.tick_id)));

    faulty.heal();
    let wanted: BTreeSet<TickId> = before
        .iter()
        .chain(&during)
        .map(|tick| tick.tick_id)
        .collect();
    until("the redrive queue is drained into the stream", async || {
        let streamed: BTreeSet<TickId> = project
            .streamed()
            .await
            .iter()
            .map(|tick| tick.tick_id)
            .collect();
        streamed == wanted
    })
    .await;
    until("the redrive queue is empty", async || {
        project.depth("redrive").await == 0
    })
    .await;
    assert_eq!(project.depth("redrive-dlq").await, 0);

    // Parts of requests are refused repeatedly, and a response is lost.
    faulty
        .fail(
            "PutRecords",
            Fault::Refused(Choice::Every(2)),
            Times::Next(1),
        )
        .unwrap();
    let partly = ticks(&["outage-c", "outage-d"], 20);
    let answer = project.post_ticks(&partly).await;
    assert_eq!(answer["stored"], 40, "{answer}");
    faulty.heal();
    until("the refused ticks are in the stream", async || {
        let streamed: BTreeSet<TickId> = project
            .streamed()
            .await
            .iter()
            .map(|tick| tick.tick_id)
            .collect();
        partly.iter().all(|tick| streamed.contains(&tick.tick_id))
    })
    .await;
}
