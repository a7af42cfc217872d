//! The query on what the analysis found.

use super::*;

pub(super) fn anomalies(all: &[Anomaly], given: &Parameters, from: i64, to: i64) -> Table {
    let is = |name: &str, value: &str| {
        let wanted = given.text(name).unwrap_or_default();
        wanted.is_empty() || wanted == "all" || wanted == value
    };
    let mut found: Vec<&Anomaly> = all
        .iter()
        .filter(|it| (from..to).contains(&it.timestamp_ms))
        .filter(|it| is("token", it.token.as_str()) && is("quote", it.quote.as_str()))
        .filter(|it| {
            is(
                "source",
                it.source.as_ref().map_or("unknown", |it| it.as_str()),
            )
        })
        .filter(|it| is("kind", it.detection.kind.as_str()))
        .collect();
    found.sort_by_key(|it| {
        (
            it.timestamp_ms,
            it.token.clone(),
            it.quote.clone(),
            it.tick_id,
        )
    });
    let row = |it: &Anomaly| {
        vec![
            timestamp(it.timestamp_ms),
            cell(it.token.as_str()),
            cell(it.quote.as_str()),
            it.source.as_ref().and_then(|it| cell(it.as_str())),
            cell(it.detection.kind),
            cell(it.detection.direction.as_str()),
            cell(it.score),
            cell(it.price.to_f64()),
            cell(it.detection.quantity.as_str()),
            cell(it.detection.expected),
            cell(it.detection.seen),
            cell(it.detection.window_ms),
            cell(it.message()),
            cell(it.tick_id),
        ]
    };
    (
        &[
            "time",
            "token",
            "quote",
            "source",
            "kind",
            "direction",
            "score",
            "price",
            "quantity",
            "expected",
            "seen",
            "window_ms",
            "message",
            "tick_id",
        ],
        found.into_iter().map(row).collect(),
    )
}
