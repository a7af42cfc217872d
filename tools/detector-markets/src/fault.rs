//! The faults: what each kind does to a series, and how large its sizes are.
//!
//! Sizes are multiples of the largest that the series itself showed in the day before, or in the 1,000 ticks before if they
//! took longer. At 2, a fault is larger than anything on a chart of that time; at 4, a person would call it obvious.
//!
//! Moves within a second are one move: an order that takes several prices makes a trade at each within milliseconds, and on a
//! chart, a second is a single point.

use domain::detection::AnomalyKind;

use crate::random::Random;
use crate::series::{Series, Tick};
use crate::venues;

const DAY_MS: i64 = 86_400_000;
const HISTORY_TICKS_MIN: usize = 1_000;

/// Moves within this time are one.
const MOVE_MS: i64 = 1_000;

/// How many ticks a level shift, a drift and a time of volatility last.
const SHIFT_TICKS: usize = 5;
const DRIFT_TICKS: usize = 120;
const VOLATILE_TICKS: usize = 60;

/// A venue is away for this many ticks of all venues.
const DIVERGING_TICKS: usize = 60;

/// However regular a series is, a run of fewer ticks or a silence of fewer mean gaps counts as this long.
const LONGEST_MIN: f64 = 5.0;

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// One tick is off, and the next is not.
    Spike,
    /// All ticks from here on are off.
    Jump,
    /// All ticks are off after five equal steps.
    LevelShift,
    /// All ticks are off after 120 equal steps.
    Drift,
    /// The changes of 60 ticks are larger.
    Volatility,
    /// The price is repeated.
    StuckFeed,
    /// Ticks are missing.
    Silence,
    /// One price is multiplied by a power of ten.
    WrongDecimals,
    /// One price is its reciprocal.
    InvertedPair,
    /// The prices of one venue are off; those of the others are not.
    Divergence,
}

/// A tick of a series with a fault, and its number in the series without.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Injected {
    pub number: usize,
    pub tick: Tick,
}

impl Fault {
    pub const ALL: [Self; 10] = [
        Self::Spike,
        Self::Jump,
        Self::LevelShift,
        Self::Drift,
        Self::Volatility,
        Self::StuckFeed,
        Self::Silence,
        Self::WrongDecimals,
        Self::InvertedPair,
        Self::Divergence,
    ];

