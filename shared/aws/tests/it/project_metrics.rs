//! The metrics of a project: what is asked of CloudWatch, and what its answer means.

use aws::project_metrics::CloudWatchProjectMetrics;
use aws_config::{BehaviorVersion, Region};
use aws_sdk_cloudwatch::config::Credentials;
use aws_sdk_cloudwatch::operation::get_metric_data::GetMetricDataOutput;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{MetricDataResult, StatusCode};
use aws_smithy_mocks::{MockResponseInterceptor, create_mock_http_client, mock};
use ops::ports::ProjectMetrics as _;
use ops::project_series::ProjectMetric;

/// Answers each metric whose name and resource are these with one value, as with this status.
fn client(
    name: &'static str,
    resource: &'static str,
    status: StatusCode,
) -> aws_sdk_cloudwatch::Client {
    let rule =
        mock!(aws_sdk_cloudwatch::Client::get_metric_data).then_compute_output(move |request| {
            let results = request.metric_data_queries().iter().filter_map(|query| {
                let metric = query.metric_stat().unwrap().metric().unwrap();
                let value = metric.dimensions().first().unwrap().value();
                let is_it = metric.metric_name() == Some(name) && value == Some(resource);
                is_it.then(|| {
                    MetricDataResult::builder()
                        .id(query.id().unwrap())
                        .timestamps(DateTime::from_millis(600_000))
                        .values(7.0)
                        .status_code(status.clone())
                        .build()
                })
            });
            GetMetricDataOutput::builder()
                .set_metric_data_results(Some(results.collect()))
                .build()
        });
    let config = aws_sdk_cloudwatch::Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .http_client(create_mock_http_client())
        .interceptor(MockResponseInterceptor::new().with_rule(&rule));
    aws_sdk_cloudwatch::Client::from_conf(config.build())
}

#[tokio::test]
async fn each_metric_is_asked_of_its_resource() {
    use ProjectMetric as M;
    for (metric, name, resource) in [
        (M::Received, "Received", "prices-webhook"),
        (M::StreamRecords, "IncomingRecords", "prices-ticks"),
        (
            M::ArchiveFreshness,
            "DeliveryToS3.DataFreshness",
            "prices-archive",
        ),
        (M::ServerErrors, "5xx", "api7"),
        (M::IteratorAge, "IteratorAge", "prices-analytics"),
        (
            M::RedriveDlq,
            "ApproximateNumberOfMessagesVisible",
            "prices-redrive-dlq",
        ),
        (
            M::ThrottledRecords,
            "WriteProvisionedThroughputExceeded",
            "prices-ticks",
        ),
    ] {
        let client = client(name, resource, StatusCode::Complete);
        let metrics =
            CloudWatchProjectMetrics::new(&client, "prices").with_api(Some("api7".to_owned()));
        let series = metrics.read(0, 1_000_000).await.unwrap();
        assert_eq!(series.sum(metric, 0, 1_000_000), Some(7.0), "{metric:?}");
        assert_eq!(series.sum(M::BroadcastAge, 0, 1_000_000), None);
    }
}

#[tokio::test]
async fn a_metric_that_could_not_be_read_is_not_taken_for_silence() {
    let client = client("Received", "prices-webhook", StatusCode::InternalError);
    let metrics = CloudWatchProjectMetrics::new(&client, "prices");
    let error = metrics.read(0, 1_000_000).await.unwrap_err();
    assert!(error.source.to_string().contains("Received"), "{error:?}");
}
