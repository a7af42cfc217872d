//! The screen of a tickstream on this machine, or at an address.

use app::time_text::time_text;
use ops::doctor::{self, Observed};

use super::screen::{evidence, row, share_seen};
use crate::observe::{MachineView, PastChange, RolloutView};

/// How many changes are shown.
const CHANGES_SHOWN: usize = 5;

/// The screen.
pub(super) fn text(view: &MachineView) -> String {
    let place = view.place();
    let running = view.process.as_ref();
    let running = running.map(|it| (it.url.as_str(), it.pid, it.uptime_ms));
    let seen_share = match view.traffic.as_ref() {
        Ok(traffic) => share_seen(&traffic.recent),
        Err(unseen) => unseen.why.clone(),
    };
    let rollout = view.rollout.as_ref().map_err(Clone::clone);
    let malformed = view.quarantined.as_ref().map_err(Clone::clone);
    let mut rows = vec![
        row("process", Ok(doctor::process(&place, running).evidence)),
        row(
            "rollout",
            rollout.map(|it| {
                format!(
                    "{}; seen: {seen_share}",
                    share(it.use_kinesis, it.percentage)
                )
            }),
        ),
        row("rate", rate(&view.ticks_per_second)),
        row("lag", evidence(&view.lag, doctor::lag(&place, &view.lag))),
        row(
            "ledger",
            evidence(&view.ledger, doctor::ledger(&place, &view.ledger)),
        ),
        row(
            "malformed",
            malformed.map(|it| {
                let total = it.total.unwrap_or_default();
                format!("lately {}; {total} kept", doctor::by_reason(&it.recent))
            }),
        ),
    ];
    rows.push(row(
        "disk",
        evidence(&view.disk, doctor::disk(&place, &view.disk)),
    ));
    if let Ok(RolloutView { history, .. }) = &view.rollout {
        rows.extend(history.iter().take(CHANGES_SHOWN).map(change));
    }
    rows.join("\n")
}

fn share(use_kinesis: bool, percentage: f64) -> String {
    match use_kinesis {
        true => format!("{percentage} %"),
        false => format!("off (set to {percentage} %)"),
    }
}

fn rate(seen: &Observed<f64>) -> Observed<String> {
    let text = seen.as_ref().map(|rate| format!("{rate:.1} ticks/s"));
    text.map_err(Clone::clone)
}

fn change(past: &PastChange) -> String {
    let text = format!(
        "{}  {}  {}: {}",
        time_text(past.at_ms),
        share(past.use_kinesis, past.percentage),
        past.who,
        past.why
    );
    row("change", Ok(text))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use ops::doctor::{
        ConsumerLag, Disk, Ledger, Quarantined, Traffic, TrafficPeriods, Unobserved,
    };

    use super::*;
    use crate::observe::RunningProcess;

    fn unobserved<T>() -> Observed<T> {
        Err(Unobserved {
            why: "no process runs".to_owned(),
            advice: "start it".to_owned(),
        })
    }

    fn view() -> MachineView {
        MachineView {
            process: None,
            at_ms: 0,
            data_dir: None,
            rollout: unobserved(),
            traffic: unobserved(),
            ticks_per_second: unobserved(),
            lag: unobserved(),
            ledger: unobserved(),
            backlog: unobserved(),
            files: unobserved(),
            broadcasts: unobserved(),
            quarantined: unobserved(),
            clocks: unobserved(),
            disk: unobserved(),
            versions: unobserved(),
            backups: unobserved(),
        }
    }

    #[test]
    fn one_screen_has_it_all() {
        let recent = Traffic {
            seconds: 300,
            stored: 1_000,
            in_cohort: 98,
            ..Traffic::default()
        };
        let view = MachineView {
            process: Some(RunningProcess {
                url: "http://127.0.0.1:8080".to_owned(),
                pid: 7,
                uptime_ms: 90_000,
            }),
            rollout: Ok(RolloutView {
                use_kinesis: true,
                percentage: 10.0,
                key: None,
                history: vec![PastChange {
                    at_ms: 1_772_878_440_000,
                    who: "ann".to_owned(),
                    why: "second\x1b[2J\nstage".to_owned(),
                    use_kinesis: true,
                    percentage: 10.0,
                    key: None,
                }],
            }),
            traffic: Ok(TrafficPeriods {
                recent,
                before: Traffic::default(),
            }),
            ticks_per_second: Ok(3.25),
            lag: Ok(vec![ConsumerLag {
                name: "archive".to_owned(),
                records: Some(4),
                age_ms: 3_000,
                every_ms: 10_000,
                down_ms: None,
                set_aside: 0,
            }]),
            ledger: Ok(Ledger::default()),
            disk: Ok(Disk {
                free_bytes: 9_000_000,
                min_free_bytes: Some(20_000_000),
                store_bytes: 67_000_000,
            }),
            quarantined: Ok(Quarantined {
                total: Some(9),
                recent: BTreeMap::from([("invalid_price".to_owned(), 2)]),
                unprocessable: 0,
            }),
            ..view()
        };
        let text = text(&view);
        for line in [
            "process   http://127.0.0.1:8080, process 7, up for 90 s",
            "rollout   10 %; seen: 9.80 % of 1000 new ticks in 300 s",
            "rate      3.2 ticks/s",
            "lag       archive 4 records behind (3 s)",
            "malformed lately 2 invalid_price; 9 kept",
            "disk      9 MB free, the store takes 67 MB, ticks are refused below 20 MB, and so they are now",
            "change    2026-03-07T10:14:00Z  10 %  ann: second",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        assert!(!text.contains('\x1b'), "{text}");
        assert_eq!(text.lines().count(), 8, "{text}");
    }

    #[test]
    fn what_is_not_seen_says_why() {
        let text = text(&view());
        let expected = "rate      not seen: no process runs (start it)";
        assert!(text.contains(expected), "{text}");
        assert!(
            text.contains("lag       not seen: no process runs"),
            "{text}"
        );
    }
}
