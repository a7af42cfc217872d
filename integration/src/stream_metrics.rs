//! Metrics of the last minutes, put into the emulator's CloudWatch, which has none by itself: those that the scaler reads,
//! and any other.

use anyhow::Context as _;
use aws_config::SdkConfig;
use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{Dimension, MetricDatum};

/// More minutes than the scaler looks at before it removes shards.
const MINUTES: i64 = 20;

const MINUTE_MS: i64 = 60_000;

/// Records of a minute that fill a shard.
const RECORDS_PER_SHARD: f64 = 60_000.0;

/// Adds so much traffic to each of the last minutes of a stream, in shards that it fills. CloudWatch's sums only grow.
///
/// # Errors
///
/// The emulator refuses.
pub async fn add_traffic(
    config: &SdkConfig,
    stream: &str,
    shards_filled: f64,
) -> anyhow::Result<()> {
    let records = shards_filled * RECORDS_PER_SHARD;
    let of = ("StreamName", stream);
    put(config, "AWS/Kinesis", "IncomingRecords", of, records).await
}

/// Sets the open shards of the last minutes, as the scaler of this name would have written them.
///
/// # Errors
///
/// The emulator refuses.
pub async fn set_open_shards(
    config: &SdkConfig,
    function_name: &str,
    open: u32,
) -> anyhow::Result<()> {
    let of = (aws::emf::DIMENSION, function_name);
    let name = aws::emf::OPEN_SHARDS;
    put(config, aws::emf::NAMESPACE, name, of, f64::from(open)).await
}

/// Adds a value to each of the last minutes of a metric.
///
/// # Errors
///
/// The emulator refuses.
pub async fn put(
    config: &SdkConfig,
    namespace: &str,
    name: &str,
    (dimension, value): (&str, &str),
    of_minute: f64,
) -> anyhow::Result<()> {
    let now_ms = runtime::clock::now_ms();
    let minutes = (0..MINUTES).map(|back| {
        MetricDatum::builder()
            .metric_name(name)
            .dimensions(Dimension::builder().name(dimension).value(value).build())
            .timestamp(DateTime::from_millis(now_ms - back * MINUTE_MS))
            .value(of_minute)
            .build()
    });
    let put = Client::new(config).put_metric_data().namespace(namespace);
    let put = put.set_metric_data(Some(minutes.collect())).send().await;
    put.with_context(|| format!("cannot put {name}"))?;
    Ok(())
}
