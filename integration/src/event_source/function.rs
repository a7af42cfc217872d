//! The functions that the event source invokes, such as a real bootstrap.

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;
use testkit::runtime_api::{self, Answered, Bootstrap};
use tokio::sync::Mutex;

use super::answer::Answer;

/// A function that the event source invokes.
#[async_trait]
pub trait Function: Send + Sync {
    /// Its ARN in failure records.
    fn arn(&self) -> &str;

    /// Invokes it once. A failure is also an [`Answer`].
    async fn invoke(&self, event: Value) -> Answer;
}

/// A bootstrap with a fake Runtime API, kept warm between invocations. If it does not respond
/// within its timeout, it is killed, and the next invocation starts a new one, as in Lambda.
pub struct BootstrapFunction {
    arn: String,
    program: PathBuf,
    environment: Vec<(String, String)>,
    timeout: Duration,
    running: Mutex<Option<Bootstrap>>,
}

impl BootstrapFunction {
    /// A function of this name, whose process gets these variables and those of every Lambda
    /// function.
    #[must_use]
    pub fn new(
        name: &str,
        program: impl Into<PathBuf>,
        environment: &[(&str, &str)],
        timeout: Duration,
    ) -> Self {
        Self {
            arn: format!("arn:aws:lambda:us-east-1:000000000000:function:{name}"),
            program: program.into(),
            environment: environment
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            timeout,
            running: Mutex::const_new(None),
        }
    }

    /// Ends the process, so the next invocation is a cold start.
    pub async fn cool_down(&self) {
        self.running.lock().await.take();
    }
}

#[async_trait]
impl Function for BootstrapFunction {
    fn arn(&self) -> &str {
        &self.arn
    }

    async fn invoke(&self, event: Value) -> Answer {
        let mut running = self.running.lock().await;
        let bootstrap = match running.take() {
            Some(bootstrap) => bootstrap,
            None => {
                let environment: Vec<(&str, &str)> = self
                    .environment
                    .iter()
                    .map(|(name, value)| (name.as_str(), value.as_str()))
                    .collect();
                runtime_api::start(&self.program, &environment).await
            }
        };
        match tokio::time::timeout(self.timeout, bootstrap.invoke(event)).await {
            Ok(answered) => {
                *running = Some(bootstrap);
                match answered {
                    Answered::Response(value) => Answer::Returned(value),
                    Answered::Error(value) => Answer::Raised(value.to_string()),
                }
            }
            // Dropping the bootstrap kills it.
            Err(_) => Answer::Raised(format!("timed out after {} ms", self.timeout.as_millis())),
        }
    }
}
