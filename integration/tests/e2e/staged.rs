//! The rollout's stages, their shares, the checks before a stage, and the rollback under load.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::Value;

use domain::{Tick, TickId};
use testkit::ticks::{tick, ticks};
use tokio::time::Instant;

use crate::project::{FLAG_CACHED, Project, WAIT_TIMEOUT, body_of, cohort, until};

/// The ticks of a stage: enough for a share of them to be in the cohort, but few at high shares, since the
/// emulator writes an object for each.
fn ticks_of_stage(percent: &str) -> u32 {
    match percent {
        "1" => 500,
        "10" => 200,
        _ => 60,
    }
}

/// Posts ticks of a token, and returns how many of them were offered to the stream. `None` if a delivery was refused:
/// the counts of its repeat would not be those of its ticks.
async fn offered(project: &Project, ticks: &[Tick]) -> Option<u64> {
    let mut offered = 0;
    for delivery in ticks.chunks(50) {
        let (status, answer) = project.post("ticks", body_of(delivery)).await;
        if status == 503 {
            return None;
        }
        assert_eq!(status, 200, "{answer}");
        assert_eq!(answer["stored"], delivery.len(), "{answer}");
        // With a slow emulator, some may go through the redrive queue.
        offered += answer["streamed"].as_u64().unwrap() + answer["redriven"].as_u64().unwrap();
    }
    Some(offered)
}

