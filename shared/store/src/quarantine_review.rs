//! Reviews the quarantine: what became of an entry is kept with it, and removed with it.

use app::ports::PortError;
use app::quarantine_review::{QuarantineFilter, QuarantineReview, ReplayRecord, ReviewedEntry};
use async_trait::async_trait;

use crate::embedded::EmbeddedStore;
use crate::error::StorageError;
use crate::keys::quarantined::{self, Reviewed};
use crate::keys::{day, sortable};
use crate::shared_state::SharedState;
use crate::writer::Commit;

#[async_trait]
impl QuarantineReview for EmbeddedStore {
    async fn entries(
        &self,
        filter: &QuarantineFilter,
        limit: usize,
    ) -> Result<Vec<ReviewedEntry>, PortError> {
        let filter = filter.clone();
        let found = self.read(move |inner| entries(inner, &filter, limit)).await;
        found.map_err(|error| error.at("read the quarantine"))
    }

    async fn entry(&self, id: &str) -> Result<Option<ReviewedEntry>, PortError> {
        let Some(key) = quarantined::key_of_id(id) else {
            return Ok(None);
        };
        let found =
            self.read(move |inner| kept(inner, &key)?.map(|it| reviewed(&key, it)).transpose());
        found.await.map_err(|error| error.at("read the quarantine"))
    }

    async fn record(&self, outcomes: &[(String, ReplayRecord)]) -> Result<(), PortError> {
        let outcomes: Vec<_> = outcomes
            .iter()
            .filter_map(|(id, record)| Some((quarantined::key_of_id(id)?, record.clone())))
            .collect();
        let recorded = self.commit(move |commit: &mut Commit<'_>| {
            for (key, record) in outcomes {
                if let Some(entry) = kept(commit.inner, &key)? {
                    let replayed = Some(record.after(entry.replayed.clone()));
                    let value = quarantined::encode_reviewed(&Reviewed { replayed, ..entry })?;
                    commit.insert(&commit.spaces().quarantine, &key, value);
                }
            }
            Ok(())
        });
        recorded
            .await
            .map_err(|error| error.at("record what became of quarantined entries"))
    }
}

fn entries(
    inner: &SharedState,
    filter: &QuarantineFilter,
    limit: usize,
) -> Result<Vec<ReviewedEntry>, StorageError> {
    let from_ms = filter.from_ms.max(day::start_ms(inner.first_day()));
    let (low, high) = (sortable(from_ms), sortable(filter.to_ms));
    let mut found = Vec::new();
    if low >= high {
        return Ok(found);
    }
    for guard in inner.spaces.quarantine.range(low..high).rev() {
        if found.len() >= limit {
            break;
        }
        let (key, value) = guard.into_inner()?;
        let entry = quarantined::decode_reviewed(&value)?;
        if filter.matches(&entry.kept) {
            found.push(reviewed(&key, entry)?);
        }
    }
    Ok(found)
}

/// The entry of a key, unless its day has expired.
fn kept(inner: &SharedState, key: &[u8]) -> Result<Option<Reviewed>, StorageError> {
    if key < sortable(day::start_ms(inner.first_day())).as_slice() {
        return Ok(None);
    }
    let value = inner.spaces.quarantine.get(key)?;
    value
        .map(|value| quarantined::decode_reviewed(&value))
        .transpose()
}

fn reviewed(key: &[u8], entry: Reviewed) -> Result<ReviewedEntry, StorageError> {
    Ok(ReviewedEntry {
        id: quarantined::id(key)?,
        kept: entry.kept,
        replayed: entry.replayed,
    })
}

#[cfg(test)]
mod tests {
    use app::ports::{Quarantine as _, Quarantined};
    use app::quarantine_review::EntryOutcome;
    use domain::{Malformed, Reason};

    use super::*;
    use crate::embedded::EmbeddedConfig;

    /// 2026-01-02T00:00:00Z.
    const DAY_MS: i64 = 1_767_312_000_000;

    fn entry(received_at_ms: i64, source: &str, reason: Reason) -> Quarantined {
        Quarantined {
            received_at_ms,
            source: source.to_owned(),
            entry: Malformed::new(0, reason, "no", b"{}"),
        }
    }

    fn record(at_ms: i64) -> ReplayRecord {
        ReplayRecord {
            at_ms,
            who: "ann".to_owned(),
            outcome: EntryOutcome::Duplicate { ticks: 1 },
        }
    }

    #[tokio::test]
    async fn entries_are_found_by_time_reason_and_source_with_what_became_of_them() {
        let folder = tempfile::tempdir().unwrap();
        let config = EmbeddedConfig::new(folder.path().to_owned());
        let store = EmbeddedStore::open(&config).unwrap();
        let kept = [
            entry(DAY_MS, "ticks", Reason::MissingField),
            entry(DAY_MS, "ticks", Reason::InvalidPrice),
            entry(DAY_MS + 5, "helius", Reason::MissingField),
        ];
        store.keep(&kept).await.unwrap();
        let ids = async |filter: QuarantineFilter, limit| {
            let found = store.entries(&filter, limit).await.unwrap();
            found.into_iter().map(|it| it.id).collect::<Vec<_>>()
        };
        let all = ids(QuarantineFilter::ALL, 10).await;
        let expected = [(DAY_MS + 5, 3), (DAY_MS, 2), (DAY_MS, 1)];
        assert_eq!(all, expected.map(|(ms, n)| format!("{ms}-{n}")));
        assert_eq!(ids(QuarantineFilter::ALL, 1).await, all[..1]);
        let early = QuarantineFilter {
            to_ms: DAY_MS + 5,
            reason: Some(Reason::MissingField),
            ..QuarantineFilter::ALL
        };
        assert_eq!(ids(early, 10).await, all[2..]);

        store
            .record(&[
                (all[0].clone(), record(7)),
                ("1-99".to_owned(), record(7)),
                ("x".to_owned(), record(7)),
            ])
            .await
            .unwrap();
        let of = async |id: &str| store.entry(id).await.unwrap();
        assert_eq!(of(&all[0]).await.unwrap().replayed, Some(record(7)));
        assert_eq!(of(&all[0]).await.unwrap().kept, kept[2]);
        assert_eq!(of(&all[1]).await.unwrap().replayed, None);
        assert_eq!(of("1-99").await, None);
        assert_eq!(of("x").await, None);
        // A repeat, which finds the ticks stored, does not hide that a replay stored them.
        let stored = ReplayRecord {
            outcome: EntryOutcome::Stored { ticks: 1 },
            ..record(8)
        };
        for became in [stored.clone(), record(9)] {
            store.record(&[(all[1].clone(), became)]).await.unwrap();
        }
        assert_eq!(of(&all[1]).await.unwrap().replayed, Some(stored));

        // Readers that do not know of it still read the entries.
        assert_eq!(store.quarantined(1).await.unwrap(), kept[2..]);

        store
            .sweep(
                DAY_MS + 86_400_000,
                crate::retention::StreamRetention::ALL,
                &[],
            )
            .await
            .unwrap();
        store.record(&[(all[0].clone(), record(9))]).await.unwrap();
        assert_eq!(of(&all[0]).await, None, "it expires with its entry");
    }
}
