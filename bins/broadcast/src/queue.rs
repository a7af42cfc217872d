//! The messages of the broadcast queue: a tick, or results of the analysis.

use std::borrow::Cow;

use app::live::{ConflatedUpdates, Kind, Update};
use codec::error::CodecError;
use domain::Token;
use serde::Deserialize;
use serde::de::Error as _;
use serde_json::value::RawValue;

/// The field that distinguishes the two shapes.
#[derive(Deserialize)]
struct Probe<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Option<Cow<'a, str>>,
}

/// Results of one kind, as the JSON that is forwarded.
#[derive(Deserialize)]
struct Results {
    #[serde(alias = "candles", alias = "averages", alias = "anomalies")]
    results: Vec<Box<RawValue>>,
}

/// The fields that identify and order results.
#[derive(Deserialize)]
struct Keys<'a> {
    token: Token,
    #[serde(borrow)]
    quote: Cow<'a, str>,
    #[serde(borrow, default)]
    series: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    interval: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    window: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    tick_id: Option<Cow<'a, str>>,
    #[serde(default)]
    start: i64,
    #[serde(default)]
    timestamp: i64,
    #[serde(default)]
    revision: i64,
    #[serde(default)]
    trades: u64,
    #[serde(default)]
    ticks: u64,
}

/// Adds a message to a batch.
pub(crate) fn read(body: &str, batch: &mut ConflatedUpdates) -> Result<(), CodecError> {
    let probe: Probe<'_> = serde_json::from_str(body)?;
    let kind = match probe.kind.as_deref() {
        None => {
            batch.add_tick(&codec::json::from_json(body.as_bytes())?);
            return Ok(());
        }
        Some("candles") => Kind::Candles,
        Some("averages") => Kind::Averages,
        Some("anomalies") => Kind::Anomalies,
        Some(other) => {
            let other: String = other.chars().take(20).collect();
            let why = format!("`{other}` is not a kind of result: candles, averages or anomalies");
            return Err(CodecError::Json(serde_json::Error::custom(why)));
        }
    };
    let Results { results } = serde_json::from_str(body)?;
    for json in results {
        let keys: Keys<'_> = serde_json::from_str(json.get())?;
        let (identity, rank) = keys.of(kind);
        let json = json.get().to_owned();
        batch.add(Update::of_result(kind, keys.token, identity, rank, json));
    }
    Ok(())
}

impl Keys<'_> {
    /// The identity of a result, and its rank: the higher rank is the later one.
    fn of(&self, kind: Kind) -> (String, (i64, u64)) {
        let Self { token, quote, .. } = self;
        let text = |part: &Option<Cow<'_, str>>| part.as_deref().unwrap_or_default().to_owned();
        let series = text(&self.series);
        match kind {
            // A candle gets trades or quotes until it closes, and revisions after that.
            Kind::Candles => {
                let interval = text(&self.interval);
                let identity = format!("{token}/{quote}/{series}/{interval}/{:013}", self.start);
                (identity, (self.revision, self.trades.max(self.ticks)))
            }
            Kind::Averages => {
                let identity = format!("{token}/{quote}/{series}/{}", text(&self.window));
                (identity, (self.timestamp, self.ticks))
            }
            Kind::Anomalies | Kind::Ticks => {
                let id = text(&self.tick_id);
                let identity = format!("{:013}/{token}/{quote}/{id}", self.timestamp);
                (identity, (0, 0))
            }
        }
    }
}
