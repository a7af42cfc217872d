//! What 100 watchers of everything cost: the units that AWS bills for one batch.

use app::live::{AveragesJson, CandleJson};
use app::ports::Topic;
use domain::Token;
use domain::analytics::{AnalysisConfig, PairState};
use testkit::ticks::tick;

use crate::{Scene, batch, body, result};

const WATCHERS: usize = 100;

/// API Gateway bills a message for each 32 KB that it begins.
const BYTES_OF_A_UNIT: usize = 32 * 1_024;

/// A second with a tick of each of these pairs, and the results of the analysis. 10 million ticks a day
/// are 116 a second.
fn second(pairs: u32) -> Vec<String> {
    let (mut bodies, mut candles, mut averages) = (Vec::new(), Vec::new(), Vec::new());
    for n in 0..pairs {
        let made = tick(&format!("T{n}"), n);
        let mut state = PairState::new(made.token.clone(), Token::new("USD").unwrap());
        let effects = state.apply(&made, &AnalysisConfig::default());
        assert!(effects.corrections.is_empty());
        bodies.push(body(&made));
        candles.extend(state.open_candles().cloned());
        averages.push(state.averages());
    }
    let candles: Vec<CandleJson<'_>> = candles.iter().map(CandleJson::of).collect();
    let averages: Vec<_> = averages.iter().flat_map(AveragesJson::rows).collect();
    bodies.push(result("candles", &candles));
    bodies.push(result("averages", &averages));
    bodies
}

/// Messages and units of one watcher for a batch, as one message for all kinds and as one for each kind.
async fn of_a_watcher(pairs: u32) -> [(usize, usize); 2] {
    let scene = Scene::new();
    for n in 0..WATCHERS {
        scene.connections.watch(&format!("c{n}"), &[Topic::All]);
    }
    let units = |messages: &[String]| {
        let units = messages.iter().map(|it| it.len().div_ceil(BYTES_OF_A_UNIT));
        (messages.len(), units.sum())
    };
    let bodies = second(pairs);
    scene.handle(batch(&bodies)).await;
    assert_eq!(
        scene.connections.reads(),
        1,
        "one query, for any number of tokens"
    );
    let together = scene.connections.messages("c7");
    assert_eq!(together, scene.connections.messages("c99"));
    // Each kind alone.
    let (ticks, results) = bodies.split_at(pairs as usize);
    let (candles, averages) = results.split_at(1);
    let mut apart = Vec::new();
    for kind in [ticks, candles, averages] {
        let before = scene.connections.messages("c7").len();
        scene.handle(batch(kind)).await;
        apart.extend(scene.connections.messages("c7").split_off(before));
    }
    [units(&together), units(&apart)]
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_one_query_and_as_few_messages_as_it_fits_into() {
    assert_eq!(of_a_watcher(1).await, [(1, 1), (3, 3)]);
    assert_eq!(of_a_watcher(20).await, [(1, 1), (3, 3)]);
    assert_eq!(of_a_watcher(116).await, [(2, 5), (3, 6)]);
}
