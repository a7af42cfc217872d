//! Secrets in a parameter that changes while the process lives, by the test's clock.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws::clients;
use aws::emf::InvocationMetrics;
use aws::ssm::live::LiveParameters;
use aws_client::scripted_http::{Answer, Wire};
use axum::http::HeaderValue;
use serde_json::json;
use testkit::written::Written;
use tokio::time::{Instant, advance};
use webhook::auth::{ActiveSecrets as _, SecretsTooOld};
use webhook::parameter_secrets::{FRESH_SECONDS, HELD_SECONDS, ParameterSecrets, SECRETS_INTERVAL};

const NAME: &str = "/tickstream/webhook-secrets";

const OLD: &str = "old-secret-12345";
const NEW: &str = "new-secret-12345";

/// What SSM answers.
#[derive(Clone)]
enum Parameter {
    Holds(&'static str),
    Missing,
    Fails(Answer),
}

/// A process, and the parameter that it reads.
struct Process {
    parameter: Arc<Mutex<Parameter>>,
    wire: Wire,
    written: Written,
    secrets: ParameterSecrets,
}

impl Process {
    async fn start() -> Self {
        let parameter = Arc::new(Mutex::new(Parameter::Holds(OLD)));
        let answers = Arc::clone(&parameter);
        let wire = Wire::new(move |_, _| match answers.lock().unwrap().clone() {
            Parameter::Holds(value) => Answer::Good(json!({
                "Parameters": [{"Name": NAME, "Value": value, "Version": 1}],
            })),
            Parameter::Missing => {
                Answer::Good(json!({"Parameters": [], "InvalidParameters": [NAME]}))
            }
            Parameter::Fails(answer) => answer,
        });
        let client = clients::ssm(&wire.config());
        let parameters = LiveParameters::start(&client, &[(NAME, SECRETS_INTERVAL)]).await;
        let parameters = Arc::new(parameters.unwrap());
        let written = Written::default();
        let clock = Arc::new(|| 1_767_225_600_000);
        let metrics = InvocationMetrics::new(written.clone(), clock, "prices-webhook");
        let secrets = ParameterSecrets::new(parameters, NAME, metrics);
        Self {
            parameter,
            wire,
            written,
            secrets: secrets.await.unwrap(),
        }
    }

    fn set(&self, parameter: Parameter) {
        *self.parameter.lock().unwrap() = parameter;
    }

    /// Whether a delivery with this secret is accepted now.
    async fn accepts(&self, secret: &'static str) -> Result<bool, SecretsTooOld> {
        let secrets = self.secrets.current().await?;
        Ok(secrets.is_echo(Some(&HeaderValue::from_static(secret))))
    }

    /// Deliveries that were judged by stale secrets, or refused.
    fn stale(&self) -> usize {
        let lines = self.written.json_lines();
        assert!(lines.iter().all(|line| line["StaleSecrets"] == 1));
        lines.len()
    }
}

/// The second in which the old secret is refused first, with a delivery each so many seconds.
async fn dead_after(seconds_between: u64) -> u64 {
    let process = Process::start().await;
    process.set(Parameter::Holds(NEW));
    let began = Instant::now();
    while process.accepts(OLD).await.unwrap() {
        assert!(!process.accepts(NEW).await.unwrap());
        advance(Duration::from_secs(seconds_between)).await;
    }
    assert!(process.accepts(NEW).await.unwrap());
    assert_eq!(process.stale(), 0);
    began.elapsed().as_secs()
}

#[tokio::test(start_paused = true)]
async fn a_leaked_secret_is_dead_within_a_minute_without_a_restart() {
    for (seconds_between, dead) in [(1, 30), (7, 35), (29, 58), (61, 61), (3_600, 3_600)] {
        // The last two are the first deliveries after a pause: Lambda had frozen the process.
        assert_eq!(dead_after(seconds_between).await, dead);
    }
}

#[tokio::test(start_paused = true)]
async fn both_secrets_are_accepted_while_one_replaces_the_other() {
    let process = Process::start().await;
    process.set(Parameter::Holds("old-secret-12345,new-secret-12345"));
    advance(Duration::from_secs(FRESH_SECONDS)).await;
    assert!(process.accepts(OLD).await.unwrap() && process.accepts(NEW).await.unwrap());
    process.set(Parameter::Holds(NEW));
    advance(Duration::from_secs(FRESH_SECONDS)).await;
    assert!(!process.accepts(OLD).await.unwrap() && process.accepts(NEW).await.unwrap());
}

/// With a delivery a second, and SSM in trouble from the first second on.
#[tokio::test(start_paused = true)]
async fn the_last_secrets_hold_for_15_minutes_if_there_are_no_newer_ones() {
    for trouble in [
        Parameter::Fails(Answer::Refusal(500, "InternalServerError")),
        Parameter::Fails(Answer::Refusal(400, "ThrottlingException")),
        Parameter::Fails(Answer::Refusal(400, "AccessDeniedException")),
        Parameter::Missing,
        Parameter::Holds(" "),
        Parameter::Holds("too-short"),
    ] {
        let process = Process::start().await;
        process.set(trouble);
        let mut refused_from = None;
        for second in 0..=HELD_SECONDS + 60 {
            match process.accepts(OLD).await {
                Ok(accepted) => assert!(accepted && refused_from.is_none(), "{second}"),
                Err(error) => {
                    assert_eq!((error.seconds, error.max), (second, HELD_SECONDS));
                    refused_from = refused_from.or(Some(second));
                }
            }
            // One line a delivery, from the first that is judged by stale secrets on.
            if second % 50 == 0 {
                let stale = second.saturating_sub(FRESH_SECONDS);
                assert_eq!(u64::try_from(process.stale()).unwrap(), stale, "{second}");
            }
            advance(Duration::from_secs(1)).await;
        }
        assert_eq!(refused_from, Some(HELD_SECONDS + 1));
        // It is retried each 2.5 to 5 s, and not with each delivery.
        let calls = process.wire.calls().len();
        assert!(calls < 400, "{calls}");
        // It ends by itself.
        process.set(Parameter::Holds(NEW));
        advance(SECRETS_INTERVAL).await;
        assert_eq!(process.accepts(NEW).await, Ok(true));
        assert_eq!(process.accepts(OLD).await, Ok(false));
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_silent_keeps_no_delivery_waiting_for_long() {
    let process = Process::start().await;
    process.set(Parameter::Fails(Answer::Silence));
    advance(Duration::from_secs(120)).await;
    let began = Instant::now();
    assert_eq!(process.accepts(OLD).await, Ok(true));
    assert!(began.elapsed() <= Duration::from_millis(602));
    // The next one does not wait.
    let began = Instant::now();
    assert_eq!(process.accepts(OLD).await, Ok(true));
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert_eq!(process.stale(), 2);
}
