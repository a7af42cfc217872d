//! The function with connections in memory, and its bootstrap with a fake Runtime API.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod bootstrap;
mod units;

use std::sync::Arc;

use app::live::{AnomalyJson, AveragesJson, CandleJson, Fanout};
use app::ports::Topic;
use broadcast::handler::Broadcast;
use domain::analytics::{AnalysisConfig, Candle, Interval, PairState, SeriesKind};
use domain::{Tick, Token, aliases};
use serde_json::{Value, json};
use testkit::live::{Behaviour, Connections};
use testkit::ticks::{tick, ticks};

struct Scene {
    connections: Arc<Connections>,
    broadcast: Broadcast,
}

impl Scene {
    fn new() -> Self {
        let connections = Arc::new(Connections::default());
        let port = || Arc::clone(&connections);
        let fanout = Fanout::new(port(), port(), port());
        let broadcast = Broadcast { fanout };
        Self {
            connections,
            broadcast,
        }
    }

    async fn handle(&self, event: Value) -> Value {
        let answer = self.broadcast.handle(event).await.unwrap();
        serde_json::to_value(answer).unwrap()
    }

    async fn say(&self, connection: &str, body: &str) -> Vec<Value> {
        let before = self.messages(connection).len();
        let answer = self
            .handle(socket(connection, "MESSAGE", None, Some(body)))
            .await;
        assert_eq!(answer, json!({"statusCode": 200}));
        self.messages(connection).split_off(before)
    }

    fn messages(&self, connection: &str) -> Vec<Value> {
        let messages = self.connections.messages(connection);
        messages
            .iter()
            .map(|message| serde_json::from_str(message).unwrap())
            .collect()
    }
}

fn topic(name: &str) -> Topic {
    Topic::Token(Token::new(name).unwrap())
}

fn body(tick: &Tick) -> String {
    let mut json = Vec::new();
    codec::json::write_json(tick, &mut json);
    String::from_utf8(json).unwrap()
}

fn batch(bodies: &[String]) -> Value {
    let message = |(at, body): (usize, &String)| json!({"messageId": format!("m-{at}"), "body": body, "eventSource": "aws:sqs"});
    let records: Vec<Value> = bodies.iter().enumerate().map(message).collect();
    json!({"Records": records})
}

/// An event of the WebSocket API, with its real fields.
fn socket(connection: &str, kind: &str, tokens: Option<&str>, body: Option<&str>) -> Value {
    let route = match kind {
        "CONNECT" => "$connect",
        "DISCONNECT" => "$disconnect",
        _ => "$default",
    };
    json!({
        "requestContext": {
            "routeKey": route, "eventType": kind, "connectionId": connection,
            "extendedRequestId": "e", "requestId": "r", "apiId": "a", "stage": "live",
            "domainName": "a.execute-api.us-east-1.amazonaws.com", "messageDirection": "IN",
            "connectedAt": 1_767_225_600_000_i64, "requestTimeEpoch": 1_767_225_600_001_i64,
            "identity": {"sourceIp": "192.0.2.1"},
        },
        "queryStringParameters": tokens.map(|tokens| json!({"tokens": tokens})),
        "body": body,
        "isBase64Encoded": false,
    })
}

