//! The stages, the shares they let in, what refuses a stage, and the way back under load.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::Value;

use domain::{Percentage, Rollout, RolloutKey, Tick, TickId};
use testkit::ticks::{tick, ticks};
use tokio::time::Instant;

use crate::project::{FLAG_CACHED, Project, until};

/// Ticks of a stage: enough for the share to be some, and few where all go on, since the emulator
/// writes an object for each.
fn ticks_of_stage(percent: &str) -> u32 {
    match percent {
        "1" => 500,
        "10" => 200,
        _ => 60,
    }
}

fn cohort(ticks: &[Tick], percent: &str) -> BTreeSet<TickId> {
    let rollout = Rollout {
        use_kinesis: true,
        percentage: percent.parse::<Percentage>().unwrap(),
        key: RolloutKey::Tick,
    };
    let inside = ticks.iter().filter(|tick| rollout.admits(tick));
    inside.map(|tick| tick.tick_id).collect()
}

/// Posts ticks of a token that no other stage uses, and checks store and stream for each.
async fn share_is_exact(project: &Project, percent: &str) {
    let made = ticks(&[&format!("stage-{percent}")], ticks_of_stage(percent));
    let mut offered = 0;
    for delivery in made.chunks(50) {
        let answer = project.post_ticks(delivery).await;
        assert_eq!(answer["stored"], delivery.len(), "{answer}");
        // A slow emulator may leave some to the redrive queue.
        offered += answer["streamed"].as_u64().unwrap() + answer["redriven"].as_u64().unwrap();
    }
    let all: BTreeSet<TickId> = made.iter().map(|tick| tick.tick_id).collect();
    let stored = project.stored().await;
    assert!(
        all.is_subset(&stored),
        "every tick is stored at {percent} %"
    );
    let expected = cohort(&made, percent);
    assert_eq!(
        offered,
        expected.len() as u64,
        "the answers count the cohort"
    );
    let arrived = async || -> BTreeSet<TickId> {
        let streamed = project.streamed().await;
        let ids = streamed.iter().map(|tick| tick.tick_id);
        ids.filter(|id| all.contains(id)).collect()
    };
    until("the cohort is in the stream", async || {
        arrived().await.is_superset(&expected)
    })
    .await;
    assert_eq!(
        arrived().await,
        expected,
        "nothing but the cohort at {percent} %"
    );
    if percent != "0" {
        assert!(
            !expected.is_empty(),
            "the test's ticks are too few for {percent} %"
        );
    }
}

