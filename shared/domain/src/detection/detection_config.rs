//! The settings of the detection.

/// The settings of the detection of anomalies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DetectionConfig {
    /// How values are compared.
    pub scale: Scale,
    /// About how many reports a day a quiet series may have at most. What is rarer in its own past scores at least 0.5.
    pub reports_per_day: f32,
    /// The score from which a value is reported, in (0, 1).
    pub threshold: f64,
    /// For how long after a report no other one is made unless it is larger or in the opposite direction, in milliseconds
    /// of event time.
    pub cooldown_ms: i64,
}

impl DetectionConfig {
    /// For prices.
    pub const PRICES: Self = Self {
        scale: Scale::Logarithmic,
        reports_per_day: 1.0,
        threshold: 0.5,
        cooldown_ms: 60_000,
    };

    /// For series of any numbers, such as loads or temperatures.
    pub const NUMBERS: Self = Self {
        scale: Scale::Linear,
        ..Self::PRICES
    };
}

/// How two values of a series are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// By their difference: for any numbers.
    Linear,
    /// By their ratio: for prices, which are above 0.
    Logarithmic,
}
