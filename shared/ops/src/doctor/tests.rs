//! What the tests of the checks assert of a line.

use std::collections::BTreeMap;

use domain::RolloutKey;

use super::check_line::{CheckLine, CheckState, Deployment};
use super::observations::{
    Backlog, BackupAge, Broadcasts, Clocks, ConsumerLag, Disk, Files, Ledger, Quarantined, Queues,
    Receiving, SqlAnswer, Throttles, Traffic, TrafficPeriods, Versions, WriteProbe,
};
use super::shares_in_force::{PastShare, SharesInForce};
use crate::ports::AlarmStates;

/// Asserts the state of a line, and that its evidence and its advice contain some text; without advice, that it
/// has none.
#[track_caller]
pub(super) fn check(line: &CheckLine, state: CheckState, evidence: &str, advice: &str) {
    assert_eq!(line.state, state, "{line:?}");
    assert!(line.evidence.contains(evidence), "{evidence}: {line:?}");
    match &line.advice {
        Some(given) => assert!(!advice.is_empty() && given.contains(advice), "{line:?}"),
        None => assert!(advice.is_empty(), "{line:?}"),
    }
}

/// A share by the ids of ticks that was in force for long.
pub(super) fn shares(percent: f64) -> SharesInForce {
    let present = PastShare {
        from_ms: i64::MIN,
        percent,
        key: Some(RolloutKey::Tick),
    };
    SharesInForce::since(0, present, [], None)
}

/// A process on this machine.
pub(super) fn process() -> Deployment {
    Deployment::Process {
        url: "http://h:9".to_owned(),
        data_dir: Some("/srv/data".to_owned()),
    }
}

/// A project.
pub(super) fn aws() -> Deployment {
    Deployment::Aws {
        project: "prices".to_owned(),
    }
}

/// Lines with advice, of each check that a place has.
fn lines_with_advice(place: &Deployment) -> Vec<CheckLine> {
    let traffic = |received, streamed, rejected| Traffic {
        seconds: 300,
        received,
        stored: received,
        in_cohort: received,
        streamed,
        stream_records: streamed,
        rejected_by_reason: BTreeMap::from([("invalid_price".to_owned(), rejected)]),
        server_errors: Some(0),
        ..Traffic::default()
    };
    let receiving = |received, streamed| {
        let share_percent = 100.0;
        let recent = traffic(received, streamed, 0);
        let seen = Ok(Receiving {
            recent,
            share_percent,
            shares: shares(share_percent),
        });
        super::receiving(place, &seen)
    };
    let files = Files {
        newest_age_ms: None,
        waiting: Some(5),
        waiting_ms: Some(3_600_000),
        streamed: 9,
        every_ms: 0,
        problem: None,
        down_ms: None,
    };
    let no_folder = Files {
        problem: Some("it is gone".to_owned()),
        ..files.clone()
    };
    let answer = SqlAnswer {
        engine: "local",
        ticks: 1,
        took_ms: 60_000,
    };
    let lag = ConsumerLag {
        name: "archive".to_owned(),
        records: None,
        age_ms: 3_600_000,
        down_ms: None,
        set_aside: 0,
        every_ms: 0,
    };
    let ledger = Ledger {
        difference: 1,
        ..Ledger::default()
    };
    let errors = TrafficPeriods {
        recent: traffic(100, 100, 90),
        before: traffic(100, 100, 0),
    };
    let versions = Versions {
        tool: "1".to_owned(),
        running: "2".to_owned(),
        code_sha256: None,
    };
    let broadcasts = Broadcasts {
        readers: None,
        waiting_ms: 3_600_000,
        given_up: 0,
        failures: 0,
    };
    let mut lines = vec![
        receiving(0, 0),
        receiving(9, 0),
        receiving(9, 8),
        super::files(place, &Ok(files)),
        super::files(place, &Ok(no_folder)),
        super::errors(place, &Ok(errors)),
        super::writes(place, &Ok(WriteProbe::Failed("no".to_owned()))),
        super::writes(place, &Ok(WriteProbe::ConsumersDown("no".to_owned()))),
        super::broadcasts(place, &Ok(broadcasts)),
        super::sql(place, &Ok(Ok(answer))),
        super::sql(place, &Ok(Err("no".to_owned()))),
        super::lag(place, &Ok(vec![lag])),
        super::ledger(place, &Ok(ledger)),
        super::versions(place, &Ok(versions)),
    ];
    if matches!(place, Deployment::Aws { .. }) {
        let queues = |redrive, redrive_dlq, analytics_failed| {
            let queues = Queues {
                redrive,
                redrive_dlq,
                analytics_failed,
            };
            super::queues(place, &Ok(queues))
        };
        let throttles = |invocations, writes, records| {
            let throttles = Throttles {
                invocations,
                writes,
                records,
            };
            super::throttles(place, &Ok(throttles))
        };
        lines.extend([
            queues(1, 0, 0),
            queues(0, 1, 0),
            queues(0, 0, 1),
            throttles(1, 0, 0),
            throttles(0, 1, 0),
            throttles(0, 0, 1),
            super::alarms(place, &Ok(AlarmStates::default())),
        ]);
        return lines;
    }
    let backlog = Backlog {
        pending: 1,
        pending_min: 1,
        observed_ms: Some(60_000),
    };
    let quarantined = Quarantined {
        unprocessable: 1,
        ..Quarantined::default()
    };
    let clocks = Clocks {
        ahead_ms: 0,
        within_ms: 0,
        event_ahead_ms: Some(3_600_000),
    };
    let disk = Disk {
        free_bytes: 0,
        min_free_bytes: None,
        store_bytes: 0,
    };
    let backups = BackupAge {
        folder: "backups".to_owned(),
        count: 0,
        newest_ms: None,
    };
    lines.extend([
        super::process(place, None),
        super::outbox(place, &Ok(backlog)),
        super::quarantine(place, &Ok(quarantined)),
        super::clocks(place, &Ok(clocks)),
        super::disk(place, &Ok(disk)),
        super::backups(place, &Ok(backups)),
    ]);
    lines
}

/// The commands that act on a tickstream, of which a machine or an account may have several.
const ACTING: [&str; 6] = ["tickctl", "ticksql", "tickstream", "curl", "aws", "just"];

#[test]
fn no_command_of_an_advice_acts_on_another_tickstream() {
    let data_dir = "/srv/data".to_owned();
    for (place, own) in [
        (process(), &["http://h:9", "/srv/data"][..]),
        (Deployment::Folder { data_dir }, &["/srv/data"]),
        // Limits are the account's.
        (aws(), &["prices", "get-account-settings"]),
    ] {
        let mut commands = 0;
        for line in lines_with_advice(&place) {
            let advice = line.advice.clone().unwrap_or_default();
            assert!(!advice.is_empty() && !advice.contains("  "), "{line:?}");
            assert!(
                ["$URL", "$DIR", "$ACCESS", "$PROJECT"]
                    .iter()
                    .all(|it| !advice.contains(it)),
                "{line:?}"
            );
            for command in advice.split('`').skip(1).step_by(2) {
                if ACTING
                    .iter()
                    .any(|it| command.split(' ').any(|word| word == *it))
                {
                    commands += 1;
                    assert!(
                        own.iter().any(|it| command.contains(it)),
                        "{command}: {line:?}"
                    );
                }
            }
        }
        assert!(commands >= 10, "{place:?}: {commands}");
    }
}
