//! A pair on several venues, and the distance of one from the others.

use crate::random::Random;
use crate::series::{Series, Tick};

/// Venues of a pair.
pub const VENUES: usize = 3;

/// A price of another venue counts for a minute.
const AGE_MAX_MS: i64 = 60_000;

/// The prices of a venue are five basis points above those of the venue before, and each is off by about one.
const PREMIUM: f64 = 5e-4;
const NOISE: f64 = 1e-4;

/// Only series with a shorter mean gap are split: the prices of other venues would be too old.
const GAP_MAX_MS: f64 = 30_000.0;

/// The ticks of a series, each at one of three venues. `None` if they are too far apart.
pub fn split(series: &Series, seed: u64) -> Option<Series> {
    if series.gap_ms() > GAP_MAX_MS {
        return None;
    }
    let name = format!("{}, three venues", series.name);
    let mut random = Random::seeded(seed, &name);
    let at_a_venue = |tick: &Tick| {
        let venue = random.position(0..VENUES);
        let off = PREMIUM * venue as f64 + NOISE * random.heavy();
        Tick {
            price: tick.price * off.exp(),
            venue,
            ..*tick
        }
    };
    Some(Series {
        ticks: series.ticks.iter().map(at_a_venue).collect(),
        name,
        is_split: true,
    })
}

/// The last prices of the venues.
#[derive(Debug, Clone, Default)]
pub struct Latest([Option<Tick>; VENUES]);

impl Latest {
    /// The logarithm of a price, less the mean of those of the others' last prices; `None` if there is none.
    pub fn distance(&mut self, tick: Tick) -> Option<f64> {
        self.0[tick.venue] = Some(tick);
        let others = self.0.iter().flatten().filter(|it| {
            let age_ms = tick.ms - it.ms;
            it.venue != tick.venue && age_ms <= AGE_MAX_MS
        });
        let others: Vec<f64> = others.map(|it| it.price.ln()).collect();
        let mean = others.iter().sum::<f64>() / others.len() as f64;
        (!others.is_empty()).then(|| tick.price.ln() - mean)
    }
}

/// The largest distance of a venue from the others, beyond what is usual for it.
pub fn largest_distance(history: &[Tick], venue: usize) -> f64 {
    let mut latest = Latest::default();
    let distances = history.iter().map(|it| (it.venue, latest.distance(*it)));
    let distances: Vec<f64> = distances
        .filter_map(|(at, distance)| distance.filter(|_| at == venue))
        .collect();
    let mean = distances.iter().sum::<f64>() / distances.len().max(1) as f64;
    let sizes = distances.iter().map(|it| (it - mean).abs());
    sizes.fold(0.0, f64::max)
}
