//! Wiring: the ports on AWS, and the handler in the Lambda runtime.

use std::sync::Arc;
use std::time::Duration;

use app::ports::Clock;
use app::redrive::Redrive;
use aws::emf::InvocationMetrics;
use aws::kinesis::KinesisStream;
use aws::s3::S3Quarantine;
use aws::{client, clients};

use crate::config::Config;
use crate::handler::Redriver;

/// How long appending a batch is retried: no caller waits for it, and refused ticks are delivered
/// again only after the queue's visibility timeout. The function's own timeout must be longer.
const APPEND_TIMEOUT: Duration = Duration::from_secs(10);

/// Serves events until Lambda ends the process.
///
/// # Errors
/// When the Lambda Runtime API fails.
pub async fn run(config: Config) -> anyhow::Result<()> {
    let sdk = client::config(client::BATCH).await;
    let stream = KinesisStream::new(&clients::kinesis(&sdk), config.stream_name, APPEND_TIMEOUT);
    let clock: Arc<dyn Clock> = Arc::new(runtime::clock::now_ms);
    let redriver = Redriver {
        redrive: Redrive {
            stream: Arc::new(stream),
        },
        quarantine: Arc::new(S3Quarantine::new(&clients::s3(&sdk), config.archive_bucket)),
        metrics: Arc::new(InvocationMetrics::new(
            std::io::stdout(),
            Arc::clone(&clock),
            config.function_name,
        )),
        clock,
    };
    runtime::lambda::serve(async |event| redriver.handle(event).await).await
}
