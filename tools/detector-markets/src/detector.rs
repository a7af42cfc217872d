//! Our detector and those it is compared with, behind one type.

use std::collections::VecDeque;
use std::error::Error;

use domain::detection::{AnomalyKind, DetectionConfig, SeriesDetector, Venues};
use krcf::{RandomCutForest, RandomCutForestOptions};

use crate::series::{Series, Tick};
use crate::venues::{Latest, VENUES};

/// Differences of less than a basis point are noise, for the other detectors too: otherwise, they would report each change of
/// a price that stood still.
const NOISE: f64 = 1e-4;

/// The windows of the plain detectors, in ticks.
const Z_TICKS: usize = 100;
const HAMPEL_TICKS: usize = 20;

/// The standard deviation of normal numbers is their median absolute deviation times this.
const MAD_TO_DEVIATION: f64 = 1.4826;

/// What a detector says about a tick.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reading {
    pub score: f64,
    pub kind: Option<AnomalyKind>,
}

/// What a plain detector looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// The logarithm of the price.
    Price,
    /// Its change from tick to tick.
    Change,
}

/// Which detector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    Ours,
    ZScore(Input),
    Hampel(Input),
    Forest,
}

impl Method {
    pub const ALL: [Self; 6] = [
        Self::Ours,
        Self::ZScore(Input::Price),
        Self::ZScore(Input::Change),
        Self::Hampel(Input::Price),
        Self::Hampel(Input::Change),
        Self::Forest,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Ours => "tickstream",
            Self::ZScore(Input::Price) => "z-score of prices",
            Self::ZScore(Input::Change) => "z-score of changes",
            Self::Hampel(Input::Price) => "Hampel filter of prices",
            Self::Hampel(Input::Change) => "Hampel filter of changes",
            Self::Forest => "krcf",
        }
    }

    /// Its usual threshold: ours decides itself what to report; for all others, three deviations, which are those of the scores
    /// in the case of a forest (<https://docs.aws.amazon.com/sagemaker/latest/dg/randomcutforest.html>).
    pub fn usual_threshold(self) -> f64 {
        match self {
            Self::Ours => 0.5,
            _ => 3.0,
        }
    }

    /// A new detector for this series. If it has several venues, the other detectors see the distance of each from the rest.
    ///
    /// # Errors
    /// Those of the forest.
    pub fn detector(self, series: &Series) -> Result<Detector, Box<dyn Error>> {
        if !series.is_split {
            return self.of_one();
        }
        if self == Self::Ours {
            return Ok(Detector::Venues(Venues::default()));
        }
        let each = (0..VENUES).map(|_| self.of_one());
        Ok(Detector::Distances {
            latest: Latest::default(),
            each: each.collect::<Result<_, _>>()?,
        })
    }

    fn of_one(self) -> Result<Detector, Box<dyn Error>> {
        Ok(match self {
            Self::Ours => Detector::Ours(Box::default()),
            Self::ZScore(input) => Detector::ZScore(Window::new(input, Z_TICKS)),
            Self::Hampel(input) => Detector::Hampel(Window::new(input, HAMPEL_TICKS)),
            Self::Forest => Detector::Forest(Box::new(Forest::new()?)),
        })
    }
}

/// A detector with all that it knows of a series.
#[derive(Debug, Clone)]
pub enum Detector {
    Ours(Box<SeriesDetector>),
    ZScore(Window),
    Hampel(Window),
    Forest(Box<Forest>),
    Venues(Venues),
    Distances { latest: Latest, each: Vec<Detector> },
}

