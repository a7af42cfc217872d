//! The objects of an archive in a bucket.

use app::objects::{Condition, Objects};
use aws::archive::S3Objects;
use integration::emulator;

#[tokio::test]
async fn a_bucket_keeps_the_contract_of_objects() {
    let emulator = emulator::start().await.unwrap();
    let client = emulator.s3();
    let bucket = format!("{}-archive", emulator.unique_project());
    client.create_bucket().bucket(&bucket).send().await.unwrap();
    let scratch = tempfile::tempdir().unwrap();
    for prefix in ["price-archive/", ""] {
        let objects = S3Objects::new(&client, &bucket, prefix);
        testkit::contract::objects(&objects, scratch.path()).await;
        assert_eq!(objects.place(), format!("s3://{bucket}/{prefix}"));
    }
}

#[tokio::test]
async fn a_prefix_excludes_objects_outside_of_it() {
    let emulator = emulator::start().await.unwrap();
    let client = emulator.s3();
    let bucket = format!("{}-archive", emulator.unique_project());
    client.create_bucket().bucket(&bucket).send().await.unwrap();
    let whole = S3Objects::new(&client, &bucket, "");
    for name in ["price-archive/a", "price-archive-errors/b", "quarantine/c"] {
        let content = b"x".to_vec();
        whole
            .replace(name, content, Condition::Absent)
            .await
            .unwrap();
    }
    let archive = S3Objects::new(&client, &bucket, "price-archive/");
    let listed = archive.list("").await.unwrap();
    let names: Vec<&str> = listed.iter().map(|object| object.name.as_str()).collect();
    assert_eq!(names, ["a"]);
}

#[tokio::test]
async fn a_bucket_that_does_not_exist_is_named_in_the_error() {
    let emulator = emulator::start().await.unwrap();
    let bucket = format!("{}-no", emulator.unique_project());
    let objects = S3Objects::new(&emulator.s3(), bucket, "");
    let error = objects.list("").await.unwrap_err();
    assert!(!error.retryable);
    assert!(
        error.source.to_string().contains("NoSuchBucket"),
        "{}",
        error.source
    );
}
