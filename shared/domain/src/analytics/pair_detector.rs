//! The anomalies of a pair: each venue's prices against their own past, and the venues against each other.

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use super::anomaly::Anomaly;
use super::longest_delay::LongestDelay;
use super::series_kind::SeriesKind;
use super::watched::Watched;
use crate::detection::{
    AnomalyKind, Assessment, Detection, DetectionConfig, Mean, SeriesDetector, Venues,
};
use crate::{Price, SourceName, Tick, TickId, Token};

/// The maximum number of series of a pair. A new one replaces a series that has had no ticks for [`QUIET_MS`]. If there is
/// no such series, the new one is not judged: otherwise, many active venues would keep evicting each other.
const SERIES_MAX: usize = 8;
const QUIET_MS: i64 = 600_000;

/// The score of a divergence, which is either there or not.
const DIVERGENCE_SCORE: f64 = 0.5;

/// A provider may deliver the ticks of some minutes at once. If so, their mean delay is half of these minutes. A silence
/// counts from this multiple of the mean on, which is that of about so many ticks.
const DELAYS_ALLOWED: f32 = 3.0;
const DELAY_SPAN_TICKS: f32 = 256.0;

/// A shorter silence that lasts may be a pause of our own, of the network or of this process.
const LASTING_MIN_MS: i64 = 5_000;

/// While ticks of other feeds arrive steadily, this process does not pause. Then a silence is judged from twice the longest
/// delay that a tick of the feed had lately on, and at least from this length on: the network may resend what was lost.
const LASTING_AMONG_OTHERS_MIN_MS: i64 = 500;
const LONGEST_DELAYS_ALLOWED: i64 = 2;

/// The detectors of a pair: about 4 KB in memory for each series, 2.6 KB stored.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct PairDetector {
    series: Vec<VenueSeries>,
    /// The venues of trades, and those of quotes.
    venues: [Venues; SeriesKind::ALL.len()],
    venues_seen: u32,
    notified: Notified,
}

/// When people were last notified of each kind, event time.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Notified(Vec<(AnomalyKind, i64)>);

/// The prices of one kind at one venue. Quotes lie beside the trades of their venue, so they are a series of their own.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct VenueSeries {
    source: SourceName,
    kind: SeriesKind,
    /// The number of it.
    venue: u32,
    /// The effective time of its newest tick, that tick, and its price.
    newest_ms: i64,
    newest: (TickId, Price),
    /// How long its ticks usually take to reach us, and how many there were.
    delay_ms: Mean,
    ticks: u32,
    longest_delay: LongestDelay,
    detector: SeriesDetector,
}

impl PairDetector {
    /// Judges a tick and learns from it, unless it is older than the newest of its series. A tick is one anomaly at most:
    /// if it departs both from the past and from the other venues, the second is reported, which it does only once.
    pub(super) fn observe(
        &mut self,
        tick: &Tick,
        effective_ms: i64,
        price: f64,
        config: &DetectionConfig,
    ) -> Option<Anomaly> {
        let at = self.position(tick, effective_ms)?;
        let series = self.series.get_mut(at)?;
        // A tick that comes after a newer one says nothing about when the next one will come.
        if effective_ms < series.newest_ms {
            return None;
        }
        series.add_delay(tick.ingested_at_ms, effective_ms);
        series.newest_ms = effective_ms;
        series.newest = (tick.tick_id, tick.price);
        let assessed = series.detector.observe(effective_ms, price, config);
        let [of_trades, of_quotes] = &mut self.venues;
        let venues = match series.kind {
            SeriesKind::Trades => of_trades,
            SeriesKind::Quotes => of_quotes,
        };
        let divergence = venues.observe(effective_ms, series.venue, price);
        let of_past = assessed
            .detection
            .filter(|_| assessed.is_reported)
            .map(|detection| (assessed.score, detection));
        let divergence = divergence.map(|it| (DIVERGENCE_SCORE, it));
        let (score, detection) = divergence.or(of_past)?;
        let notifies = self.notified.is_due(effective_ms, &detection, config);
        Some(Anomaly::of(tick, score, detection, notifies))
    }

    /// How much memory it takes outside of itself, in bytes, without its names.
    pub(super) fn heap_bytes(&self) -> usize {
        self.series.capacity() * size_of::<VenueSeries>()
    }

