//! The archive's folder on S3: its days and their sizes, for estimates.

use std::fmt;

use aws_sdk_s3::Client;
use chrono::{Datelike as _, NaiveDate};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::error::{self, AthenaError};

/// The most concurrent listings.
const LISTINGS_AT_A_TIME: usize = 16;

/// An address on S3: `s3://BUCKET/KEY`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The bucket.
    pub bucket: String,
    /// The key, or a prefix of keys.
    pub key: String,
}

impl Location {
    /// Parses an address.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (bucket, key) = text.strip_prefix("s3://")?.split_once('/')?;
        let is_sound = !bucket.is_empty() && !key.starts_with('/');
        is_sound.then(|| Self {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
        })
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.key)
    }
}

/// The files of a day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Files {
    /// Their number.
    pub count: usize,
    /// Their size in bytes.
    pub bytes: u64,
}

/// A table's folder with Hive partitions by year, month and day.
#[derive(Debug, Clone)]
pub struct Folder {
    client: Client,
    location: Location,
}

impl Folder {
    pub(super) fn new(client: &Client, mut location: Location) -> Self {
        if !location.key.is_empty() && !location.key.ends_with('/') {
            location.key.push('/');
        }
        Self {
            client: client.clone(),
            location,
        }
    }

    /// Its address, which ends with a slash.
    #[must_use]
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// The days that have a folder, in ascending order. This lists every year and month.
    ///
    /// # Errors
    /// [`AthenaError`] if the bucket cannot be listed.
    pub async fn days(&self) -> Result<Vec<NaiveDate>, AthenaError> {
        let root = self.location.key.clone();
        let years = self.partitions(root, "year=").await?;
        let months = self.below(years, "month=").await?;
        let days = self.below(months, "day=").await?;
        let days = days.into_iter().filter_map(|(numbers, _)| {
            let [year, month, day] = numbers[..] else {
                return None;
            };
            let (month, day) = (u32::try_from(month).ok()?, u32::try_from(day).ok()?);
            NaiveDate::from_ymd_opt(year, month, day)
        });
        let mut days: Vec<NaiveDate> = days.collect();
        days.sort_unstable();
        days.dedup();
        Ok(days)
    }

    /// The files of each given day, in the same order.
    ///
    /// # Errors
    /// [`AthenaError`] if the bucket cannot be listed.
    pub async fn files(&self, days: &[NaiveDate]) -> Result<Vec<Files>, AthenaError> {
        stream::iter(days.iter().copied())
            .map(|day| self.files_of(day))
            .buffered(LISTINGS_AT_A_TIME)
            .try_collect()
            .await
    }

    async fn files_of(&self, day: NaiveDate) -> Result<Files, AthenaError> {
        let prefix = format!(
            "{}year={:04}/month={:02}/day={:02}/",
            self.location.key,
            day.year(),
            day.month(),
            day.day()
        );
        let request = self
            .client
            .list_objects_v2()
            .bucket(&self.location.bucket)
            .prefix(&prefix);
        let mut pages = request.into_paginator().send();
        let mut files = Files::default();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| self.unlisted(&error))?;
            for object in page.contents() {
                let name = object.key().and_then(|key| key.strip_prefix(&prefix));
                if name.is_some_and(is_read) {
                    files.count += 1;
                    files.bytes += u64::try_from(object.size().unwrap_or(0)).unwrap_or(0);
                }
            }
        }
        Ok(files)
    }

    /// The partition folders inside the given ones, with the numbers of all levels.
    async fn below(
        &self,
        folders: Vec<(Vec<i32>, String)>,
        name: &'static str,
    ) -> Result<Vec<(Vec<i32>, String)>, AthenaError> {
        let lists: Vec<_> = stream::iter(folders)
            .map(|(above, folder)| async move {
                let found = self.partitions(folder, name).await?;
                let with_above = found.into_iter().map(|(numbers, folder)| {
                    let numbers = above.iter().copied().chain(numbers).collect();
                    (numbers, folder)
                });
                Ok::<_, AthenaError>(with_above.collect::<Vec<_>>())
            })
            .buffered(LISTINGS_AT_A_TIME)
            .try_collect()
            .await?;
        Ok(lists.into_iter().flatten().collect())
    }

    /// The folders `NAME=NUMBER/` in a folder.
    async fn partitions(
        &self,
        folder: String,
        name: &str,
    ) -> Result<Vec<(Vec<i32>, String)>, AthenaError> {
        let request = self
            .client
            .list_objects_v2()
            .bucket(&self.location.bucket)
            .prefix(format!("{folder}{name}"))
            .delimiter("/");
        let mut pages = request.into_paginator().send();
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| self.unlisted(&error))?;
            for prefix in page.common_prefixes() {
                let Some(prefix) = prefix.prefix() else {
                    continue;
                };
                let number = prefix
                    .strip_prefix(&folder)
                    .and_then(|rest| rest.strip_prefix(name))
                    .and_then(|rest| rest.trim_end_matches('/').parse().ok());
                found.extend(number.map(|number| (vec![number], prefix.to_owned())));
            }
        }
        Ok(found)
    }

    fn unlisted<E>(
        &self,
        error: &aws_sdk_s3::error::SdkError<E, aws_sdk_s3::config::http::HttpResponse>,
    ) -> AthenaError
    where
        E: std::error::Error + aws_sdk_s3::error::ProvideErrorMetadata + 'static,
    {
        let error = error::of_call(error);
        if let AthenaError::Denied {
            action: None,
            message,
        } = error
        {
            return AthenaError::Denied {
                action: Some(format!("s3:ListBucket on {}", self.location.bucket)),
                message,
            };
        }
        error
    }
}

/// Whether the service reads a file with this name; it ignores hidden files.
fn is_read(name: &str) -> bool {
    !name.is_empty() && !name.ends_with('/') && !name.starts_with(['_', '.'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_parsed() {
        let check = |text: &str, expected: Option<(&str, &str)>| {
            let found = Location::parse(text);
            let found = found
                .as_ref()
                .map(|at| (at.bucket.as_str(), at.key.as_str()));
            assert_eq!(found, expected, "{text}");
        };
        check("s3://b/price-archive/", Some(("b", "price-archive/")));
        check("s3://b/", Some(("b", "")));
        check("s3://b", None);
        check("s3:///k", None);
        check("s3://b//k", None);
        check("https://b/k", None);
        let address = Location::parse("s3://b/a/c.csv").unwrap();
        assert_eq!(address.to_string(), "s3://b/a/c.csv");
    }

    #[test]
    fn hidden_files_are_not_read() {
        for (name, read) in [
            ("000-1-2.parquet", true),
            ("_compaction.json", false),
            (".tmp", false),
            ("", false),
            ("folder/", false),
        ] {
            assert_eq!(is_read(name), read, "{name}");
        }
    }
}
