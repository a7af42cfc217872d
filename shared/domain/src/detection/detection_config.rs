//! The settings of the detection.

use std::str::FromStr;

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

/// How many reports a day a quiet series may have, from 0.001 to 10,000: a setting that people write.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReportsPerDay(f32);

/// A text is not a number of reports.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a number from 0.001 to 10000 is needed")]
pub struct ReportsPerDayError;

impl ReportsPerDay {
    /// The number.
    #[must_use]
    pub fn get(self) -> f32 {
        self.0
    }
}

impl FromStr for ReportsPerDay {
    type Err = ReportsPerDayError;
    fn from_str(text: &str) -> Result<Self, ReportsPerDayError> {
        match text.parse() {
            Ok(number) if (0.001..=10_000.0).contains(&number) => Ok(Self(number)),
            Ok(_) | Err(_) => Err(ReportsPerDayError),
        }
    }
}

/// How two values of a series are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// By their difference: for any numbers.
    Linear,
    /// By their ratio: for prices, which are above 0.
    Logarithmic,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sensible_numbers_of_reports_are_read() {
        for text in ["0.001", "1", "12.5", "10000"] {
            let read: ReportsPerDay = text.parse().unwrap();
            assert_eq!(read.get(), text.parse::<f32>().unwrap());
        }
        for text in ["0", "-1", "10001", "NaN", "inf", "", "many"] {
            assert_eq!(
                text.parse::<ReportsPerDay>(),
                Err(ReportsPerDayError),
                "{text}"
            );
        }
    }
}
