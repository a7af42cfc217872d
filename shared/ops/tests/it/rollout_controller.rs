//! Steps of the rollout against a stream that follows the flag with a delay.

pub(crate) mod bench;

use std::sync::atomic::Ordering;
use std::time::Duration;

use app::ports::PortError;
use async_trait::async_trait;
use domain::{Percentage, RolloutKey};
use ops::ports::{Arrivals, Poll};
use ops::rollout_controller::{RolloutController, RolloutControllerError, Signature};
use tokio::time::Instant;

use bench::{Health, bench, by, signed, value};

#[tokio::test(start_paused = true)]
async fn a_step_up_waits_for_alarms_that_are_new() {
    let mut bench = bench(0, &[]);
    bench.alarms.decided_after = 20.into();
    bench.set("canary", false).await.unwrap();
    assert_eq!(bench.alarms.decided_after.load(Ordering::Relaxed), 0);

    // One that is never decided is no reason to go up.
    bench.alarms.decided_after = u32::MAX.into();
    let refused = bench.set("10", false).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "an alarm is without enough data yet: ticks-new"
    );
    assert_eq!(bench.flag.share(), Percentage::try_from(1.0).unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_step_up_on_an_emulator_names_the_alarms_that_nobody_sees() {
    let mut bench = bench(0, &[]);
    bench.alarms.states.unseen = vec!["ticks-lag".to_owned()];
    let changed = bench.set("canary", false).await.unwrap();
    let note = "on an emulator, which evaluates no alarms, these could not be seen: ticks-lag";
    assert_eq!(changed.notes, [note]);
}

#[tokio::test(start_paused = true)]
async fn a_step_up_is_recorded_and_only_the_cohort_arrives() {
    let mut bench = bench(4_000, &[]);
    for (stage, percent) in [("canary", 1.0), ("10", 10.0), ("50", 50.0), ("100", 100.0)] {
        let seen = bench.step(stage, false).await.unwrap();
        assert_eq!(bench.flag.share(), Percentage::try_from(percent).unwrap());
        assert_eq!(seen.outside_cohort, 0, "{stage}");
        assert!(seen.watched_ms >= 10_000 && seen.caught_up);
    }
    let changes = bench.flag.changes.lock().unwrap();
    assert_eq!(changes.len(), 5);
    assert!(
        changes[1..]
            .iter()
            .all(|change| change.who == "night shift")
    );
    assert!(
        changes.iter().all(|change| change.value.key.is_none()),
        "nobody chose a key"
    );
}

#[tokio::test(start_paused = true)]
async fn the_cohort_follows_the_key_that_the_processes_use() {
    for (in_flag, started_with) in [
        (None, RolloutKey::Tick),
        (None, RolloutKey::Token),
        (Some(RolloutKey::Token), RolloutKey::Tick),
    ] {
        let mut bench = bench(0, &[]).at("10", in_flag);
        bench.traffic.key = started_with;
        let seen = bench.step("50", false).await.unwrap();
        assert!(seen.arrived > 0);
        assert_eq!(seen.outside_cohort, 0, "{in_flag:?} {started_with:?}");
        assert_eq!(bench.flag.last().value.key, in_flag, "a step keeps the key");
        bench.rollback().await.unwrap();
        assert_eq!(
            bench.flag.last().value.key,
            in_flag,
            "and so does a rollback"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_process_that_ignores_the_flag_is_noticed() {
    let mut bench = bench(0, &[]).at("100", None);
    // From now on the traffic stays at 100 %.
    bench.traffic.behind_ms = 3_600_000;
    bench.traffic.seen.push_back((0, value("100", None)));
    let seen = bench.step("10", false).await.unwrap();
    assert!(seen.outside_cohort > 0, "{seen:?}");
    assert!(matches!(
        bench.rollback().await,
        Err(RolloutControllerError::NotDrained)
    ));
}

#[tokio::test(start_paused = true)]
async fn a_refused_step_changes_nothing_and_a_forced_one_is_taken() {
    let mut bench = bench(0, &["tickstream-lag"]);
    for stage in ["canary", "10"] {
        assert!(matches!(
            bench.step(stage, false).await,
            Err(RolloutControllerError::Refused(_))
        ));
    }
    assert_eq!(bench.flag.changes.lock().unwrap().len(), 1);
    let changed = bench.set("10", true).await.unwrap();
    assert_eq!(changed.notes, ["forced despite alarms: tickstream-lag"]);
    assert_eq!(bench.flag.share(), "10".parse().unwrap());
}

#[tokio::test(start_paused = true)]
async fn without_alarms_only_a_forced_step_goes_up() {
    let mut bench = bench(0, &[]);
    bench.alarms.states.watched = 0;
    let refused = bench.set("canary", false).await.unwrap_err();
    assert!(refused.to_string().contains("no alarms"), "{refused}");
    let changed = bench.set("canary", true).await.unwrap();
    assert_eq!(changed.notes, ["forced although the project has no alarms"]);
}

#[tokio::test(start_paused = true)]
async fn an_unforced_step_up_needs_alarms_and_stream() {
    for (alarms, stream) in [
        (Health::Broken, Health::Working),
        (Health::Working, Health::Broken),
        (Health::Working, Health::Silent),
    ] {
        let mut bench = bench(0, &[]);
        bench.alarms.health = alarms;
        bench.traffic.health = stream;
        let refused = bench.set("canary", false).await;
        assert!(
            matches!(refused, Err(RolloutControllerError::Port(_))),
            "{refused:?}"
        );
        assert_eq!(
            bench.flag.share(),
            Percentage::ZERO,
            "{alarms:?} {stream:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn steps_down_and_forced_steps_need_only_the_flag() {
    for health in [Health::Broken, Health::Silent] {
        for (stage, forced) in [("10", false), ("100", true)] {
            let mut bench = bench(0, &[]).at("50", None);
            bench.alarms.health = health;
            bench.traffic.health = health;
            let began = Instant::now();
            let changed = bench.set(stage, forced).await.unwrap();
            assert!(began.elapsed() <= Duration::from_secs(4));
            assert_eq!(bench.flag.share(), stage.parse().unwrap());
            assert_eq!(changed.notes.len(), usize::from(forced), "{changed:?}");
            let unseen = bench.step(stage, forced).await;
            assert!(
                matches!(unseen, Err(RolloutControllerError::Port(_))),
                "{unseen:?}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_rollback_waits_until_nothing_new_arrives() {
    let mut bench = bench(3_000, &["tickstream-lag"]);
    for stage in ["canary", "10", "50", "100"] {
        bench.step(stage, true).await.unwrap();
    }
    let began = Instant::now();
    let seen = bench.rollback().await.unwrap();
    let last_ms = seen.last_arrival_after_ms.unwrap();
    assert!((2_000..=4_000).contains(&last_ms), "{seen:?}");
    assert!(seen.arrived > 0);
    assert!(
        began.elapsed() >= Duration::from_millis(6_500),
        "every cached flag has expired"
    );
    let opened = bench.traffic.opened_at.last();
    assert_eq!(opened, Some(&Percentage::ZERO), "the flag came first");
}

#[tokio::test(start_paused = true)]
async fn a_rollback_without_traffic_sees_no_arrival() {
    let mut bench = bench(0, &[]);
    let seen = bench.rollback().await.unwrap();
    assert_eq!((seen.arrived, seen.last_arrival_after_ms), (0, None));
}

#[tokio::test(start_paused = true)]
async fn a_rollback_only_needs_to_write_the_flag() {
    for health in [Health::Broken, Health::Silent] {
        let mut bench = bench(0, &[]).at("100", None);
        *bench.flag.reading.lock().unwrap() = health;
        bench.traffic.health = health;
        bench.alarms.health = health;
        let began = Instant::now();
        let changed = bench.lower(signed("rollback")).await;
        assert!(began.elapsed() <= Duration::from_secs(4));
        assert_eq!(bench.flag.share(), Percentage::ZERO);
        assert_eq!(changed.before, None);
        assert!(changed.notes[0].contains("not known"), "{changed:?}");
        let unseen = bench.watch_drained(&changed).await;
        assert!(
            matches!(unseen, Err(RolloutControllerError::Port(_))),
            "{unseen:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_invalid_flag_blocks_steps_but_not_a_rollback() {
    let mut bench = bench(0, &[]).at("100", None);
    *bench.flag.unreadable.lock().unwrap() = Some("`1O`, which is not a rollout".to_owned());
    let refused = bench.set("10", false).await.unwrap_err();
    assert!(refused.to_string().contains("`1O`"), "{refused}");
    let changed = bench.lower(signed("rollback")).await;
    assert_eq!(bench.flag.share(), Percentage::ZERO);
    assert!(
        changed.notes[0].contains("replaced an invalid value: `1O`"),
        "{changed:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_rollback_accepts_any_signature() {
    let mut bench = bench(0, &[]).at("100", None);
    let changed = Signature {
        who: " ".to_owned(),
        why: "x".repeat(600),
    };
    bench.lower(changed).await;
    let last = bench.flag.last();
    assert_eq!((last.who.as_str(), last.why.len()), ("unknown", 500));
}

#[tokio::test(start_paused = true)]
async fn the_wait_ends_even_if_the_stream_is_never_read_to_its_end() {
    let mut bench = bench(0, &[]).at("100", None);
    bench.traffic.never_caught_up = true;
    let began = Instant::now();
    let behind = bench.rollback().await;
    assert!(
        matches!(behind, Err(RolloutControllerError::Behind)),
        "{behind:?}"
    );
    assert!(began.elapsed() <= Duration::from_secs(61));

    // The same if a poll hangs after the stream was opened.
    let changed = bench.lower(signed("rollback")).await;
    let mut hanging = Hanging;
    let controller = RolloutController {
        flag: bench.flag.as_ref(),
        alarms: &bench.alarms,
        clock: bench.clock.as_ref(),
    };
    let began = Instant::now();
    let behind = controller.watch_drained(&changed, &mut hanging).await;
    assert!(
        matches!(behind, Err(RolloutControllerError::Behind)),
        "{behind:?}"
    );
    assert!(began.elapsed() <= Duration::from_secs(61));
}

/// A stream that opens, and then never responds.
struct Hanging;

#[async_trait]
impl Arrivals for Hanging {
    async fn watch_from(&mut self, _: i64) -> Result<(), PortError> {
        Ok(())
    }

    async fn poll(&mut self) -> Result<Poll, PortError> {
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_step_that_crosses_a_rollback_leaves_the_lower_share() {
    let mut bench = bench(0, &[]).at("10", None);
    let rollback = by("day shift", value("0", None));
    bench.flag.meanwhile.lock().unwrap().push_back(rollback);
    let changed = bench.set("50", false).await.unwrap();
    assert_eq!(bench.flag.share(), Percentage::ZERO);
    assert_eq!(changed.value.share(), Percentage::ZERO);
    assert!(
        changed.notes[0].contains("day shift had set 0 %"),
        "{changed:?}"
    );

    // A higher one is overwritten, and reported.
    let higher = by("day shift", value("100", None));
    bench.flag.meanwhile.lock().unwrap().push_back(higher);
    let changed = bench.set("canary", false).await.unwrap();
    assert_eq!(bench.flag.share(), "1".parse().unwrap());
    assert!(changed.notes[0].contains("100 %"), "{changed:?}");
}

#[tokio::test(start_paused = true)]
async fn a_rollback_that_crosses_a_step_stays_at_zero() {
    let mut bench = bench(0, &[]).at("10", None);
    let step = by("day shift", value("50", None));
    bench.flag.meanwhile.lock().unwrap().push_back(step);
    let changed = bench.lower(signed("rollback")).await;
    assert_eq!(bench.flag.share(), Percentage::ZERO);
    assert!(changed.notes[0].contains("50 %"), "{changed:?}");
}
