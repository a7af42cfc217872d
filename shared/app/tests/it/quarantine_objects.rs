//! The quarantine in a bucket: entries by time, reason and source, with what became of them.

use std::sync::Arc;

use app::objects::{Condition, Objects as _};
use app::ports::Quarantined;
use app::quarantine_objects::QuarantineObjects;
use app::quarantine_review::{EntryOutcome, QuarantineFilter, QuarantineReview as _, ReplayRecord};
use domain::{Malformed, Reason};
use testkit::memory_objects::MemoryObjects;

/// 2026-01-02T00:00:00Z.
const DAY_MS: i64 = 1_767_312_000_000;

fn entry(received_at_ms: i64, index: usize, reason: Reason) -> Quarantined {
    Quarantined {
        received_at_ms,
        source: "pyth".to_owned(),
        entry: Malformed::new(index, reason, "no", b"{\"price\":\"-1\"}"),
    }
}

/// An object as the webhook writes it.
async fn keep(objects: &MemoryObjects, folder: &str, name: &str, entries: &[Quarantined]) {
    let mut content = Vec::new();
    for entry in entries {
        entry.append_line(&mut content).unwrap();
    }
    let name = format!("quarantine/{folder}/{name}.jsonl");
    objects
        .replace(&name, content, Condition::Always)
        .await
        .unwrap();
}

fn record(at_ms: i64, outcome: EntryOutcome) -> ReplayRecord {
    ReplayRecord {
        at_ms,
        who: "ann".to_owned(),
        outcome,
    }
}

#[tokio::test]
async fn entries_are_found_and_their_outcomes_kept_beside_them() {
    let objects = Arc::new(MemoryObjects::default());
    let (first, second) = ("year=2026/month=01/day=01", "year=2026/month=01/day=02");
    let old = [entry(DAY_MS - 1, 0, Reason::InvalidPrice)];
    let new = [
        entry(DAY_MS + 5, 0, Reason::InvalidToken),
        entry(DAY_MS + 5, 3, Reason::InvalidPrice),
    ];
    keep(&objects, first, &format!("{}-aa", DAY_MS - 1), &old).await;
    keep(&objects, second, &format!("{}-bb", DAY_MS + 5), &new).await;
    let quarantine = QuarantineObjects::new(Arc::clone(&objects) as _);
    let ids = async |filter: QuarantineFilter, limit| {
        let found = quarantine.entries(&filter, limit).await.unwrap();
        found.into_iter().map(|it| it.id).collect::<Vec<_>>()
    };
    let of_new = |line: usize| format!("{}-bb-{line}", DAY_MS + 5);
    let of_old = format!("{}-aa-0", DAY_MS - 1);
    let all = [of_new(0), of_new(1), of_old.clone()];
    // All days, which are listed at once, and two days, which are listed one by one.
    assert_eq!(ids(QuarantineFilter::ALL, 10).await, all);
    let two_days = QuarantineFilter {
        from_ms: DAY_MS - 1,
        to_ms: DAY_MS + 6,
        ..QuarantineFilter::ALL
    };
    assert_eq!(ids(two_days.clone(), 10).await, all);
    assert_eq!(ids(two_days.clone(), 1).await, all[..1]);
    let prices = QuarantineFilter {
        reason: Some(Reason::InvalidPrice),
        ..two_days.clone()
    };
    assert_eq!(ids(prices, 10).await, all[1..]);
    let until = QuarantineFilter {
        to_ms: DAY_MS,
        ..two_days
    };
    assert_eq!(ids(until, 10).await, all[2..]);

    let still = EntryOutcome::StillMalformed {
        reason: "invalid_price".to_owned(),
        message: "no".to_owned(),
    };
    let stored = EntryOutcome::Stored { ticks: 1 };
    quarantine
        .record(&[
            (of_new(0), record(7, still)),
            (of_old.clone(), record(7, stored.clone())),
            ("../x".to_owned(), record(7, stored.clone())),
        ])
        .await
        .unwrap();
    quarantine
        .record(&[(of_new(0), record(8, stored.clone()))])
        .await
        .unwrap();
    let became = async |id: &str| {
        let entry = quarantine.entry(id).await.unwrap().unwrap();
        entry.replayed
    };
    assert_eq!(
        became(&of_new(0)).await,
        Some(record(8, stored.clone())),
        "the last one counts"
    );
    assert_eq!(became(&of_new(1)).await, None);
    assert_eq!(became(&of_old).await, Some(record(7, stored)));
    let listed = quarantine
        .entries(&QuarantineFilter::ALL, 10)
        .await
        .unwrap();
    assert_eq!(listed[0].replayed.as_ref().map(|it| it.at_ms), Some(8));
    assert_eq!(listed[0].kept, new[0]);
    for missing in ["", "1-2-3", "../x", &of_new(2)] {
        assert_eq!(quarantine.entry(missing).await.unwrap(), None, "{missing}");
    }
    // What a table reads has entries only.
    let outcomes = objects
        .names()
        .into_iter()
        .filter(|it| it.starts_with("quarantine-outcomes/year=2026/month=01/day=0"));
    assert_eq!(outcomes.count(), 3);
    assert_eq!(objects.names().len(), 5);
}
