//! What happens in one run: deliveries with repeats, splits and reorderings, faults, changes of the
//! flag, crashes, and a clock that advances.

use domain::{Percentage, Rollout, RolloutKey};
use proptest::prelude::*;
use serde_json::{Value, json};

/// When the clock starts, epoch milliseconds.
pub(crate) const START_MS: i64 = 1_767_225_600_000;

const TOKENS: [&str; 3] = ["BTC", "ETH", "SOL"];
const QUOTES: [&str; 2] = ["USD", "EUR"];

/// The tokens of all events.
pub(crate) fn tokens() -> impl Iterator<Item = &'static str> {
    TOKENS.into_iter()
}

/// An event as a sender knows it. Few ids and times, so that many events share one of them, and some
/// are the same event with another price.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    token: usize,
    quote: usize,
    /// After [`START_MS`]. Some are ahead of the clock, some hours old.
    offset_ms: i64,
    id: u8,
    /// Whether the sender gives the `tick_id` itself, which may be that of another token or time.
    gives_tick_id: bool,
    sequence: Option<u8>,
    price: u8,
    volume: Option<u8>,
    is_imprecise: bool,
}

impl Event {
    /// The event in our own JSON.
    fn json(&self) -> Value {
        let mut entry = json!({
            "token": TOKENS[self.token], "quote": QUOTES[self.quote],
            "timestamp": START_MS + self.offset_ms,
            "price": (100 + u32::from(self.price)).to_string(),
        });
        if self.gives_tick_id {
            entry["tick_id"] = format!("{:032x}", self.id).into();
        } else {
            entry["id"] = self.id.to_string().into();
        }
        if let Some(volume) = self.volume {
            entry["volume"] = format!("{}.5", volume).into();
        }
        if let Some(sequence) = self.sequence {
            entry["sequence"] = sequence.into();
        }
        if self.is_imprecise {
            entry["quality"] = "low_precision".into();
        }
        entry
    }
}

/// The body of a delivery of these events.
pub(crate) fn body(events: &[Event]) -> Vec<u8> {
    let entries: Vec<Value> = events.iter().map(Event::json).collect();
    Value::from(entries).to_string().into_bytes()
}

/// How the ports behave during a delivery.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weather {
    /// The process ends at its n-th call of a port; `None` if it survives.
    pub(crate) dies_at_call: Option<u8>,
    /// Whether that call still takes effect.
    pub(crate) after_effect: bool,
    /// Calls whose answer is lost although they took effect, as bits by the number of the call.
    pub(crate) lost_answers: u16,
    /// Whether the stream refuses some ticks.
    pub(crate) stream_refuses: bool,
    /// Whether the store is throttled.
    pub(crate) throttled: bool,
}

/// One step of a run.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// Delivers some events, by index; a sender repeats it later unless it was accepted.
    Deliver(Vec<usize>, Weather),
    /// Changes the flag.
    Flag(Rollout),
    /// Ends the process and starts it again.
    Crash,
    /// The clock advances.
    Advance(i64),
    /// The analysis reads up to so many records, and perhaps fails before it commits.
    Analyse(usize, bool),
    /// The stream is written to the archive.
    Archive,
}

/// A run.
#[derive(Debug, Clone)]
pub(crate) struct Scenario {
    pub(crate) events: Vec<Event>,
    pub(crate) steps: Vec<Step>,
    pub(crate) seed: u64,
}

fn event() -> impl Strategy<Value = Event> {
    let offset_ms = prop_oneof![
        4 => (0_i64..40).prop_map(|n| n * 500),
        3 => 0_i64..120_000,
        1 => 0_i64..290_000,
        1 => -7_200_000_i64..0,
    ];
    (
        0..TOKENS.len(),
        prop_oneof![4 => Just(0), 1 => Just(1_usize)],
        offset_ms,
        (0_u8..4, prop::bool::weighted(0.3)),
        prop::option::of(0_u8..6),
        any::<u8>(),
        prop::option::of(any::<u8>()),
        prop::bool::weighted(0.05),
    )
        .prop_map(
            |(
                token,
                quote,
                offset_ms,
                (id, gives_tick_id),
                sequence,
                price,
                volume,
                is_imprecise,
            )| Event {
                token,
                quote,
                offset_ms,
                id,
                gives_tick_id,
                sequence,
                price,
                volume,
                is_imprecise,
            },
        )
}

fn weather() -> impl Strategy<Value = Weather> {
    (
        prop_oneof![3 => Just(None), 1 => (0_u8..6).prop_map(Some)],
        any::<bool>(),
        prop_oneof![2 => Just(0), 1 => any::<u16>()],
        prop::bool::weighted(0.3),
        prop::bool::weighted(0.3),
    )
        .prop_map(
            |(dies_at_call, after_effect, lost_answers, stream_refuses, throttled)| Weather {
                dies_at_call,
                after_effect,
                lost_answers,
                stream_refuses,
                throttled,
            },
        )
}

fn rollout() -> impl Strategy<Value = Rollout> {
    let percentage = prop_oneof![Just("0"), Just("10"), Just("50"), Just("100")];
    let key = prop_oneof![Just(RolloutKey::Tick), Just(RolloutKey::Token)];
    (percentage, key).prop_map(|(percentage, key)| Rollout {
        use_kinesis: true,
        percentage: percentage.parse::<Percentage>().unwrap(),
        key,
    })
}

fn step(events: usize) -> impl Strategy<Value = Step> {
    let some = prop::collection::vec(0..events, 1..8);
    prop_oneof![
        8 => (some, weather()).prop_map(|(some, weather)| Step::Deliver(some, weather)),
        1 => rollout().prop_map(Step::Flag),
        1 => Just(Step::Crash),
        2 => prop_oneof![0_i64..3_000, 0_i64..90_000].prop_map(Step::Advance),
        3 => (1_usize..12, prop::bool::weighted(0.3)).prop_map(|(n, fails)| Step::Analyse(n, fails)),
        1 => Just(Step::Archive),
    ]
}

/// Any run.
pub(crate) fn scenario() -> impl Strategy<Value = Scenario> {
    prop::collection::vec(event(), 1..16).prop_flat_map(|events| {
        let steps = prop::collection::vec(step(events.len()), 1..14);
        (Just(events), steps, any::<u64>()).prop_map(|(events, steps, seed)| Scenario {
            events,
            steps,
            seed,
        })
    })
}
