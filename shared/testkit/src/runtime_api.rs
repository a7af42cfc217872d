//! A Lambda Runtime API on a loopback socket: it sends events to a real bootstrap, one at a time,
//! and returns its responses.

use std::net::SocketAddr;
use std::path::Path as FilePath;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::sync::{Mutex, Notify, mpsc, oneshot};
use tokio::task::JoinHandle;

/// How long any step of a bootstrap may take.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A deadline that no test reaches: the year 2100, epoch milliseconds.
const DEADLINE_MS: &str = "4102444800000";

/// The result of an invocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answered {
    /// The handler's response.
    Response(Value),
    /// The invocation failed with an error.
    Error(Value),
}

struct Invocation {
    event: Value,
    answer: oneshot::Sender<Answered>,
}

struct Shared {
    waiting: Mutex<mpsc::Receiver<Invocation>>,
    running: Mutex<Option<oneshot::Sender<Answered>>>,
    polled: Notify,
}

/// A bootstrap with its own Runtime API. It is killed when this is dropped.
pub struct Bootstrap {
    events: mpsc::Sender<Invocation>,
    shared: Arc<Shared>,
    process: Child,
    /// Standard output and standard error, which are read all the time: a full pipe would stop the process.
    output: [JoinHandle<Vec<u8>>; 2],
}

/// Starts a bootstrap with a Runtime API, and with only these environment variables.
///
/// # Panics
/// If no socket can be opened or the program cannot be run.
#[expect(clippy::unwrap_used, reason = "a test that cannot start should fail")]
pub async fn start(program: impl AsRef<FilePath>, environment: &[(&str, &str)]) -> Bootstrap {
    let (events, waiting) = mpsc::channel(1);
    let shared = Arc::new(Shared {
        waiting: Mutex::new(waiting),
        running: Mutex::default(),
        polled: Notify::new(),
    });
    let root = "/2018-06-01/runtime";
    let router = Router::new()
        .route(&format!("{root}/invocation/next"), get(next))
        .route(
            &format!("{root}/invocation/{{id}}/{{outcome}}"),
            post(answer),
        )
        .with_state(Arc::clone(&shared));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    let mut process = command(program, address, environment).spawn().unwrap();
    let output = [
        tokio::spawn(all_of(process.stdout.take().unwrap())),
        tokio::spawn(all_of(process.stderr.take().unwrap())),
    ];
    Bootstrap {
        events,
        shared,
        process,
        output,
    }
}

async fn all_of(mut pipe: impl AsyncRead + Unpin) -> Vec<u8> {
    let mut bytes = Vec::new();
    // What was read until an error is all that there is.
    drop(pipe.read_to_end(&mut bytes).await);
    bytes
}

/// Starts a service that permanently refuses every call, and returns its endpoint. It shows how a
/// bootstrap behaves without its services, without waiting for them.
///
/// # Panics
/// If no socket can be opened.
#[expect(clippy::unwrap_used, reason = "a test that cannot start should fail")]
pub async fn refusing_service() -> String {
    let refusal = r#"{"__type":"AccessDeniedException","message":"refused by the test"}"#;
    let router = Router::new().fallback(async move || (StatusCode::BAD_REQUEST, refusal));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

fn command(
    program: impl AsRef<FilePath>,
    address: SocketAddr,
    environment: &[(&str, &str)],
) -> Command {
    let mut command = Command::new(program.as_ref());
    command
        .env_clear()
        .envs([
            ("AWS_LAMBDA_RUNTIME_API", address.to_string().as_str()),
            ("AWS_LAMBDA_FUNCTION_NAME", "under-test"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
        ])
        .envs(environment.iter().copied())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

async fn next(State(shared): State<Arc<Shared>>) -> Response {
    shared.polled.notify_one();
    let Some(invocation) = shared.waiting.lock().await.recv().await else {
        return StatusCode::GONE.into_response();
    };
    *shared.running.lock().await = Some(invocation.answer);
    let headers = [
        (
            "lambda-runtime-aws-request-id",
            "11111111-1111-4111-8111-111111111111",
        ),
        ("lambda-runtime-deadline-ms", DEADLINE_MS),
        (
            "lambda-runtime-invoked-function-arn",
            "arn:aws:lambda:us-east-1:000000000000:function:under-test",
        ),
    ];
    (headers, Json(invocation.event)).into_response()
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    Path((_, outcome)): Path<(String, String)>,
    _headers: HeaderMap,
    body: bytes::Bytes,
) -> StatusCode {
    let value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let answered = match outcome.as_str() {
        "response" => Answered::Response(value),
        _ => Answered::Error(value),
    };
    if let Some(running) = shared.running.lock().await.take() {
        // A test that no longer waits has failed already.
        drop(running.send(answered));
    }
    StatusCode::ACCEPTED
}

impl Bootstrap {
    /// Waits for the first poll: the process has started.
    ///
    /// # Panics
    /// If it does not come within a minute.
    #[expect(
        clippy::expect_used,
        reason = "a bootstrap that does not start fails the test"
    )]
    pub async fn ready(&self) {
        let polled = tokio::time::timeout(TIMEOUT, self.shared.polled.notified());
        polled.await.expect("the bootstrap does not poll");
    }

    /// Invokes the function.
    ///
    /// # Panics
    /// If there is no response within a minute.
    #[expect(
        clippy::expect_used,
        reason = "a bootstrap that does not answer fails the test"
    )]
    pub async fn invoke(&self, event: Value) -> Answered {
        let (answer, answered) = oneshot::channel();
        let invocation = Invocation { event, answer };
        let exchange = async {
            self.events.send(invocation).await.ok()?;
            answered.await.ok()
        };
        let answered = tokio::time::timeout(TIMEOUT, exchange).await;
        answered
            .ok()
            .flatten()
            .expect("the bootstrap does not answer")
    }

    /// Ends the process, and returns what it wrote to standard output and standard error: all that Lambda
    /// would keep as the function's log.
    ///
    /// # Panics
    /// If it cannot be read.
    #[expect(
        clippy::unwrap_used,
        reason = "a log that cannot be read fails the test"
    )]
    pub async fn written(mut self) -> String {
        self.process.kill().await.unwrap();
        let mut log = Vec::new();
        for output in self.output {
            log.extend(output.await.unwrap());
        }
        String::from_utf8(log).unwrap()
    }

    /// Waits for the process to end by itself, and returns its exit status and log.
    ///
    /// # Panics
    /// If it does not end within a minute.
    #[expect(
        clippy::expect_used,
        reason = "a bootstrap that does not end fails the test"
    )]
    pub async fn ended(mut self) -> (ExitStatus, String) {
        let [_, stderr] = self.output;
        let exchange = async {
            let log = String::from_utf8(stderr.await.ok()?).ok()?;
            Some((self.process.wait().await.ok()?, log))
        };
        let ended = tokio::time::timeout(TIMEOUT, exchange).await;
        ended.ok().flatten().expect("the bootstrap does not end")
    }
}
