//! The proof of a stage on AWS, over faults of one tick in ten thousand and a Firehose that stands still.

use app::ports::TickStore as _;
use async_trait::async_trait;
use domain::{Price, Tick};
use ops::flag_record::FLAG_CACHED_MS;
use ops::stage_proof::{Prover, StageProof};
use ops::verify::{Proof, Repair as _};
use testkit::stream_fault::StreamFault;
use testkit::ticks::in_cohort;

use crate::verify::{Stores, listed, received};

/// Ticks of the stage, all of the cohort.
const COUNT: usize = 30_000;

/// Ticks that are archived before Firehose stands still.
const ARCHIVED_BEFORE: usize = 9_000;

struct StoresProver<'a>(&'a Stores);

#[async_trait]
impl Prover for StoresProver<'_> {
    async fn prove(&self, from_ms: i64) -> Result<Proof, String> {
        Ok(self.0.verify(from_ms, false).await)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_stage_goes_up_over_a_fault_of_one_in_ten_thousand_on_aws() {
    let now_ms = runtime::clock::now_ms();
    let tokens: Vec<String> = (0..30).map(|n| format!("T{n}")).collect();
    let tokens: Vec<&str> = tokens.iter().map(String::as_str).collect();
    let mut made = received(&tokens, 1_000, now_ms);
    for (at, tick) in made.iter_mut().enumerate() {
        tick.price = Price::parse(&format!("4{at:04}.25", at = at % 10_000)).unwrap();
    }
    assert_eq!(made.len(), COUNT);
    let mut stores = Stores::new().await;
    let table = listed(&stores.tables, &stores.table);
    for part in in_cohort(&made).chunks(1_000) {
        table.put(part).await.unwrap();
    }
    for (fault, archived, expected) in [
        (StreamFault::None, COUNT, Ok(COUNT as u64)),
        (StreamFault::Drops, COUNT, Err("3 missing in the stream")),
        (
            StreamFault::Doubles,
            COUNT,
            Err("3 more than once in the stream"),
        ),
        (
            StreamFault::Changes,
            COUNT,
            Err("3 different in the stream"),
        ),
        (
            StreamFault::None,
            ARCHIVED_BEFORE,
            Err("of 30000 ticks of the cohort 9000 match, and 21000 missing in the archive"),
        ),
    ] {
        stores.empty_stream_and_archive().await;
        let numbered = (0..).zip(&made);
        let streamed: Vec<Tick> = numbered
            .flat_map(|(number, tick)| fault.appended(number, tick))
            .collect();
        for part in streamed.chunks(500) {
            stores.append(part).await.unwrap();
        }
        stores.archive(&made[..archived]).await.unwrap();
        let prover = StoresProver(&stores);
        let gate = StageProof {
            prover: &prover,
            traffic_ms: 1_000,
            due_ms: 0,
        };
        let began_ms = now_ms - 2_000 - FLAG_CACHED_MS;
        let found = gate.of(began_ms, runtime::clock::now_ms()).await;
        match (found, expected) {
            (Ok(proof), Ok(matched)) => assert_eq!(proof.counts.matched, matched),
            (Err(refused), Err(expected)) => {
                let refused = refused.to_string();
                assert!(refused.contains(expected), "{fault:?}: {refused}");
            }
            (found, _) => panic!("{fault:?}: {found:?}"),
        }
    }
}
