//! Redeliveries: the same delivery five times, and one of which the table refused a part, at 10 % and at
//! 100 %. The emulator invokes the functions. A redelivery an hour later, and the rules of AWS's event source,
//! are tested on models, in `each_tick_once` and `shared/aws`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use domain::{Tick, TickId};
use integration::faults::{Choice, Fault, FaultyEndpoint, Times};
use serde_json::{Value, json};
use testkit::ticks::ticks;

use crate::flow::minute_trades;
use crate::project::{Project, body_of, cohort, until};

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

/// The ticks of a delivery: enough for some of them to be in the cohort of 10 %.
const TICKS: u32 = 60;

/// A delivery, and what must become of it.
struct Delivery {
    token: String,
    sent: Vec<Tick>,
    cohort: BTreeSet<TickId>,
}

impl Delivery {
    fn new(token: &str, percent: &str) -> Self {
        let token = format!("{token}-{percent}");
        let mut sent = ticks(&[&token], TICKS);
        let cohort = cohort(&sent, percent);
        assert!(!cohort.is_empty(), "{token}");
        // A fault that hits the first item of a call then hits a tick of the cohort.
        sent.sort_by_key(|tick| !cohort.contains(&tick.tick_id));
        Self {
            token,
            sent,
            cohort,
        }
    }

    /// Compares the table with what was sent and decided.
    fn check_items(&self, items: &BTreeMap<TickId, (String, bool)>) {
        for tick in &self.sent {
            let in_cohort = items.get(&tick.tick_id).map(|(_, in_cohort)| *in_cohort);
            assert_eq!(in_cohort, Some(self.cohort.contains(&tick.tick_id)));
        }
    }

    /// Waits until the candles count the cohort, and a little longer for what must not come.
    async fn check_results(&self, project: &Project) {
        let expected = self.cohort.len() as u64;
        until("the candles count the cohort", async || {
            minute_trades(project, &self.token).await >= expected
        })
        .await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(minute_trades(project, &self.token).await, expected);
        let streamed = project.streamed().await;
        let streamed = streamed
            .iter()
            .filter(|tick| tick.token.as_str() == self.token);
        let streamed: BTreeSet<TickId> = streamed.map(|tick| tick.tick_id).collect();
        assert_eq!(
            streamed, self.cohort,
            "the stream has the cohort and nothing else"
        );
    }
}

fn check_answer(answer: &Value, stored: usize, duplicate: usize) {
    let counts = (&answer["stored"], &answer["duplicate"]);
    assert_eq!(counts, (&json!(stored), &json!(duplicate)), "{answer}");
}

/// Delivers five times; the first write, the cohort and the candles stay as they are.
async fn five_times(project: &Project, percent: &str) {
    let delivery = Delivery::new("again", percent);
    let all = delivery.sent.len();
    check_answer(&project.post_ticks(&delivery.sent).await, all, 0);
    let stored = items(project).await;
    delivery.check_items(&stored);
    for _ in 0..4 {
        check_answer(&project.post_ticks(&delivery.sent).await, 0, all);
    }
    assert_eq!(items(project).await, stored, "the first write stays");
    delivery.check_results(project).await;
}

/// The table refuses the first item of each call, a tick of the cohort among them, until the webhook
/// returns a 503. The sender delivers again.
async fn refused_in_part(project: &Project, faulty: &FaultyEndpoint, percent: &str) {
    let delivery = Delivery::new("part", percent);
    // The token's day is in the list of days before: while that cannot be written, nothing is stored.
    let listed = delivery.sent.get(..1).unwrap();
    check_answer(&project.post_ticks(listed).await, 1, 0);
    let refusal = Fault::Refused(Choice::First(1));
    faulty
        .fail("BatchWriteItem", refusal, Times::Always)
        .unwrap();
    let (status, answer) = project.post("ticks", body_of(&delivery.sent)).await;
    assert_eq!(status, 503, "{answer}");
    let first = items(project).await;
    let is_stored = |tick: &&Tick| first.contains_key(&tick.tick_id);
    let stored = delivery.sent.iter().filter(is_stored).count();
    let all = delivery.sent.len();
    assert!((1..all).contains(&stored), "{stored} of {all} were stored");
    let is_missing = |id: &TickId| !first.contains_key(id);
    assert!(
        delivery.cohort.iter().any(is_missing),
        "a tick of the cohort was refused"
    );
    faulty.heal();
    check_answer(
        &project.post_ticks(&delivery.sent).await,
        all - stored,
        stored,
    );
    let whole = items(project).await;
    assert!(first.iter().all(|(id, item)| whole.get(id) == Some(item)));
    delivery.check_items(&whole);
    delivery.check_results(project).await;
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
        five_times(&project, percent).await;
        refused_in_part(&project, &faulty, percent).await;
    }
    // At 100 %, ticks of the 10 % stage follow the first decision.
    let delivery = Delivery::new("again", "10");
    check_answer(
        &project.post_ticks(&delivery.sent).await,
        0,
        delivery.sent.len(),
    );
    delivery.check_results(&project).await;
}