/// Posts a tick at a time until it is told to stop; answers what was taken.
async fn traffic(project: Arc<Project>, stop: Arc<AtomicBool>, lane: u32) -> Vec<(Tick, Instant)> {
    let mut taken = Vec::new();
    let mut n = 0;
    while !stop.load(Ordering::Relaxed) {
        let made = tick(&format!("load-{lane}"), n);
        n += 1;
        let answer = project.post_ticks(std::slice::from_ref(&made)).await;
        assert_eq!(answer["stored"], 1, "{answer}");
        taken.push((made, Instant::now()));
    }
    taken
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stages_go_up_one_by_one_and_back_within_seconds() {
    let project = Arc::new(Project::deploy().await);
    assert_eq!(
        project.output("rollout"),
        "0 %",
        "the first deploy lets nothing in"
    );
    share_is_exact(&project, "0").await;

    let skipped = project.run(&["10", "--watch", "1"]).await;
    assert_ne!(skipped.code, 0);
    assert!(
        skipped.err.contains("the next stage is canary (1 %)"),
        "{skipped:?}"
    );

    for (stage, percent) in [("canary", "1"), ("10", "10"), ("50", "50"), ("100", "100")] {
        let told = project
            .run(&[stage, "--watch", "1", "--why", "a test"])
            .await
            .ok();
        println!("{told}");
        assert!(told.contains("->"), "{told}");
        share_is_exact(&project, percent).await;
    }

    // Down by stages goes as well, and an alarm stops the way up until it is forced.
    project.run(&["50", "--watch", "1"]).await.ok();
    alarm(&project, "ALARM").await;
    let refused = project.run(&["100", "--watch", "1"]).await;
    assert_ne!(refused.code, 0);
    assert!(refused.err.contains("alarm is on"), "{refused:?}");
    project
        .run(&["100", "--watch", "1", "--force", "the alarm is known"])
        .await
        .ok();
    alarm(&project, "OK").await;

    roll_back_under_load(&project).await;

    let status = project.run(&["status"]).await.ok();
    println!("{status}");
    assert!(status.contains("forced: the alarm is known"), "{status}");
    assert!(status.contains("night shift: too much lag"), "{status}");
    // Which code is deployed, as the process itself tells and as Lambda does.
    let variables = project.variables("webhook").await;
    let hash = variables["CODE_SHA256"].as_str().unwrap();
    let by_itself = format!("{hash} webhook {}", env!("CARGO_PKG_VERSION"));
    assert!(status.contains(&by_itself), "{status}");
    let by_lambda = format!("{hash} {}-webhook", project.name);
    assert!(status.contains(&by_lambda), "{status}");

    // A second deploy of the same code leaves the flag where it is.
    let again = project.run(&["infra"]).await.ok();
    assert!(again.contains("rollout   0 %"), "{again}");
}

async fn alarm(project: &Project, state: &str) {
    use aws_sdk_cloudwatch::types::StateValue;
    let cloudwatch = aws_sdk_cloudwatch::Client::new(&project.emulator.sdk_config());
    let alarms = cloudwatch
        .describe_alarms()
        .alarm_name_prefix(format!("{}-", project.name))
        .send()
        .await
        .unwrap();
    let name = alarms
        .metric_alarms()
        .first()
        .unwrap()
        .alarm_name()
        .unwrap()
        .to_owned();
    cloudwatch
        .set_alarm_state()
        .alarm_name(name)
        .state_value(StateValue::from(state))
        .state_reason("a test")
        .send()
        .await
        .unwrap();
}

/// 100 % → 0 while requests flow: every tick is stored, none that was taken after the flag had
/// reached all processes is in the stream, and the broadcast goes on.
async fn roll_back_under_load(project: &Arc<Project>) {
    let stop = Arc::new(AtomicBool::new(false));
    let (mut live, _) = tokio_tungstenite::connect_async(project.output("live"))
        .await
        .unwrap();
    // The ticks that were heard.
    let heard: Arc<Mutex<BTreeSet<String>>> = Arc::default();
    let hearing = Arc::clone(&heard);
    let listening = tokio::spawn(async move {
        while let Some(Ok(message)) = live.next().await {
            let message: Value = serde_json::from_str(&message.to_string()).unwrap_or_default();
            let ticks = message["ticks"].as_array().cloned().unwrap_or_default();
            let ids = ticks.iter().filter_map(|tick| tick["tick_id"].as_str());
            hearing.lock().unwrap().extend(ids.map(str::to_owned));
        }
    });
    let lanes: Vec<_> = (0..4)
        .map(|lane| tokio::spawn(traffic(Arc::clone(project), Arc::clone(&stop), lane)))
        .collect();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let flipped = Instant::now();
    let told = project
        .run(&["rollback", "--why", "too much lag"])
        .await
        .ok();
    println!(
        "{told}(the whole command took {:.1} s)",
        flipped.elapsed().as_secs_f64()
    );
    assert!(told.contains("the stream is drained"), "{told}");
    let returned = Instant::now();
    tokio::time::sleep(Duration::from_secs(3)).await;
    stop.store(true, Ordering::Relaxed);
    let mut by_lane = Vec::new();
    for lane in lanes {
        by_lane.push(lane.await.unwrap());
    }
    broadcasts_are_unbroken(&by_lane, [flipped, returned], &heard).await;
    listening.abort();
    let taken = by_lane.concat();
    let stored = project.stored().await;
    let missing: Vec<_> = taken
        .iter()
        .filter(|(tick, _)| !stored.contains(&tick.tick_id))
        .collect();
    assert!(
        missing.is_empty(),
        "{} of {} ticks are not stored",
        missing.len(),
        taken.len()
    );
    let streamed: BTreeSet<TickId> = project.streamed().await.iter().map(|t| t.tick_id).collect();
    let (mut before, mut after, mut last) = (0_u32, 0_u32, Duration::ZERO);
    for (tick, at) in &taken {
        if *at <= flipped {
            before += 1;
            assert!(
                streamed.contains(&tick.tick_id),
                "at 100 % every tick is in the stream"
            );
        } else if streamed.contains(&tick.tick_id) {
            last = last.max(at.duration_since(flipped));
        }
        // `at` is when the answer came: the request was made after the command returned.
        if *at > returned + Duration::from_secs(1) {
            after += 1;
            assert!(
                !streamed.contains(&tick.tick_id),
                "nothing goes to the stream any more"
            );
        }
    }
    assert!(
        before > 10 && after > 10,
        "there was load before and after: {before}, {after}"
    );
    assert!(
        last <= FLAG_CACHED + Duration::from_secs(5),
        "the last one came after {last:?}"
    );
    println!(
        "{} ticks under load; the last in the stream {last:?} after the command began",
        taken.len()
    );
}

/// A batch's ticks of one token are told as their last one. So of each lane the last tick of all must
/// be heard; and, since a batch is far shorter than each of the three times around the two moments,
/// something of each of them.
async fn broadcasts_are_unbroken(
    by_lane: &[Vec<(Tick, Instant)>],
    moments: [Instant; 2],
    heard: &Mutex<BTreeSet<String>>,
) {
    let was_heard = |tick: &Tick| heard.lock().unwrap().contains(&tick.tick_id.to_string());
    until("the last tick of each lane is broadcast", async || {
        let mut lasts = by_lane.iter().map(|lane| lane.last().unwrap());
        lasts.all(|(tick, _)| was_heard(tick))
    })
    .await;
    for lane in by_lane {
        let mut parts = [(0, 0); 3];
        for (tick, at) in lane {
            let part = moments.iter().filter(|moment| *at > **moment).count();
            parts[part].0 += 1;
            parts[part].1 += u32::from(was_heard(tick));
        }
        println!("taken and heard before, while and after the way back: {parts:?}");
        assert!(
            parts.iter().all(|(taken, heard)| *taken > 0 && *heard > 0),
            "the broadcast stood still: {parts:?}"
        );
    }
}
