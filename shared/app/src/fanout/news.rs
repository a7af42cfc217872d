//! What is new in a batch: of each pair, candle and average the latest only.

use std::collections::HashMap;

use domain::{Tick, Token};

use domain::Pair;

/// What a message tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Prices as they came.
    Ticks,
    /// Candles as they stand.
    Candles,
    /// Averages as they stand.
    Averages,
    /// Anomalies found.
    Anomalies,
}

impl Kind {
    /// Every kind, in the order in which a connection is told.
    pub const ALL: [Self; 4] = [Self::Ticks, Self::Candles, Self::Averages, Self::Anomalies];

    /// The name in messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ticks => "ticks",
            Self::Candles => "candles",
            Self::Averages => "averages",
            Self::Anomalies => "anomalies",
        }
    }
}

/// A result of the analysis, already as JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Whose result it is.
    pub token: Token,
    /// What it replaces: a result of the same kind and identity.
    pub identity: String,
    /// Which of two is the later.
    pub rank: (i64, u64),
    /// One JSON object.
    pub json: String,
}

/// One thing to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) kind: Kind,
    pub(super) token: Token,
    pub(super) json: String,
    /// How many ticks stand behind it; 0 where it is no tick.
    pub(super) ticks: u64,
}

/// Gathers what is new. Messages of a queue come in any order and more than once: the later value
/// by its own time wins.
#[derive(Debug, Default)]
pub struct News {
    ticks: HashMap<Pair, (Tick, u64)>,
    findings: HashMap<(Kind, String), Finding>,
}

impl News {
    /// Takes a tick; of a pair's ticks the latest by event time stays.
    pub fn tick(&mut self, tick: Tick) {
        let moment = |tick: &Tick| (tick.timestamp_ms, tick.tick_id);
        match self.ticks.entry(Pair::of(&tick)) {
            std::collections::hash_map::Entry::Vacant(place) => {
                place.insert((tick, 1));
            }
            std::collections::hash_map::Entry::Occupied(mut held) => {
                let (latest, count) = held.get_mut();
                *count += 1;
                if moment(latest) < moment(&tick) {
                    *latest = tick;
                }
            }
        }
    }

    /// Takes a result; of one identity the one with the highest rank stays.
    pub fn finding(&mut self, kind: Kind, finding: Finding) {
        let key = (kind, finding.identity.clone());
        let later = |held: &Finding| held.rank <= finding.rank;
        if self.findings.get(&key).is_none_or(later) {
            self.findings.insert(key, finding);
        }
    }

    /// Whether there is nothing to tell.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ticks.is_empty() && self.findings.is_empty()
    }

    /// Everything to tell, sorted by kind, token and identity.
    pub(super) fn into_items(self) -> Vec<Item> {
        let mut ticks: Vec<_> = self.ticks.into_iter().collect();
        ticks.sort_by(|(one, _), (other, _)| one.cmp(other));
        let ticks = ticks.into_iter().map(|(pair, (tick, count))| Item {
            kind: Kind::Ticks,
            token: pair.token,
            json: tick_json(&tick),
            ticks: count,
        });
        let mut findings: Vec<_> = self.findings.into_iter().collect();
        findings.sort_by(|(one, _), (other, _)| one.cmp(other));
        let findings = findings.into_iter().map(|((kind, _), finding)| Item {
            kind,
            token: finding.token,
            json: finding.json,
            ticks: 0,
        });
        ticks.chain(findings).collect()
    }
}

/// A tick as its one JSON object.
pub(super) fn tick_json(tick: &Tick) -> String {
    let mut bytes = Vec::new();
    codec::json::write_json(tick, &mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}