    /// The venues that have fallen silent, as seen at a moment. A silence is reported once, whether it lasts or ends.
    pub(super) fn silences(
        &mut self,
        (token, quote): (&Token, &Token),
        watched: Watched,
        config: &DetectionConfig,
    ) -> Vec<Anomaly> {
        let mut found = Vec::new();
        for series in &mut self.series {
            let assessed = series.silence(watched, config);
            if let Some(detection) = assessed.detection.filter(|_| assessed.is_reported) {
                let (tick_id, price) = series.newest;
                found.push(Anomaly {
                    token: token.clone(),
                    quote: quote.clone(),
                    source: Some(series.source.clone()),
                    tick_id,
                    timestamp_ms: watched.now_ms,
                    price,
                    score: assessed.score,
                    notifies: self.notified.is_due(watched.now_ms, &detection, config),
                    detection,
                });
            }
        }
        found
    }

    /// Finds the series of a tick, or adds one for a new venue. `None` if the limit is reached and no series is quiet.
    fn position(&mut self, tick: &Tick, effective_ms: i64) -> Option<usize> {
        let kind = SeriesKind::of(tick);
        let of_tick = |it: &VenueSeries| it.kind == kind && it.source == tick.source;
        if let Some(at) = self.series.iter().position(of_tick) {
            return Some(at);
        }
        if self.series.len() >= SERIES_MAX {
            let quietest = (0..).zip(&self.series).min_by_key(|(_, it)| it.newest_ms);
            let (at, last_ms) = quietest.map(|(at, it)| (at, it.newest_ms))?;
            if effective_ms.saturating_sub(last_ms) < QUIET_MS {
                return None;
            }
            self.series.swap_remove(at);
        }
        self.series.push(VenueSeries {
            source: tick.source.clone(),
            kind,
            venue: self.venues_seen,
            newest_ms: effective_ms,
            newest: (tick.tick_id, tick.price),
            delay_ms: Mean::default(),
            ticks: 0,
            longest_delay: LongestDelay::default(),
            detector: SeriesDetector::default(),
        });
        self.venues_seen = self.venues_seen.wrapping_add(1);
        Some(self.series.len() - 1)
    }
}

impl VenueSeries {
    #[expect(
        clippy::cast_precision_loss,
        reason = "a span of time, which need not be exact"
    )]
    fn add_delay(&mut self, received_ms: i64, effective_ms: i64) {
        let delay_ms = received_ms.saturating_sub(effective_ms);
        self.ticks = self.ticks.saturating_add(1);
        let share = 1.0 / self.ticks as f32;
        self.delay_ms.add(delay_ms as f32, DELAY_SPAN_TICKS, share);
        self.longest_delay.add(received_ms, delay_ms);
    }

    /// Judges the silence that lasts, without the time in which ticks may be on their way or nobody watched.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a span of time; the cast saturates"
    )]
    fn silence(&mut self, watched: Watched, config: &DetectionConfig) -> Assessment {
        let delay_ms = (DELAYS_ALLOWED * self.delay_ms.get()) as i64;
        let silent_ms = |since_ms: i64| {
            let from_ms = since_ms.max(self.newest_ms).saturating_add(delay_ms);
            watched.now_ms.saturating_sub(from_ms)
        };
        let longest_ms = LONGEST_DELAYS_ALLOWED.saturating_mul(self.longest_delay.get_ms());
        let beyond_usual_ms = longest_ms.saturating_sub(delay_ms);
        let among_others_min_ms =
            beyond_usual_ms.clamp(LASTING_AMONG_OTHERS_MIN_MS, LASTING_MIN_MS);
        let judged_ms = match silent_ms(watched.since_ms) {
            lasting_ms if lasting_ms >= LASTING_MIN_MS => lasting_ms,
            _ => {
                let among_others_ms = silent_ms(watched.steady_since_ms);
                if among_others_ms < among_others_min_ms {
                    return Assessment::NONE;
                }
                among_others_ms
            }
        };
        let until_ms = self.newest_ms.saturating_add(judged_ms);
        self.detector.silence(until_ms, config)
    }
}

impl Notified {
    /// Whether an anomaly is the first of its kind within the cooldown.
    fn is_due(&mut self, at_ms: i64, detection: &Detection, config: &DetectionConfig) -> bool {
        let is_within = |last_ms: i64| at_ms.saturating_sub(last_ms) < config.cooldown_ms;
        let of_kind = |it: &&mut (AnomalyKind, i64)| it.0 == detection.kind;
        match self.0.iter_mut().find(of_kind) {
            Some((_, last_ms)) if is_within(*last_ms) => false,
            Some((_, last_ms)) => {
                *last_ms = at_ms;
                true
            }
            None => {
                self.0.push((detection.kind, at_ms));
                true
            }
        }
    }
}
