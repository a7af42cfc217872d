//! The queries on the ticks themselves: gaps, duplicates, late arrivals, anomalies, quarantine, cohort.

use super::*;

pub(super) fn gaps(ticks: &[Tick], to: i64, min_gap_s: i64) -> Table {
    let mut gaps = Vec::new();
    for (pair, ticks) in grouped(ticks, pair) {
        let times: Vec<i64> = in_order(ticks)
            .iter()
            .map(|tick| tick.timestamp_ms)
            .collect();
        for (position, start) in times.iter().enumerate() {
            let next = times.get(position + 1).copied();
            let end = next.unwrap_or(to);
            if end - start >= min_gap_s * SECOND_MS {
                gaps.push((start - end, pair.clone(), *start, end, next.is_none()));
            }
        }
    }
    gaps.sort();
    let row = |(length, (token, quote), start, end, still_open): (i64, Pair, i64, i64, bool)| {
        vec![
            cell(token),
            cell(quote),
            timestamp(start),
            timestamp(end),
            cell(-length as f64 / 1e3),
            cell(still_open),
        ]
    };
    (
        &[
            "token",
            "quote",
            "gap_start",
            "gap_end",
            "gap_s",
            "still_open",
        ],
        gaps.into_iter().map(row).collect(),
    )
}

pub(super) fn duplicates(ticks: &[Tick]) -> Table {
    let mut copies: Vec<_> = grouped(ticks, event)
        .into_iter()
        .filter(|(_, copies)| copies.len() > 1)
        .collect();
    copies.sort_by(|a, b| b.1.len().cmp(&a.1.len()).then_with(|| a.0.cmp(&b.0)));
    let row = |(((token, quote), time, id), copies): ((Pair, i64, TickId), Vec<&Tick>)| {
        let times = |of: fn(&Tick) -> i64| copies.iter().map(move |tick| of(tick));
        let prices: BTreeSet<_> = copies.iter().map(|tick| tick.price).collect();
        vec![
            cell(token),
            cell(quote),
            timestamp(time),
            cell(id),
            cell(copies.len()),
            times(|tick| tick.ingested_at_ms).min().and_then(timestamp),
            times(|tick| tick.ingested_at_ms).max().and_then(timestamp),
            cell(prices.len() > 1),
        ]
    };
    (
        &[
            "token",
            "quote",
            "time",
            "tick_id",
            "copies",
            "first_ingested",
            "last_ingested",
            "prices_differ",
        ],
        copies.into_iter().map(row).collect(),
    )
}

pub(super) fn late_arrivals(ticks: &[Tick], late_after_s: i64) -> Table {
    let delay = |tick: &&Tick| tick.ingested_at_ms - tick.timestamp_ms;
    let late = |ticks: &[&Tick]| {
        let is_late = |tick: &&&Tick| delay(tick) >= late_after_s * SECOND_MS;
        ticks.iter().filter(is_late).count()
    };
    let mut sources: Vec<_> = grouped(ticks, |tick| tick.source.as_str().to_owned())
        .into_iter()
        .collect();
    sources.sort_by(|a, b| late(&b.1).cmp(&late(&a.1)).then_with(|| a.0.cmp(&b.0)));
    let row = |(source, ticks): (String, Vec<&Tick>)| {
        let after_its_day =
            |tick: &&&Tick| tick.ingested_at_ms / DAY_MS > tick.timestamp_ms / DAY_MS;
        let delays: Vec<f64> = ticks.iter().map(|tick| delay(tick) as f64).collect();
        vec![
            cell(source),
            cell(ticks.len()),
            cell(late(&ticks)),
            cell(100.0 * late(&ticks) as f64 / ticks.len() as f64),
            cell(ticks.iter().filter(after_its_day).count()),
            cell(mean(&delays)),
            ticks.iter().map(delay).min().and_then(cell),
            ticks.iter().map(delay).max().and_then(cell),
        ]
    };
    (
        &[
            "source",
            "ticks",
            "late",
            "late_pct",
            "after_its_day",
            "avg_delay_ms",
            "min_delay_ms",
            "max_delay_ms",
        ],
        sources.into_iter().map(row).collect(),
    )
}

pub(super) fn volume_by_source(ticks: &[Tick]) -> Table {
    let worth = |tick: &&Tick| Some(volume(tick)? * price(tick));
    let of_pairs: BTreeMap<Pair, Option<f64>> = grouped(ticks, pair)
        .into_iter()
        .map(|(pair, ticks)| (pair, sum(ticks.iter().map(worth))))
        .collect();
    let sources = grouped(ticks, |tick| (pair(tick), tick.source.as_str().to_owned()));
    let row = |((pair, source), ticks): ((Pair, String), Vec<&Tick>)| {
        let own = sum(ticks.iter().map(worth));
        let all = of_pairs[&pair].filter(|all| *all > 0.0);
        vec![
            cell(pair.0),
            cell(pair.1),
            cell(source),
            cell(ticks.len()),
            cell(ticks.iter().filter(|tick| tick.volume.is_none()).count()),
            sum(ticks.iter().map(|tick| volume(tick))).and_then(cell),
            own.and_then(cell),
            own.zip(all).and_then(|(own, all)| cell(100.0 * own / all)),
        ]
    };
    (
        &[
            "token",
            "quote",
            "source",
            "ticks",
            "ticks_without_volume",
            "volume",
            "quote_volume",
            "share_pct",
        ],
        sources.into_iter().map(row).collect(),
    )
}

