//! The quarantine of a project on AWS, in the bucket of its archive.

use std::collections::BTreeMap;
use std::sync::Arc;

use app::quarantine_objects::QuarantineObjects;
use app::quarantine_review::{QuarantineFilter, QuarantineReview as _};
use ops::doctor::{Observed, Unobserved};

/// How far back entries are counted.
const COUNTED_MS: i64 = 60 * 60 * 1_000;

/// How far the clock of the webhook may be ahead of ours.
const CLOCKS_DIFFER_MS: i64 = 60_000;

/// The most entries that are counted, the newest ones: each delivery has an object.
const COUNTED_MAX: usize = 1_000;

/// Opens the quarantine in a bucket.
///
/// # Errors
/// Without credentials or a region.
pub(crate) async fn open(bucket: &str) -> anyhow::Result<QuarantineObjects> {
    let config = aws::client::config(aws::client::BATCH).await;
    aws::client::check(&config).await?;
    let objects = aws::archive::S3Objects::new(&aws::clients::s3(&config), bucket_name(bucket), "");
    Ok(QuarantineObjects::new(Arc::new(objects)))
}

/// The bucket of a name or of an address in it, such as that of the archive, which `just status` shows.
fn bucket_name(text: &str) -> &str {
    let name = text.strip_prefix("s3://").unwrap_or(text);
    name.split_once('/').map_or(name, |(bucket, _)| bucket)
}

/// The entries of the last hour by reason, of the newest [`COUNTED_MAX`].
///
/// # Errors
/// As [`open`].
pub(crate) async fn by_reason(
    bucket: &str,
    now_ms: i64,
) -> anyhow::Result<Observed<BTreeMap<String, u64>>> {
    let quarantine = open(bucket).await?;
    let filter = QuarantineFilter {
        from_ms: now_ms - COUNTED_MS,
        // The webhook's clock may be ahead of ours.
        to_ms: now_ms + CLOCKS_DIFFER_MS,
        ..QuarantineFilter::ALL
    };
    let entries = match quarantine.entries(&filter, COUNTED_MAX).await {
        Ok(entries) => entries,
        Err(error) => {
            return Ok(Err(Unobserved {
                why: format!(
                    "the quarantine in {bucket} cannot be read: {}",
                    error.source
                ),
                advice: "pass the output ArchiveBucketName of the data stack".to_owned(),
            }));
        }
    };
    let mut counts = BTreeMap::new();
    for entry in entries {
        let reason = entry.kept.entry.reason.as_str().to_owned();
        *counts.entry(reason).or_default() += 1;
    }
    Ok(Ok(counts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_the_archive_names_its_bucket() {
        for text in [
            "prices",
            "s3://prices",
            "s3://prices/",
            "s3://prices/price-archive",
        ] {
            assert_eq!(bucket_name(text), "prices", "{text}");
        }
    }
}