/// Posts ticks of a token that no other stage uses, and checks store and stream for each.
async fn share_is_exact(project: &Project, percent: &str) {
    let mut attempt = 0;
    let (sent, offered) = loop {
        let token = format!("stage-{percent}-{attempt}");
        let sent = ticks(&[&token], ticks_of_stage(percent));
        if let Some(offered) = offered(project, &sent).await {
            break (sent, offered);
        }
        attempt += 1;
        assert!(attempt < 10, "the deliveries are refused");
        tokio::time::sleep(Duration::from_secs(1)).await;
    };
    let all: BTreeSet<TickId> = sent.iter().map(|tick| tick.tick_id).collect();
    let stored = project.stored().await;
    assert!(
        all.is_subset(&stored),
        "every tick is stored at {percent} %"
    );
    let expected = cohort(&sent, percent);
    assert_eq!(
        offered,
        expected.len() as u64,
        "the responses count the cohort"
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

/// Posts ticks one by one until it is stopped, and returns those that were accepted.
async fn traffic(
    project: Arc<Project>,
    stop: Arc<AtomicBool>,
    sender: u32,
) -> Vec<(Tick, Instant)> {
    let mut taken = Vec::new();
    let mut n = 0;
    while !stop.load(Ordering::Relaxed) {
        let sent = tick(&format!("load-{sender}"), n);
        n += 1;
        project.deliver(std::slice::from_ref(&sent)).await;
        taken.push((sent, Instant::now()));
    }
    taken
}

#[tokio::test(flavor = "multi_thread")]
async fn stages_are_raised_one_by_one_and_rolled_back_within_seconds() {
    let project = Arc::new(Project::deploy().await);
    assert_eq!(
        project.output("rollout"),
        "0 %",
        "the share is 0 after the first deploy"
    );
    share_is_exact(&project, "0").await;

    let skipped = project.run(&["10", "--watch", "1"]).await;
    assert_ne!(skipped.code, 0);
    assert!(
        skipped.err.contains("the next stage is canary (1 %)"),
        "{skipped:?}"
    );

    // Traffic goes on all the time.
    let stop = Arc::new(AtomicBool::new(false));
    let background = tokio::spawn(steady_traffic(Arc::clone(&project), Arc::clone(&stop)));
    for (stage, percent) in [("canary", "1"), ("10", "10"), ("50", "50"), ("100", "100")] {
        if stage != "canary" {
            let young = project.run(&[stage, "--watch", "1"]).await;
            assert!(
                young.err.contains("the stage has been running for"),
                "{young:?}"
            );
        }
        let printed = raise(&project, stage).await;
        println!("{printed}");
        assert!(printed.contains("->"), "{printed}");
        if stage != "canary" {
            assert!(printed.starts_with("proven    "), "{printed}");
        }
        share_is_exact(&project, percent).await;
    }
    stop.store(true, Ordering::Relaxed);
    let sent = background.await.unwrap();
    println!("{sent} ticks were sent meanwhile");

    // Stages can also be lowered, and an alarm blocks raising until it is forced.
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
    // Which code is deployed, according to the webhook and to Lambda.
    let variables = project.variables("webhook").await;
    let hash = variables["CODE_SHA256"].as_str().unwrap();
    let by_itself = format!("{hash} webhook {}", env!("CARGO_PKG_VERSION"));
    assert!(status.contains(&by_itself), "{status}");
    let by_lambda = format!("{hash} {}-webhook", project.name);
    assert!(status.contains(&by_lambda), "{status}");

    // A second deploy of the same code does not change the flag.
    let again = project.run(&["infra"]).await.ok();
    assert!(again.contains("rollout   0 %"), "{again}");
}

/// Twenty ticks a second: no more, since the emulator writes an object for each.
async fn steady_traffic(project: Arc<Project>, stop: Arc<AtomicBool>) -> u32 {
    let tokens = ["ramp-a", "ramp-b", "ramp-c", "ramp-d"];
    let mut every = tokio::time::interval(Duration::from_millis(200));
    let mut n = 0;
    while !stop.load(Ordering::Relaxed) {
        every.tick().await;
        project.deliver(&tokens.map(|token| tick(token, n))).await;
        n += 1;
    }
    n * 4
}

/// Moves to the next stage as soon as the one before is old enough and proven; ticks are due in the archive after 20 s.
async fn raise(project: &Project, stage: &str) -> String {
    let began = Instant::now();
    loop {
        let options = [
            "--watch",
            "1",
            "--why",
            "a test",
            "--proof-seconds",
            "3",
            "--due",
            "20",
        ];
        let step = project.run(&[&[stage][..], &options].concat()).await;
        if step.code == 0 {
            return step.out;
        }
        println!("{}", step.err);
        let is_waiting = ["the stage has been running for", "missing in the"];
        assert!(
            is_waiting.iter().any(|it| step.err.contains(it)),
            "{step:?}"
        );
        assert!(began.elapsed() < WAIT_TIMEOUT, "{step:?}");
        tokio::time::sleep(Duration::from_secs(3)).await;
    }
}

pub(crate) async fn alarm(project: &Project, state: &str) {
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

/// Rolls back from 100 % to 0 under load: every tick is stored, none that was accepted after the flag
/// reached all processes is in the stream, and the broadcast continues.
async fn roll_back_under_load(project: &Arc<Project>) {
    let stop = Arc::new(AtomicBool::new(false));
    let (mut live, _) = tokio_tungstenite::connect_async(project.output("live"))
        .await
        .unwrap();
    // The ticks that were received live.
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
    let senders: Vec<_> = (0..4)
        .map(|sender| tokio::spawn(traffic(Arc::clone(project), Arc::clone(&stop), sender)))
        .collect();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let flipped = Instant::now();
    let printed = project
        .run(&["rollback", "--why", "too much lag"])
        .await
        .ok();
    println!(
        "{printed}(the whole command took {:.1} s)",
        flipped.elapsed().as_secs_f64()
    );
    assert!(printed.contains("the stream is drained"), "{printed}");
    let returned = Instant::now();
    tokio::time::sleep(Duration::from_secs(3)).await;
    stop.store(true, Ordering::Relaxed);
    let mut by_sender = Vec::new();
    for sender in senders {
        by_sender.push(sender.await.unwrap());
    }
    broadcasts_are_unbroken(&by_sender, [flipped, returned], &heard).await;
    listening.abort();
    let taken = by_sender.concat();
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
        // `at` is when the response came; this request was sent after the command returned.
        if *at > returned + Duration::from_secs(1) {
            after += 1;
            assert!(
                !streamed.contains(&tick.tick_id),
                "no tick goes to the stream any more"
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

/// Conflation only keeps the last tick of a token in a batch. So the last tick of each sender must be
/// received, and, since batches are far shorter than the time before, between and after the two moments,
/// also some ticks of each of these three parts.
async fn broadcasts_are_unbroken(
    by_sender: &[Vec<(Tick, Instant)>],
    moments: [Instant; 2],
    heard: &Mutex<BTreeSet<String>>,
) {
    let was_heard = |tick: &Tick| heard.lock().unwrap().contains(&tick.tick_id.to_string());
    until("the last tick of each sender was received", async || {
        let mut lasts = by_sender.iter().map(|sender| sender.last().unwrap());
        lasts.all(|(tick, _)| was_heard(tick))
    })
    .await;
    for sender in by_sender {
        let mut parts = [(0, 0); 3];
        for (tick, at) in sender {
            let part = moments.iter().filter(|moment| *at > **moment).count();
            parts[part].0 += 1;
            parts[part].1 += u32::from(was_heard(tick));
        }
        println!("accepted and received before, during and after the rollback: {parts:?}");
        assert!(
            parts.iter().all(|(taken, heard)| *taken > 0 && *heard > 0),
            "the broadcast was interrupted: {parts:?}"
        );
    }
}