impl Detector {
    /// # Errors
    /// Those of the forest.
    pub fn observe(&mut self, tick: Tick) -> Result<Reading, Box<dyn Error>> {
        let score = match self {
            Self::Ours(detector) => {
                let found = detector.observe(tick.ms, tick.price, &DetectionConfig::PRICES);
                let score = if found.is_reported { found.score } else { 0.0 };
                return Ok(Reading {
                    score,
                    kind: found.detection.map(|it| it.kind),
                });
            }
            Self::ZScore(window) => window.observe(tick, |past, value| {
                let mean = past.iter().sum::<f64>() / past.len() as f64;
                let squares: f64 = past.iter().map(|it| (it - mean).powi(2)).sum();
                let deviation = (squares / past.len() as f64).sqrt();
                (value - mean).abs() / deviation.max(NOISE)
            }),
            Self::Hampel(window) => window.observe(tick, |past, value| {
                let median = median_of(past.iter().copied());
                let deviation = median_of(past.iter().map(|it| (it - median).abs()));
                (value - median).abs() / (MAD_TO_DEVIATION * deviation).max(NOISE)
            }),
            Self::Forest(forest) => forest.observe(tick)?,
            Self::Venues(venues) => {
                let venue = tick.venue as u32;
                let found = venues.observe(tick.ms, venue, tick.price);
                return Ok(Reading {
                    score: f64::from(u8::from(found.is_some())),
                    kind: found.map(|it| it.kind),
                });
            }
            Self::Distances { latest, each } => {
                let Some(distance) = latest.distance(tick) else {
                    return Ok(Reading::default());
                };
                let price = distance.exp();
                return each[tick.venue].observe(Tick { price, ..tick });
            }
        };
        Ok(Reading { score, kind: None })
    }
}

fn median_of(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 0 {
        0.5 * (values[middle - 1] + values[middle])
    } else {
        values[middle]
    }
}

/// The last values.
#[derive(Debug, Clone)]
pub struct Window {
    input: Input,
    ticks: usize,
    past: VecDeque<f64>,
    last: Option<f64>,
}

impl Window {
    fn new(input: Input, ticks: usize) -> Self {
        Self {
            input,
            ticks,
            past: VecDeque::new(),
            last: None,
        }
    }

    /// The score of a tick, 0 until the window is full. Then adds the tick.
    fn observe(&mut self, tick: Tick, score: impl Fn(&VecDeque<f64>, f64) -> f64) -> f64 {
        let log_price = tick.price.ln();
        let last = self.last.replace(log_price).unwrap_or(log_price);
        let value = match self.input {
            Input::Price => log_price,
            Input::Change => log_price - last,
        };
        if self.past.len() < self.ticks {
            self.past.push_back(value);
            return 0.0;
        }
        let score = score(&self.past, value);
        self.past.pop_front();
        self.past.push_back(value);
        score
    }
}

/// A Random Cut Forest of eight consecutive prices, otherwise with the crate's defaults: 50 trees of 256 points.
#[derive(Debug, Clone)]
pub struct Forest {
    forest: RandomCutForest,
    origin: Option<f64>,
    scores: f64,
    sum: f64,
    squares: f64,
}

impl Forest {
    fn new() -> Result<Self, Box<dyn Error>> {
        let forest = RandomCutForest::new(RandomCutForestOptions {
            dimensions: 1,
            shingle_size: 8,
            random_seed: Some(21),
            internal_shingling: Some(true),
            ..RandomCutForestOptions::default()
        })?;
        Ok(Self {
            forest,
            origin: None,
            scores: 0.0,
            sum: 0.0,
            squares: 0.0,
        })
    }

    /// By how many deviations the score of the forest exceeds the mean of its scores so far.
    fn observe(&mut self, tick: Tick) -> Result<f64, Box<dyn Error>> {
        let log_price = tick.price.ln();
        let origin = *self.origin.get_or_insert(log_price);
        let point = [((log_price - origin) * 100.0) as f32];
        let score = self.forest.score(&point)?;
        self.forest.update(&point)?;
        if !self.forest.is_output_ready() {
            return Ok(0.0);
        }
        let mean = self.sum / self.scores.max(1.0);
        let variance = self.squares / self.scores.max(1.0) - mean * mean;
        let known = self.scores >= Z_TICKS as f64;
        self.scores += 1.0;
        self.sum += score;
        self.squares += score * score;
        Ok(if known && variance > 0.0 {
            (score - mean) / variance.sqrt()
        } else {
            0.0
        })
    }
}