#[tokio::test(start_paused = true)]
async fn a_batch_of_the_queue_goes_to_its_subscribers() {
    let scene = Scene::new();
    scene.connections.watch("all", &[Topic::All]);
    scene.connections.watch("b", &[topic("B")]);
    let mut bodies: Vec<String> = ticks(&["A", "B"], 5).iter().map(body).collect();
    bodies.push("not a message of ours".to_owned());
    bodies.push(r#"{"type":"news","news":[]}"#.to_owned());
    let answer = scene.handle(batch(&bodies)).await;
    assert_eq!(answer, json!(null));
    let all = scene.messages("all");
    assert_eq!(all.len(), 1);
    assert_eq!(all[0]["type"], "updates");
    assert_eq!(all[0]["counts"]["ticks"], 10);
    assert_eq!(all[0]["ticks"].as_array().unwrap().len(), 2);
    assert_eq!(
        all[0]["ticks"][0]["tick_id"],
        tick("A", 4).tick_id.to_string()
    );
    assert_eq!(scene.messages("b")[0]["ticks"].as_array().unwrap().len(), 1);
}

/// Results as the analytics function queues them.
fn result<T: serde::Serialize>(kind: &str, rows: &[T]) -> String {
    // Not with `json!`, which may sort the fields of the rows.
    let rows = serde_json::to_string(rows).unwrap();
    format!(r#"{{"type":"{kind}","{kind}":{rows}}}"#)
}

fn of_trades(candle: &Candle) -> CandleJson<'_> {
    CandleJson::of(candle, SeriesKind::Trades, None).unwrap()
}

#[tokio::test(start_paused = true)]
async fn results_are_forwarded_unchanged_and_the_later_one_wins_in_any_order() {
    let scene = Scene::new();
    scene.connections.watch("a", &[topic("A")]);
    let mut state = PairState::new(Token::new("A").unwrap(), Token::new("USD").unwrap());
    let mut candles = Vec::new();
    let mut averages = Vec::new();
    for made in ticks(&["A"], 3) {
        let effects = state.apply(&made, &AnalysisConfig::default());
        assert!(effects.corrections.is_empty());
        let minute = state
            .open_candles()
            .find(|candle| candle.interval == Interval::OneMinute);
        candles.push(minute.unwrap().clone());
        averages.extend(state.averages());
    }
    let mut revised = candles[2].clone();
    revised.revision = 1;
    let other = Candle::of(&tick("B", 1), Interval::OneMinute);
    let bodies = [
        result("candles", &[of_trades(&revised), of_trades(&other)]),
        result("candles", &[of_trades(&candles[2])]),
        result("candles", &[of_trades(&candles[0])]),
        result(
            "averages",
            &AveragesJson::rows(&averages[2]).collect::<Vec<_>>(),
        ),
        result(
            "averages",
            &AveragesJson::rows(&averages[1]).collect::<Vec<_>>(),
        ),
    ];
    scene.handle(batch(&bodies)).await;
    let messages = scene.messages("a");
    assert_eq!(messages.len(), 1, "one message for all kinds");
    let candle = serde_json::to_value(of_trades(&revised)).unwrap();
    assert_eq!(messages[0]["candles"], json!([candle]));
    // Compares the text, since parsing and writing could change a double.
    let message = &scene.connections.messages("a")[0];
    let rows: Vec<_> = AveragesJson::rows(&averages[2]).collect();
    assert_eq!(
        messages[0]["averages"].as_array().unwrap().len(),
        rows.len()
    );
    for row in rows {
        let row = serde_json::to_string(&row).unwrap();
        assert!(message.contains(&row), "{row} in {message}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_anomaly_that_is_queued_twice_is_sent_once() {
    let scene = Scene::new();
    scene.connections.watch("all", &[Topic::All]);
    let anomaly = testkit::anomalies::jump_at(&tick("A", 7));
    let body = result("anomalies", &[AnomalyJson::of(&anomaly)]);
    scene.handle(batch(&[body.clone(), body])).await;
    let messages = scene.messages("all");
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0]["anomalies"].as_array().unwrap().len(), 1);
    assert_eq!(
        messages[0]["anomalies"][0]["message"],
        "rose 5.0 % in 1.0 s, from 9.5905 to 10.07"
    );

    // The same id and time in another pair is another anomaly.
    let other = domain::analytics::Anomaly {
        token: tick("B", 7).token,
        ..anomaly.clone()
    };
    let queued = [&anomaly, &other].map(|it| result("anomalies", &[AnomalyJson::of(it)]));
    scene.handle(batch(&queued)).await;
    let messages = scene.messages("all");
    let tokens: Vec<_> = messages[1..]
        .iter()
        .flat_map(|message| message["anomalies"].as_array().unwrap())
        .map(|it| it["token"].as_str().unwrap())
        .collect();
    assert_eq!(tokens, ["A", "B"]);
}

#[tokio::test(start_paused = true)]
async fn a_failing_connection_does_not_fail_the_batch_but_a_failing_table_does() {
    let scene = Scene::new();
    for (name, behaviour) in [
        ("fails", Behaviour::Fails),
        ("gone", Behaviour::Gone),
        ("throttled", Behaviour::Throttled(99)),
        ("hangs", Behaviour::Hangs),
    ] {
        scene.connections.watch(name, &[Topic::All]);
        scene.connections.behave(name, behaviour);
    }
    let bodies = [body(&tick("A", 1)), body(&tick("A", 2))];
    assert_eq!(scene.handle(batch(&bodies)).await, json!(null));
    assert_eq!(scene.connections.topics("gone"), None);
    scene.connections.set_down(true);
    let error = scene.broadcast.handle(batch(&bodies)).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "a batch of 2 messages was not sent and will be delivered again"
    );
}

