//! The program itself.

use broadcast::config::Config;
use runtime::lambda::Settings;
use serde_json::json;
use testkit::runtime_api::{self, Answered};
use testkit::ticks::tick;

use crate::{batch, body, socket};

const PROGRAM: &str = env!("CARGO_BIN_EXE_broadcast");

const ENVIRONMENT: [(&str, &str); 4] = [
    ("CONNECTIONS_TABLE", "tickstream-connections"),
    ("TICKS_TABLE", "tickstream-ticks"),
    ("LIVE_CALLBACK_URL", "http://127.0.0.1:9/live"),
    // Nobody listens on this port, so every call fails at once.
    ("AWS_ENDPOINT_URL", "http://127.0.0.1:9"),
];

#[tokio::test]
async fn the_program_handles_both_shapes_of_event() {
    let bootstrap = runtime_api::start(PROGRAM, &ENVIRONMENT).await;
    bootstrap.ready().await;
    let answered = bootstrap.invoke(batch(&[body(&tick("A", 1))])).await;
    let Answered::Error(error) = answered else {
        panic!("{answered:?}");
    };
    let message = error["errorMessage"].as_str().unwrap();
    assert!(
        message.starts_with("a batch of 1 messages was not sent"),
        "{message}"
    );
    let refused = bootstrap
        .invoke(socket("c", "CONNECT", Some("a b"), None))
        .await;
    let Answered::Response(refused) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(refused["statusCode"], 400);
    let Answered::Error(error) = bootstrap.invoke(json!({})).await else {
        panic!("an event of an unknown shape was accepted");
    };
    assert_eq!(error["errorType"], "EventError");
}

#[tokio::test]
async fn an_invalid_value_ends_the_start() {
    let mut environment = ENVIRONMENT.to_vec();
    environment.push(("CONNECTION_TTL_SECONDS", "soon"));
    let (status, log) = runtime_api::start(PROGRAM, &environment)
        .await
        .ended()
        .await;
    assert_eq!(status.code(), Some(2), "{log}");
    assert!(
        log.contains("'soon'") && log.contains("CONNECTION_TTL_SECONDS"),
        "{log}"
    );
}

#[test]
fn the_environment_lists_the_variables_of_the_template() {
    assert_eq!(
        Config::environment(),
        [
            "CONNECTIONS_TABLE",
            "CONNECTION_TTL_SECONDS",
            "LIVE_CALLBACK_URL",
            "LOG",
            "TICKS_TABLE",
        ]
    );
}