    /// The sizes to try; for wrong decimals, powers of ten.
    pub fn sizes(self) -> &'static [f64] {
        match self {
            Self::WrongDecimals => &[1.0, 2.0, 3.0, 6.0],
            Self::InvertedPair => &[1.0],
            _ => &[1.0, 2.0, 4.0, 8.0],
        }
    }

    /// The size from which a person would call it obvious.
    pub fn obvious(self) -> f64 {
        match self {
            Self::WrongDecimals | Self::InvertedPair => 1.0,
            _ => 4.0,
        }
    }

    /// What a detector may call it.
    pub fn names(self) -> &'static [AnomalyKind] {
        use AnomalyKind as Kind;
        match self {
            Self::Spike => &[Kind::Spike, Kind::Jump],
            Self::Jump => &[Kind::Jump, Kind::LevelShift],
            Self::LevelShift => &[Kind::LevelShift, Kind::Jump, Kind::Drift],
            Self::Drift => &[Kind::Drift, Kind::LevelShift, Kind::OutOfRange],
            Self::Volatility => &[Kind::Volatility, Kind::Jump, Kind::Spike],
            Self::StuckFeed => &[Kind::StuckFeed],
            Self::Silence => &[Kind::Silence, Kind::JumpAfterSilence],
            Self::WrongDecimals => &[Kind::WrongDecimals],
            Self::InvertedPair => &[Kind::InvertedPair],
            Self::Divergence => &[Kind::Divergence],
        }
    }

    /// The ticks from `at` on with this fault, up to the last at which a report still counts as its detection. `None` if the
    /// series cannot have it there.
    pub fn inject(
        self,
        series: &Series,
        at: usize,
        size: f64,
        random: &mut Random,
    ) -> Option<Vec<Injected>> {
        if series.is_split != (self == Self::Divergence) {
            return None;
        }
        let ticks = series.ticks.as_slice();
        let venue = ticks.get(at)?.venue;
        let unit = self.unit(history(ticks, at), venue)?;
        let by = size * unit * random.sign();
        let same = |number: usize| Some((number, *ticks.get(number)?));
        let after = |ticks_wanted: usize| (at..at + ticks_wanted).map(same);
        let scaled = |tick: Tick, log: f64| Tick {
            price: tick.price * log.exp(),
            ..tick
        };
        // `log` is the logarithm of what the n-th tick of the fault, from 0, is multiplied by.
        let moved = |ticks_wanted: usize, log: &dyn Fn(usize) -> f64| {
            let with = |it: Option<(usize, Tick)>| {
                it.map(|(number, tick)| (number, scaled(tick, log(number - at))))
            };
            after(ticks_wanted).map(with).collect::<Option<Vec<_>>>()
        };
        let in_steps = |n: usize, steps: usize| by * ((n + 1) as f64 / steps as f64).min(1.0);
        let found = match self {
            Self::Spike => moved(3, &|n| if n == 0 { by } else { 0.0 }),
            Self::Jump => moved(12, &|_| by),
            Self::LevelShift => moved(12 * SHIFT_TICKS, &|n| in_steps(n, SHIFT_TICKS)),
            Self::Drift => moved(2 * DRIFT_TICKS, &|n| in_steps(n, DRIFT_TICKS)),
            Self::WrongDecimals => {
                let powers = size * random.sign() * std::f64::consts::LN_10;
                moved(2, &|n| if n == 0 { powers } else { 0.0 })
            }
            Self::InvertedPair => {
                let price = ticks.get(at)?.price;
                moved(2, &|n| if n == 0 { -2.0 * price.ln() } else { 0.0 })
            }
            Self::Volatility => {
                let start = ticks.get(at.checked_sub(1)?)?.price.ln();
                let window = ticks.get(at - 1..at + VOLATILE_TICKS)?;
                let factor = size * unit / mean_move(window)?;
                moved(VOLATILE_TICKS, &|n| {
                    let log_price = ticks.get(at + n).map_or(start, |it| it.price.ln());
                    (factor - 1.0) * (log_price - start)
                })
            }
            Self::StuckFeed => {
                let price = ticks.get(at.checked_sub(1)?)?.price;
                let stuck = moved((size * unit) as usize, &|_| 0.0)?;
                let stuck = stuck.into_iter();
                Some(
                    stuck
                        .map(|(number, tick)| (number, Tick { price, ..tick }))
                        .collect(),
                )
            }
            Self::Silence => {
                let end_ms = ticks.get(at.checked_sub(1)?)?.ms + (size * unit) as i64;
                let first = ticks.partition_point(|it| it.ms < end_ms).max(at);
                (first..first + 2).map(same).collect()
            }
            Self::Divergence => moved(DIVERGING_TICKS, &|n| {
                let is_there = ticks.get(at + n).is_some_and(|it| it.venue == venue);
                if is_there { by } else { 0.0 }
            }),
        };
        let injected = |(number, tick)| Injected { number, tick };
        Some(found?.into_iter().map(injected).collect())
    }

    /// The largest that the series itself showed.
    fn unit(self, history: &[Tick], venue: usize) -> Option<f64> {
        let unit = match self {
            Self::Spike | Self::Jump => largest_move(history, 1),
            Self::LevelShift => largest_move(history, SHIFT_TICKS),
            Self::Drift => largest_move(history, DRIFT_TICKS),
            Self::Volatility => history
                .windows(VOLATILE_TICKS + 1)
                .filter_map(mean_move)
                .fold(0.0, f64::max),
            Self::StuckFeed => {
                let runs = history.chunk_by(|a, b| a.price == b.price);
                let longest = runs.map(<[Tick]>::len).max()?;
                (longest as f64).max(LONGEST_MIN)
            }
            Self::Silence => {
                let gaps = history.windows(2).map(|it| (it[1].ms - it[0].ms) as f64);
                let mean = (history.last()?.ms - history.first()?.ms) as f64 / history.len() as f64;
                gaps.fold(LONGEST_MIN * mean, f64::max)
            }
            Self::Divergence => venues::largest_distance(history, venue),
            Self::WrongDecimals | Self::InvertedPair => 1.0,
        };
        (unit > 0.0).then_some(unit)
    }
}

fn history(ticks: &[Tick], at: usize) -> &[Tick] {
    let day_before = ticks[at].ms - DAY_MS;
    let start = ticks.partition_point(|it| it.ms < day_before);
    &ticks[start.min(at.saturating_sub(HISTORY_TICKS_MIN))..at]
}

/// The largest move within so many ticks, or within a second if that has more of them.
fn largest_move(history: &[Tick], ticks: usize) -> f64 {
    let moves = history.iter().enumerate().map(|(at, from)| {
        let size = |to: &Tick| (to.price / from.price).ln().abs();
        let later = history.iter().skip(at + ticks);
        let within = later.clone().take_while(|to| to.ms - from.ms <= MOVE_MS);
        let first = later.take(1);
        first.chain(within).map(size).fold(0.0, f64::max)
    });
    moves.fold(0.0, f64::max)
}

fn mean_move(window: &[Tick]) -> Option<f64> {
    let moves = window
        .windows(2)
        .map(|it| (it[1].price / it[0].price).ln().abs());
    let mean = moves.sum::<f64>() / (window.len() - 1) as f64;
    (mean > 0.0).then_some(mean)
}
