//! Redeliveries: the same delivery five times, and one of which the table refused a part, at 10 % and at
//! 100 %. (A redelivery an hour later is tested on the models of the tables, without waiting.)

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use domain::{Percentage, Rollout, RolloutKey, Tick, TickId};
use integration::faults::{Choice, Fault, FaultyEndpoint, Times};
use serde_json::json;
use testkit::ticks::ticks;

use crate::flow::minute_trades;
use crate::project::{Project, body_of, until};

/// The items of ticks in the table: when each was first received, and whether it belongs to the stream.
async fn items(project: &Project) -> BTreeMap<TickId, (String, bool)> {
    let scan = project.dynamodb.scan();
    let scan = scan.table_name(format!("{}-ticks", project.name));
    let mut pages = scan.into_paginator().items().send();
    let mut items = BTreeMap::new();
    while let Some(item) = pages.next().await {
        let item = item.unwrap();
        let Some(AttributeValue::S(id)) = item.get("tick_id") else {
            continue;
        };
        let ingested_at = item["ingested_at"].as_n().unwrap().clone();
        let in_cohort = *item["in_cohort"].as_bool().unwrap();
        let before = items.insert(TickId::parse(id).unwrap(), (ingested_at, in_cohort));
        assert_eq!(before, None, "{id} is stored twice");
    }
    items
}

async fn streamed(project: &Project) -> BTreeSet<TickId> {
    let ticks = project.streamed().await;
    ticks.iter().map(|tick| tick.tick_id).collect()
}

fn admitted(ticks: &[Tick], percent: &str) -> BTreeSet<TickId> {
    let rollout = Rollout {
        use_kinesis: true,
        percentage: percent.parse::<Percentage>().unwrap(),
        key: RolloutKey::Tick,
    };
    let inside = ticks.iter().filter(|tick| rollout.admits(tick));
    inside.map(|tick| tick.tick_id).collect()
}

/// Delivers five times; the first write, the cohort and the candles stay as they are.
async fn five_times(project: &Project, token: &str, percent: &str) {
    let sent = ticks(&[token], 20);
    let cohort = admitted(&sent, percent);
    let ids: BTreeSet<TickId> = sent.iter().map(|tick| tick.tick_id).collect();
    let first = project.post_ticks(&sent).await;
    assert_eq!(
        (&first["stored"], &first["duplicate"]),
        (&json!(20), &json!(0)),
        "{first}"
    );
    let stored = items(project).await;
    for _ in 0..4 {
        let again = project.post_ticks(&sent).await;
        assert_eq!(
            (&again["stored"], &again["duplicate"]),
            (&json!(0), &json!(20)),
            "{again}"
        );
    }
    assert_eq!(items(project).await, stored, "the first write stays");
    let decided = stored
        .iter()
        .filter(|(id, (_, in_cohort))| *in_cohort && ids.contains(id));
    assert_eq!(decided.map(|(id, _)| *id).collect::<BTreeSet<_>>(), cohort);
    settled(project, token, &ids, &cohort).await;
}

/// Waits until the candles count the cohort, and a little longer for what must not come.
async fn settled(
    project: &Project,
    token: &str,
    ids: &BTreeSet<TickId>,
    cohort: &BTreeSet<TickId>,
) {
    until("the candles count the cohort", async || {
        minute_trades(project, token).await >= cohort.len() as u64
    })
    .await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(minute_trades(project, token).await, cohort.len() as u64);
    let streamed: BTreeSet<TickId> = streamed(project).await.intersection(ids).copied().collect();
    assert_eq!(
        streamed, *cohort,
        "the stream has the cohort and nothing else"
    );
}

/// The table refuses a tick until the webhook gives up; the sender delivers again.
async fn refused_in_part(project: &Project, faulty: &FaultyEndpoint, token: &str, percent: &str) {
    let sent = ticks(&[token], 20);
    let ids: BTreeSet<TickId> = sent.iter().map(|tick| tick.tick_id).collect();
    let refusal = Fault::Refused(Choice::First(1));
    faulty
        .fail("BatchWriteItem", refusal, Times::Always)
        .unwrap();
    let (status, answer) = project.post("ticks", body_of(&sent)).await;
    assert_eq!(status, 503, "{answer}");
    let first = items(project).await;
    let stored = first.keys().filter(|id| ids.contains(id)).count();
    assert!((1..20).contains(&stored), "{stored} of 20 were stored");
    faulty.heal();
    let again = project.post_ticks(&sent).await;
    assert_eq!(
        (&again["stored"], &again["duplicate"]),
        (&json!(20 - stored), &json!(stored)),
        "{again}"
    );
    let whole = items(project).await;
    assert!(first.iter().all(|(id, item)| whole.get(id) == Some(item)));
    settled(project, token, &ids, &admitted(&sent, percent)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_delivered_again_counts_once_at_every_share() {
    let project = Project::deploy().await;
    let faulty = FaultyEndpoint::start(project.emulator).await.unwrap();
    let endpoint = ("AWS_ENDPOINT_URL_DYNAMODB", faulty.url_for_functions());
    project.set_variables("webhook", &[endpoint]).await;
    for percent in ["10", "100"] {
        let reason = ["--watch", "1", "--force", "a test begins here"];
        project.run(&[&[percent], &reason[..]].concat()).await.ok();
        five_times(&project, &format!("again-{percent}"), percent).await;
        refused_in_part(&project, &faulty, &format!("part-{percent}"), percent).await;
    }
    // At 100 %, ticks of the 10 % stage follow the first decision.
    let sent = ticks(&["again-10"], 20);
    let cohort = admitted(&sent, "10");
    let answer = project.post_ticks(&sent).await;
    assert_eq!(answer["duplicate"], 20, "{answer}");
    let ids = sent.iter().map(|tick| tick.tick_id).collect();
    settled(&project, "again-10", &ids, &cohort).await;
}