pub(super) fn anomalies_around(ticks: Vec<Tick>, from: i64, threshold: f64) -> Table {
    let mut rows = Vec::new();
    for (quote, ticks) in grouped(&ticks, |tick| tick.quote.as_str().to_owned()) {
        let ticks = in_order(ticks);
        for (position, tick) in ticks.iter().enumerate() {
            let before: Vec<f64> = ticks[position.saturating_sub(100)..position]
                .iter()
                .map(|tick| price(tick))
                .collect();
            if before.len() < 20 || tick.timestamp_ms < from {
                continue;
            }
            let mean = mean(&before);
            let score = (price(tick) - mean) / deviation(&before).max(mean * 1e-4);
            if score.abs().partial_cmp(&threshold) == Some(Ordering::Less) {
                continue;
            }
            rows.push(vec![
                cell(&quote),
                timestamp(tick.timestamp_ms),
                cell(price(tick)),
                cell(mean),
                cell(100.0 * (price(tick) / mean - 1.0)),
                cell(score),
                cell(tick.source.as_str()),
                cell(tick.tick_id),
            ]);
        }
    }
    (
        &[
            "quote",
            "time",
            "price",
            "mean",
            "deviation_pct",
            "score",
            "source",
            "tick_id",
        ],
        rows,
    )
}

pub(super) fn cohort_check(ticks: &[Tick], given: &Parameters) -> Table {
    // The domain's own percentages, which the rollout goes by.
    let percentage: domain::Percentage = given.text("percentage").unwrap().parse().unwrap();
    let bucket = |tick: &&Tick| match given.text("key").as_deref() {
        Some("token") => cohort_bucket(tick.token.as_str()),
        _ => cohort_bucket(&tick.tick_id.to_string()),
    };
    let row = |((year, month, day), ticks): ((i32, u32, u32), Vec<&Tick>)| {
        let inside = ticks.iter().filter(|tick| percentage.admits(bucket(tick)));
        let inside = inside.count();
        vec![
            cell(year),
            cell(month),
            cell(day),
            cell(ticks.len()),
            cell(inside),
            cell(ticks.len() - inside),
            ticks.iter().map(bucket).max().and_then(cell),
        ]
    };
    (
        &[
            "year",
            "month",
            "day",
            "ticks",
            "in_cohort",
            "outside",
            "highest_bucket",
        ],
        grouped(ticks, civil_day).into_iter().map(row).collect(),
    )
}

/// The lowest stage that lets a bucket in, in percent.
fn stage(bucket: u16) -> u32 {
    let stages = [1, 10, 50, 100];
    let admits = |percent: &u32| {
        let share: domain::Percentage = percent.to_string().parse().unwrap();
        share.admits(bucket)
    };
    stages.into_iter().find(admits).unwrap()
}

pub(super) fn verify_counts(ticks: &[Tick], given: &Parameters, from: i64, to: i64) -> Table {
    const HOUR_MS: i64 = 3_600_000;
    let earliest = given.time("earliest");
    let mut copies: BTreeMap<(i64, u32), BTreeMap<domain::TickIdentity, u64>> = BTreeMap::new();
    for tick in ticks {
        let received = tick.ingested_at_ms;
        if tick.timestamp_ms < earliest || !(from..to).contains(&received) {
            continue;
        }
        let bucket = match given.text("key").as_deref() {
            Some("token") => cohort_bucket(tick.token.as_str()),
            _ => cohort_bucket(&tick.tick_id.to_string()),
        };
        let group = copies.entry((received - received % HOUR_MS, stage(bucket)));
        *group.or_default().entry(tick.identity()).or_default() += 1;
    }
    let row = |((hour_ms, stage), events): ((i64, u32), BTreeMap<_, u64>)| {
        let rows: u64 = events.values().sum();
        let ticks = events.len() as u64;
        vec![
            timestamp(hour_ms),
            cell(stage),
            cell(ticks),
            cell(rows - ticks),
        ]
    };
    (
        &["hour", "stage", "ticks", "repeated"],
        copies.into_iter().map(row).collect(),
    )
}

pub(super) fn data_quality(
    entries: &[Quarantined],
    given: &Parameters,
    from: i64,
    to: i64,
) -> Table {
    let source = given.text("source").unwrap_or_default();
    let mut groups: BTreeMap<(&str, String, &str), Vec<&Quarantined>> = BTreeMap::new();
    for kept in entries {
        if (from..to).contains(&kept.received_at_ms) && (source.is_empty() || source == kept.source)
        {
            let reason = kept.entry.reason;
            let severity = serde_json::to_value(reason.severity()).unwrap();
            let severity = severity.as_str().unwrap().to_owned();
            groups
                .entry((reason.as_str(), severity, &kept.source))
                .or_default()
                .push(kept);
        }
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by(|a, b| b.1.len().cmp(&a.1.len()).then_with(|| a.0.cmp(&b.0)));
    let row = |((reason, severity, source), kept): ((&str, String, &str), Vec<&Quarantined>)| {
        let newest = kept
            .iter()
            .max_by_key(|kept| (kept.received_at_ms, &kept.entry.message))
            .unwrap();
        vec![
            cell(reason),
            cell(severity),
            cell(source),
            cell(kept.len()),
            cell(kept.iter().map(|kept| kept.entry.raw_bytes).sum::<usize>()),
            kept.iter()
                .map(|kept| kept.received_at_ms)
                .min()
                .and_then(timestamp),
            kept.iter()
                .map(|kept| kept.received_at_ms)
                .max()
                .and_then(timestamp),
            cell(&newest.entry.message),
        ]
    };
    (
        &[
            "reason",
            "severity",
            "source",
            "entries",
            "raw_bytes",
            "first_received",
            "last_received",
            "example",
        ],
        groups.into_iter().map(row).collect(),
    )
}
