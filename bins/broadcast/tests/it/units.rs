//! What 100 watchers of everything cost: the units that AWS bills for one batch.

use app::live::{AveragesJson, CandleJson};
use app::ports::Topic;
use domain::analytics::{AnalysisConfig, PairState};
use domain::{Price, Tick, Token, Volume};
use ops::bill::units::FRAME_BYTES_PER_PAIR;
use testkit::ticks::tick;

use crate::{Scene, batch, body, result};

const WATCHERS: usize = 100;

/// API Gateway bills a message for each 32 KB that it begins.
const BYTES_OF_A_UNIT: usize = 32 * 1_024;

/// What a pair adds to a message, with names of Solana's length, which the bill counts with.
#[tokio::test(start_paused = true)]
async fn a_message_has_the_bytes_of_the_bill() {
    let scene = Scene::new();
    scene.connections.watch("all", &[Topic::All]);
    let bytes = async |pairs: u32| {
        let quote = Token::new("So11111111111111111111111111111111111111112").unwrap();
        let bodies = messages((0..pairs).map(|n| Tick {
            quote: quote.clone(),
            price: Price::parse("0.0068912345").unwrap(),
            volume: Some(Volume::parse("1234.567891").unwrap()),
            ..tick(
                &format!("EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTD{n:03}"),
                n,
            )
        }));
        let before = scene.connections.messages("all").len();
        scene.handle(batch(&bodies)).await;
        let sent = scene.connections.messages("all").split_off(before);
        sent.iter().map(String::len).sum::<usize>() as f64
    };
    let per_pair = (bytes(20).await - bytes(10).await) / 10.0;
    let in_the_bill = FRAME_BYTES_PER_PAIR;
    assert!(
        (per_pair / in_the_bill - 1.0).abs() < 0.02,
        "counted {per_pair} bytes, but ops::bill::units has {in_the_bill}"
    );
}

/// A second with a tick of each of these pairs, and the results of the analysis. 10 million ticks a day
/// are 116 a second.
fn second(pairs: u32) -> Vec<String> {
    messages((0..pairs).map(|n| tick(&format!("T{n}"), n)))
}

/// The messages of ticks, and of the candles and averages that each of them begins.
fn messages(ticks: impl Iterator<Item = Tick>) -> Vec<String> {
    let (mut bodies, mut candles, mut averages) = (Vec::new(), Vec::new(), Vec::new());
    for made in ticks {
        let mut state = PairState::new(made.token.clone(), made.quote.clone());
        let effects = state.apply(&made, &AnalysisConfig::default());
        assert!(effects.corrections.is_empty());
        bodies.push(body(&made));
        candles.extend(state.open_candles().cloned());
        averages.extend(state.averages());
    }
    let candles: Vec<CandleJson<'_>> = candles.iter().flat_map(CandleJson::rows).collect();
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
    assert_eq!(of_a_watcher(116).await, [(2, 6), (3, 6)]);
}
