//! The quarantine: its lines, that a repetition overwrites them, and what became of entries.

use std::sync::Arc;

use app::ports::{Quarantine, Quarantined};
use app::quarantine_objects::QuarantineObjects;
use app::quarantine_review::{EntryOutcome, QuarantineFilter, QuarantineReview as _, ReplayRecord};
use aws::archive::S3Objects;
use aws::s3::S3Quarantine;
use domain::{Malformed, Reason};
use integration::emulator;
use serde_json::Value;

/// 2026-01-02T03:04:05.006Z.
const RECEIVED_AT_MS: i64 = 1_767_323_045_006;

fn entry(index: usize, raw: &str) -> Quarantined {
    Quarantined {
        received_at_ms: RECEIVED_AT_MS,
        source: "helius".to_owned(),
        entry: Malformed::new(index, Reason::InvalidPrice, "price -1", raw.as_bytes()),
    }
}

#[tokio::test]
async fn entries_are_kept_as_lines_and_a_repetition_overwrites() {
    let emulator = emulator::start().await.unwrap();
    let client = emulator.s3();
    let bucket = format!("{}-archive", emulator.unique_project());
    client.create_bucket().bucket(&bucket).send().await.unwrap();
    let quarantine = S3Quarantine::new(&client, &bucket);
    quarantine.keep(&[]).await.unwrap();
    for _ in 0..2 {
        let entries = [entry(0, "{\"price\":-1}"), entry(4, "Tür\n")];
        quarantine.keep(&entries).await.unwrap();
    }
    quarantine.keep(&[entry(1, "another")]).await.unwrap();

    let listed = client
        .list_objects_v2()
        .bucket(&bucket)
        .send()
        .await
        .unwrap();
    let keys: Vec<&str> = listed
        .contents()
        .iter()
        .filter_map(|object| object.key())
        .collect();
    assert_eq!(keys.len(), 2, "{keys:?}");
    let mut lines = 0;
    for key in keys {
        let folder = "quarantine/year=2026/month=01/day=02/1767323045006-";
        assert!(key.starts_with(folder) && key.ends_with(".jsonl"), "{key}");
        let object = client
            .get_object()
            .bucket(&bucket)
            .key(key)
            .send()
            .await
            .unwrap();
        assert_eq!(object.content_type(), Some("application/x-ndjson"));
        let content = object.body.collect().await.unwrap().to_vec();
        for line in String::from_utf8(content).unwrap().lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            assert_eq!(line["received_at"], RECEIVED_AT_MS);
            assert_eq!(line["reason"], "invalid_price");
            lines += 1;
        }
    }
    assert_eq!(lines, 3);
}

#[tokio::test]
async fn what_the_webhook_kept_is_reviewed() {
    let emulator = emulator::start().await.unwrap();
    let client = emulator.s3();
    let bucket = format!("{}-archive", emulator.unique_project());
    client.create_bucket().bucket(&bucket).send().await.unwrap();
    let kept = [entry(0, "{\"price\":-1}"), entry(4, "Tür\n")];
    S3Quarantine::new(&client, &bucket)
        .keep(&kept)
        .await
        .unwrap();
    let objects = Arc::new(S3Objects::new(&client, &bucket, ""));
    let quarantine = QuarantineObjects::new(objects);
    let filter = QuarantineFilter {
        from_ms: RECEIVED_AT_MS,
        to_ms: RECEIVED_AT_MS + 1,
        ..QuarantineFilter::ALL
    };
    let found = quarantine.entries(&filter, 10).await.unwrap();
    assert_eq!(
        found.iter().map(|it| it.kept.clone()).collect::<Vec<_>>(),
        kept
    );
    let record = ReplayRecord {
        at_ms: RECEIVED_AT_MS + 5,
        who: "ann".to_owned(),
        outcome: EntryOutcome::Stored { ticks: 1 },
    };
    let id = found[1].id.clone();
    quarantine
        .record(&[(id.clone(), record.clone())])
        .await
        .unwrap();
    let entry = quarantine.entry(&id).await.unwrap().unwrap();
    assert_eq!(
        (entry.kept, entry.replayed),
        (kept[1].clone(), Some(record))
    );
    let listed = quarantine
        .entries(&QuarantineFilter::ALL, 10)
        .await
        .unwrap();
    assert_eq!(listed.iter().filter(|it| it.replayed.is_some()).count(), 1);
}

#[tokio::test]
async fn a_missing_bucket_is_a_permanent_error() {
    let emulator = emulator::start().await.unwrap();
    let bucket = format!("{}-no", emulator.unique_project());
    let quarantine = S3Quarantine::new(&emulator.s3(), bucket);
    let error = quarantine.keep(&[entry(0, "x")]).await.unwrap_err();
    assert!(!error.retryable);
    assert!(
        error.source.to_string().contains("NoSuchBucket"),
        "{}",
        error.source
    );
}
