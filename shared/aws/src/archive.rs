//! The objects of an archive in an S3 bucket.

use std::path::Path;
use std::time::Duration;

use app::objects::{Condition, Object, Objects, Replaced};
use app::ports::PortError;
use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use tokio::fs::File;
use tokio::io::AsyncWriteExt as _;

use crate::error::port_error;

/// The most objects per delete request; S3's own limit.
const DELETES_PER_REQUEST_MAX: usize = 1_000;

/// How long one transfer of an object may take: enough for 512 MiB over a slow connection.
const TRANSFER_TIME_MAX: Duration = Duration::from_secs(15 * 60);

/// S3's error codes for a condition that does not hold, or that a concurrent writer violated.
const CHANGED_CODES: [&str; 2] = ["PreconditionFailed", "ConditionalRequestConflict"];

/// S3's error codes for a missing object.
const ABSENT_CODES: [&str; 2] = ["NoSuchKey", "NotFound"];

/// An archive under a prefix of a bucket.
#[derive(Debug, Clone)]
pub struct S3Objects {
    client: Client,
    bucket: String,
    /// Empty, or ending with a slash.
    prefix: String,
}

/// The text is not a location on S3.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a location on S3: use s3://BUCKET/PREFIX, such as \
         s3://my-archive/price-archive/"
)]
pub struct PlaceError(String);

impl S3Objects {
    /// The archive at `s3://bucket/prefix`, with timeouts for large objects.
    ///
    /// # Errors
    /// [`PlaceError`].
    pub fn at(config: &SdkConfig, place: &str) -> Result<Self, PlaceError> {
        let (bucket, prefix) = parse(place).ok_or_else(|| PlaceError(place.to_owned()))?;
        let patient = config
            .timeout_config()
            .cloned()
            .unwrap_or_else(TimeoutConfig::disabled);
        let patient = patient
            .to_builder()
            .operation_attempt_timeout(TRANSFER_TIME_MAX)
            .operation_timeout(2 * TRANSFER_TIME_MAX)
            .build();
        let config = config.to_builder().timeout_config(patient).build();
        Ok(Self::new(&crate::clients::s3(&config), bucket, prefix))
    }

    /// The archive in a bucket. The prefix is empty, or ends with a slash.
    #[must_use]
    pub fn new(client: &Client, bucket: impl Into<String>, prefix: impl Into<String>) -> Self {
        Self {
            client: client.clone(),
            bucket: bucket.into(),
            prefix: prefix.into(),
        }
    }

    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }
}

fn parse(place: &str) -> Option<(&str, String)> {
    let (bucket, prefix) = match place.strip_prefix("s3://")?.split_once('/') {
        Some((bucket, prefix)) => (bucket, prefix.trim_end_matches('/')),
        None => (place.strip_prefix("s3://")?, ""),
    };
    let prefix = match prefix {
        "" => String::new(),
        prefix => format!("{prefix}/"),
    };
    (!bucket.is_empty()).then_some((bucket, prefix))
}

/// Whether the service refused with one of these codes. HEAD and some compatible services only
/// report the status.
fn refused<E>(error: &SdkError<E>, codes: &[&str], status: u16) -> bool
where
    E: ProvideErrorMetadata,
{
    let SdkError::ServiceError(answer) = error else {
        return false;
    };
    match answer.err().code() {
        Some(code) => codes.contains(&code),
        None => answer.raw().status().as_u16() == status,
    }
}