#[tokio::test]
async fn a_connection_subscribes_to_the_tokens_of_its_query() {
    let scene = Scene::new();
    let connect = async |name, tokens| scene.handle(socket(name, "CONNECT", tokens, None)).await;
    let ok = json!({"statusCode": 200});
    assert_eq!(connect("some", Some("BTC,sol")).await, ok);
    assert_eq!(
        scene.connections.topics("some").unwrap(),
        [topic("BTC"), topic(aliases::SOL_MINT)]
    );
    assert_eq!(connect("all", None).await, ok);
    assert_eq!(scene.connections.topics("all").unwrap(), [Topic::All]);
    let refused = connect("bad", Some("BTC,,ETH")).await;
    assert_eq!(refused["statusCode"], 400);
    let why: Value = serde_json::from_str(refused["body"].as_str().unwrap()).unwrap();
    assert!(
        why["message"]
            .as_str()
            .unwrap()
            .starts_with("token 2 is not a valid name"),
        "{why}"
    );
    let many = vec!["A"; 201].join(",");
    assert_eq!(connect("many", Some(&many)).await["statusCode"], 400);
    assert_eq!(scene.connections.topics("bad"), None);
    assert!(
        scene.messages("some").is_empty(),
        "nothing can be sent while it is being established"
    );
    scene.connections.set_down(true);
    assert_eq!(connect("late", None).await["statusCode"], 503);
}

#[tokio::test]
async fn a_connection_that_ends_is_forgotten() {
    let scene = Scene::new();
    scene.connections.watch("c", &[Topic::All]);
    let ended = socket("c", "DISCONNECT", None, None);
    assert_eq!(scene.handle(ended).await, json!({"statusCode": 200}));
    assert_eq!(scene.connections.topics("c"), None);
}

#[tokio::test]
async fn a_client_subscribes_and_gets_the_latest_values() {
    let scene = Scene::new();
    scene
        .connections
        .set_latest(vec![tick("A", 5), tick("B", 6)]);
    let messages = scene
        .say("c", r#"{"action":"subscribe","tokens":["A","X"]}"#)
        .await;
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0]["type"], "snapshot");
    assert_eq!(messages[0]["missed"], 0);
    assert_eq!(messages[0]["ticks"].as_array().unwrap().len(), 1);
    assert_eq!(
        scene.connections.topics("c").unwrap(),
        [topic("A"), topic("X")]
    );

    let messages = scene
        .say("c", r#"{"action":"unsubscribe","tokens":["X"]}"#)
        .await;
    assert_eq!(messages, [json!({"type": "unsubscribed", "tokens": ["X"]})]);
    assert_eq!(scene.connections.topics("c").unwrap(), [topic("A")]);

    let messages = scene
        .say("c", r#"{"action":"snapshot","tokens":["B"]}"#)
        .await;
    assert_eq!(messages[0]["ticks"][0]["token"], "B");
    assert_eq!(scene.connections.topics("c").unwrap(), [topic("A")]);

    let messages = scene.say("c", r#"{"action":"subscribe"}"#).await;
    assert_eq!(
        messages,
        [json!({"type": "snapshot", "ticks": [], "missed": 0})]
    );
    assert_eq!(
        scene.connections.topics("c").unwrap(),
        [Topic::All, topic("A")]
    );

    scene.say("c", r#"{"action":"unsubscribe"}"#).await;
    assert_eq!(scene.connections.topics("c"), None);
}

#[tokio::test]
async fn an_invalid_request_gets_an_error_message() {
    let scene = Scene::new();
    for body in [
        "hello",
        r#"{"action":"subscribe","tokens":["a b"]}"#,
        r#"{"action":"fly"}"#,
    ] {
        let messages = scene.say("c", body).await;
        assert_eq!(messages.len(), 1, "{body}");
        assert_eq!(messages[0]["type"], "error", "{body}");
    }
    assert_eq!(scene.connections.topics("c"), None);
    scene.connections.set_down(true);
    let messages = scene.say("c", r#"{"action":"subscribe"}"#).await;
    assert_eq!(messages[0]["message"], "not done: try again in a second");
}

#[tokio::test]
async fn another_event_is_an_error_of_the_invocation() {
    let scene = Scene::new();
    let refused = scene
        .broadcast
        .handle(json!({"hello": 1}))
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("neither"), "{refused}");
}
