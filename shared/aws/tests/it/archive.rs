//! The objects of an archive: requests to S3, and how responses are handled.

use app::objects::{Condition, Objects, Replaced};
use aws::archive::S3Objects;
use aws_config::{BehaviorVersion, Region};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::Credentials;
use aws_sdk_s3::operation::copy_object::CopyObjectOutput;
use aws_sdk_s3::operation::delete_objects::DeleteObjectsOutput;
use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use aws_sdk_s3::operation::put_object::PutObjectOutput;
use aws_sdk_s3::types::Object;
use aws_smithy_mocks::{MockResponseInterceptor, Rule, RuleMode, create_mock_http_client, mock};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_types::body::SdkBody;

fn objects(rules: &[&Rule]) -> S3Objects {
    let mut answers = MockResponseInterceptor::new().rule_mode(RuleMode::MatchAny);
    for rule in rules {
        answers = answers.with_rule(rule);
    }
    let client = Client::from_conf(
        aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .http_client(create_mock_http_client())
            .interceptor(answers)
            .build(),
    );
    S3Objects::new(&client, "bucket", "price-archive/")
}

fn refusal(status: u16, code: &'static str) -> impl Fn() -> HttpResponse + Send + Sync + 'static {
    move || {
        let body = format!("<Error><Code>{code}</Code><Message>why</Message></Error>");
        HttpResponse::new(status.try_into().unwrap(), SdkBody::from(body))
    }
}

#[tokio::test]
async fn a_listing_is_read_in_pages_without_folder_markers() {
    let object = |key: &str| Object::builder().key(key).size(7).e_tag("\"v\"").build();
    let page = |token: Option<&'static str>| {
        mock!(Client::list_objects_v2).match_requests(move |request| {
            request.bucket() == Some("bucket")
                && request.prefix() == Some("price-archive/year=2026/")
                && request.continuation_token() == token
        })
    };
    let first = page(None).then_output(move || {
        ListObjectsV2Output::builder()
            .contents(object("price-archive/year=2026/b.parquet"))
            .contents(object("price-archive/year=2026/"))
            .is_truncated(true)
            .next_continuation_token("more")
            .build()
    });
    let second = page(Some("more")).then_output(move || {
        ListObjectsV2Output::builder()
            .contents(object("price-archive/year=2026/a.parquet"))
            .build()
    });
    let listed = objects(&[&first, &second])
        .list("year=2026/")
        .await
        .unwrap();
    let found: Vec<_> = listed
        .iter()
        .map(|object| (object.name.as_str(), object.bytes, object.version.as_str()))
        .collect();
    assert_eq!(
        found,
        [
            ("year=2026/a.parquet", 7, "\"v\""),
            ("year=2026/b.parquet", 7, "\"v\"")
        ]
    );
}

#[tokio::test]
async fn a_condition_is_sent_and_its_failure_is_not_an_error() {
    let absent = mock!(Client::put_object)
        .match_requests(|request| {
            request.if_none_match() == Some("*") && request.if_match().is_none()
        })
        .then_output(|| PutObjectOutput::builder().e_tag("\"1\"").build());
    let is = mock!(Client::put_object)
        .match_requests(|request| request.if_match() == Some("\"1\""))
        .then_output(|| PutObjectOutput::builder().e_tag("\"2\"").build());
    let always = mock!(Client::put_object)
        .match_requests(|request| request.if_none_match().is_none() && request.if_match().is_none())
        .then_output(|| PutObjectOutput::builder().e_tag("\"3\"").build());
    let archive = objects(&[&absent, &is, &always]);
    let replaced = archive.replace("m", b"x".to_vec(), Condition::Absent).await;
    assert_eq!(replaced.unwrap(), Replaced::Done("\"1\"".to_owned()));
    let replaced = archive
        .replace("m", b"x".to_vec(), Condition::Is("\"1\""))
        .await;
    assert_eq!(replaced.unwrap(), Replaced::Done("\"2\"".to_owned()));
    let replaced = archive.replace("m", b"x".to_vec(), Condition::Always).await;
    assert_eq!(replaced.unwrap(), Replaced::Done("\"3\"".to_owned()));

    for (status, code) in [
        (412, "PreconditionFailed"),
        (409, "ConditionalRequestConflict"),
        (404, "NoSuchKey"),
    ] {
        let refused = mock!(Client::put_object).then_http_response(refusal(status, code));
        let replaced = objects(&[&refused])
            .replace("m", vec![], Condition::Is("\"0\""))
            .await;
        assert_eq!(replaced.unwrap(), Replaced::Changed, "{code}");
    }
    let denied = mock!(Client::put_object).then_http_response(refusal(403, "AccessDenied"));
    let error = objects(&[&denied])
        .replace("m", vec![], Condition::Absent)
        .await
        .unwrap_err();
    assert!(!error.retryable);
    assert!(
        error.source.to_string().starts_with("AccessDenied"),
        "{}",
        error.source
    );
}

#[tokio::test]
async fn a_missing_object_is_none_and_a_missing_bucket_is_an_error() {
    let folder = std::env::temp_dir();
    let missing = mock!(Client::get_object).then_http_response(refusal(404, "NoSuchKey"));
    assert_eq!(objects(&[&missing]).read("m").await.unwrap(), None);
    let missing = mock!(Client::get_object).then_http_response(refusal(404, "NoSuchKey"));
    let never = folder.join("never-written");
    assert!(!objects(&[&missing]).fetch("m", &never).await.unwrap());
    assert!(!never.exists());
    let missing = mock!(Client::copy_object).then_http_response(refusal(404, "NoSuchKey"));
    assert!(!objects(&[&missing]).copy("m", "n").await.unwrap());
    let bucket = mock!(Client::get_object).then_http_response(refusal(404, "NoSuchBucket"));
    assert!(objects(&[&bucket]).read("m").await.is_err());
}

#[tokio::test]
async fn the_source_of_a_copy_is_escaped() {
    let copied = mock!(Client::copy_object)
        .match_requests(|request| {
            request.copy_source() == Some("bucket/price-archive/year%3D2026/_next-a.parquet")
                && request.key() == Some("price-archive/year=2026/a.parquet")
        })
        .then_output(|| CopyObjectOutput::builder().build());
    let archive = objects(&[&copied]);
    let done = archive.copy("year=2026/_next-a.parquet", "year=2026/a.parquet");
    assert!(done.await.unwrap());
}

#[tokio::test]
async fn objects_are_deleted_a_thousand_per_request_and_each_result_is_checked() {
    let deleted = mock!(Client::delete_objects)
        .match_requests(|request| {
            request
                .delete()
                .is_some_and(|delete| delete.objects().len() <= 1_000)
        })
        .then_output(|| DeleteObjectsOutput::builder().build());
    let names: Vec<String> = (0..2_001).map(|n| n.to_string()).collect();
    objects(&[&deleted]).delete(&names).await.unwrap();
    assert_eq!(deleted.num_calls(), 3);

    let left = mock!(Client::delete_objects).then_output(|| {
        let error = aws_sdk_s3::types::Error::builder()
            .key("price-archive/7")
            .code("AccessDenied")
            .message("why")
            .build();
        DeleteObjectsOutput::builder().errors(error).build()
    });
    let error = objects(&[&left]).delete(&names[..3]).await.unwrap_err();
    assert_eq!(
        error.source.to_string(),
        "price-archive/7: AccessDenied: why"
    );
}