#[async_trait]
impl Objects for S3Objects {
    fn place(&self) -> String {
        format!("s3://{}/{}", self.bucket, self.prefix)
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Object>, PortError> {
        let mut pages = self
            .client
            .list_objects_v2()
            .bucket(&self.bucket)
            .prefix(self.key(prefix))
            .into_paginator()
            .send();
        let mut objects = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| port_error("list the archive", &error))?;
            for object in page.contents() {
                let name = object.key().and_then(|key| key.strip_prefix(&self.prefix));
                // Consoles create empty objects as folders.
                let Some(name) = name.filter(|name| !name.is_empty() && !name.ends_with('/'))
                else {
                    continue;
                };
                objects.push(Object {
                    name: name.to_owned(),
                    bytes: object.size().and_then(|b| b.try_into().ok()).unwrap_or(0),
                    version: object.e_tag().unwrap_or_default().to_owned(),
                });
            }
        }
        objects.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(objects)
    }

    async fn folders(&self, of: &str) -> Result<Vec<String>, PortError> {
        let mut pages = self
            .client
            .list_objects_v2()
            .bucket(&self.bucket)
            .prefix(self.key(of))
            // Keys with the same text up to the next slash count as one.
            // <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html>
            .delimiter("/")
            .into_paginator()
            .send();
        let mut folders = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| port_error("list the archive", &error))?;
            let prefixes = page.common_prefixes().iter().filter_map(|it| it.prefix());
            let names = prefixes.filter_map(|key| key.strip_prefix(&self.prefix));
            folders.extend(names.map(str::to_owned));
        }
        Ok(folders)
    }

    async fn read(&self, name: &str) -> Result<Option<(Vec<u8>, String)>, PortError> {
        const OPERATION: &str = "read of the archive";
        let get = self.client.get_object().bucket(&self.bucket);
        let answer = match get.key(self.key(name)).send().await {
            Ok(answer) => answer,
            Err(error) if refused(&error, &ABSENT_CODES, 404) => return Ok(None),
            Err(error) => return Err(port_error(OPERATION, &error)),
        };
        let version = answer.e_tag().unwrap_or_default().to_owned();
        let content = answer.body.collect().await;
        let content = content.map_err(|error| incomplete_response(OPERATION, error))?;
        Ok(Some((content.to_vec(), version)))
    }

    async fn replace(
        &self,
        name: &str,
        content: Vec<u8>,
        condition: Condition<'_>,
    ) -> Result<Replaced, PortError> {
        let put = self.client.put_object().bucket(&self.bucket);
        let put = put.key(self.key(name)).body(ByteStream::from(content));
        let put = match condition {
            Condition::Absent => put.if_none_match("*"),
            Condition::Is(version) => put.if_match(version),
            Condition::Always => put,
        };
        match put.send().await {
            Ok(done) => Ok(Replaced::Done(done.e_tag().unwrap_or_default().to_owned())),
            Err(error) if refused(&error, &CHANGED_CODES, 412) => Ok(Replaced::Changed),
            // A missing object cannot have the version.
            Err(error) if refused(&error, &ABSENT_CODES, 404) => Ok(Replaced::Changed),
            Err(error) => Err(port_error("replace in the archive", &error)),
        }
    }

    async fn fetch(&self, name: &str, to: &Path) -> Result<bool, PortError> {
        const OPERATION: &str = "fetch of the archive";
        let here = |error: std::io::Error| PortError {
            operation: OPERATION,
            retryable: false,
            source: format!("{}: {error}", to.display()).into(),
        };
        let get = self.client.get_object().bucket(&self.bucket);
        let mut answer = match get.key(self.key(name)).send().await {
            Ok(answer) => answer,
            Err(error) if refused(&error, &ABSENT_CODES, 404) => return Ok(false),
            Err(error) => return Err(port_error(OPERATION, &error)),
        };
        let mut file = File::create_new(to).await.map_err(here)?;
        while let Some(part) = answer.body.next().await {
            let part = part.map_err(|error| incomplete_response(OPERATION, error))?;
            file.write_all(&part).await.map_err(here)?;
        }
        file.flush().await.map_err(here)?;
        Ok(true)
    }

    async fn put(&self, name: &str, from: &Path) -> Result<(), PortError> {
        const OPERATION: &str = "put into the archive";
        let body = ByteStream::from_path(from).await;
        let body = body.map_err(|error| PortError {
            operation: OPERATION,
            retryable: false,
            source: format!("{}: {error}", from.display()).into(),
        })?;
        let put = self.client.put_object().bucket(&self.bucket);
        put.key(self.key(name))
            .body(body)
            .send()
            .await
            .map_err(|error| port_error(OPERATION, &error))?;
        Ok(())
    }

    async fn copy(&self, from: &str, to: &str) -> Result<bool, PortError> {
        let source = format!("{}/{}", self.bucket, encoded(&self.key(from)));
        let copy = self.client.copy_object().bucket(&self.bucket);
        match copy.key(self.key(to)).copy_source(source).send().await {
            Ok(_) => Ok(true),
            Err(error) if refused(&error, &ABSENT_CODES, 404) => Ok(false),
            Err(error) => Err(port_error("copy in the archive", &error)),
        }
    }

    async fn delete(&self, names: &[String]) -> Result<(), PortError> {
        const OPERATION: &str = "delete of the archive";
        for names in names.chunks(DELETES_PER_REQUEST_MAX) {
            let mut delete = Delete::builder().quiet(true);
            for name in names {
                let object = ObjectIdentifier::builder().key(self.key(name)).build();
                delete = delete.objects(object.map_err(|error| unsent(OPERATION, error))?);
            }
            let delete = delete.build().map_err(|error| unsent(OPERATION, error))?;
            let request = self.client.delete_objects().bucket(&self.bucket);
            let answer = request.delete(delete).send().await;
            let answer = answer.map_err(|error| port_error(OPERATION, &error))?;
            // The call succeeds even if single objects fail.
            if let Some(left) = answer.errors().first() {
                return Err(PortError {
                    operation: OPERATION,
                    retryable: true,
                    source: format!(
                        "{}: {}: {}",
                        left.key().unwrap_or_default(),
                        left.code().unwrap_or("no code"),
                        left.message().unwrap_or("no message")
                    )
                    .into(),
                });
            }
        }
        Ok(())
    }
}

fn incomplete_response(operation: &'static str, error: impl std::fmt::Display) -> PortError {
    PortError {
        operation,
        retryable: true,
        source: format!("the response ended early: {error}").into(),
    }
}

fn unsent(
    operation: &'static str,
    error: impl std::error::Error + Send + Sync + 'static,
) -> PortError {
    PortError {
        operation,
        retryable: false,
        source: Box::new(error),
    }
}

/// A key for a header: every byte except letters, digits and `-_.~/` is escaped.
fn encoded(key: &str) -> String {
    let mut text = String::with_capacity(key.len());
    for byte in key.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => {
                text.push(char::from(byte));
            }
            other => text.push_str(&format!("%{other:02X}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_is_a_bucket_and_a_prefix() {
        for (place, expected) in [
            ("s3://b", Some(("b", ""))),
            ("s3://b/", Some(("b", ""))),
            ("s3://b/price-archive", Some(("b", "price-archive/"))),
            ("s3://b/x/price-archive/", Some(("b", "x/price-archive/"))),
            ("s3://", None),
            ("s3:///x", None),
            ("b/x", None),
            ("https://b/x", None),
        ] {
            let expected = expected.map(|(bucket, prefix)| (bucket, prefix.to_owned()));
            assert_eq!(parse(place), expected, "{place}");
        }
    }

    #[test]
    fn keys_are_escaped_in_headers() {
        assert_eq!(
            encoded("price-archive/year=2026/a b+c%_~.parquet"),
            "price-archive/year%3D2026/a%20b%2Bc%25_~.parquet"
        );
    }
}
