//! The anomalies of a pair: each venue's prices against their own past, and the venues against each other.

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use super::anomaly::Anomaly;
use crate::detection::{AnomalyKind, Detection, DetectionConfig, SeriesDetector, Venues};
use crate::{SourceName, Tick};

/// A pair has at most this many series; of more, the one that was quiet for longest is forgotten.
const SERIES_MAX: usize = 8;

/// The score of a divergence, which is either there or not.
const DIVERGENCE_SCORE: f64 = 0.5;

/// The detectors of a pair: about 4 KB in memory for each series, 2.6 KB stored.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct PairDetector {
    series: Vec<VenueSeries>,
    venues: Venues,
    venues_seen: u32,
    /// When people were last notified of each kind, event time.
    notified: Vec<(AnomalyKind, i64)>,
}

/// The prices of one kind at one venue. Quotes lie beside the trades of their venue, so they are a series of their own.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct VenueSeries {
    source: SourceName,
    is_trade: bool,
    /// The venue's number.
    venue: u32,
    newest_ms: i64,
    detector: SeriesDetector,
}

impl PairDetector {
    /// Judges a tick and learns from it, unless it is older than the newest of its series. A tick is one anomaly at most:
    /// if it departs both from the past and from the other venues, the first is reported.
    pub(super) fn observe(
        &mut self,
        tick: &Tick,
        effective_ms: i64,
        price: f64,
        config: &DetectionConfig,
    ) -> Option<Anomaly> {
        let at = self.position(tick, effective_ms);
        let series = self.series.get_mut(at)?;
        if effective_ms < series.newest_ms {
            return None;
        }
        series.newest_ms = effective_ms;
        let assessed = series.detector.observe(effective_ms, price, config);
        let divergence = self.venues.observe(effective_ms, series.venue, price);
        let of_past = assessed
            .detection
            .filter(|_| assessed.is_reported)
            .map(|detection| (assessed.score, detection));
        let (score, detection) = of_past.or(divergence.map(|it| (DIVERGENCE_SCORE, it)))?;
        let notifies = self.notifies(effective_ms, &detection, config);
        Some(Anomaly::of(tick, score, detection, notifies))
    }

    /// The position of a tick's series, which is made if it is the first.
    fn position(&mut self, tick: &Tick, effective_ms: i64) -> usize {
        let is_trade = tick.method.is_trade();
        let of_tick = |it: &VenueSeries| it.is_trade == is_trade && it.source == tick.source;
        if let Some(at) = self.series.iter().position(of_tick) {
            return at;
        }
        if self.series.len() >= SERIES_MAX {
            let quietest = (0..).zip(&self.series).min_by_key(|(_, it)| it.newest_ms);
            let quietest = quietest.map_or(0, |(at, _)| at);
            self.series.swap_remove(quietest);
        }
        let known = self.series.iter().find(|it| it.source == tick.source);
        let venue = known.map_or(self.venues_seen, |it| it.venue);
        self.venues_seen += u32::from(known.is_none());
        self.series.push(VenueSeries {
            source: tick.source.clone(),
            is_trade,
            venue,
            newest_ms: effective_ms,
            detector: SeriesDetector::default(),
        });
        self.series.len() - 1
    }

    /// Whether an anomaly is the first of its kind within the cooldown.
    fn notifies(&mut self, at_ms: i64, detection: &Detection, config: &DetectionConfig) -> bool {
        let is_within = |last_ms: i64| at_ms.saturating_sub(last_ms) < config.cooldown_ms;
        let of_kind = |it: &&mut (AnomalyKind, i64)| it.0 == detection.kind;
        match self.notified.iter_mut().find(of_kind) {
            Some((_, last_ms)) if is_within(*last_ms) => false,
            Some((_, last_ms)) => {
                *last_ms = at_ms;
                true
            }
            None => {
                self.notified.push((detection.kind, at_ms));
                true
            }
        }
    }
}
