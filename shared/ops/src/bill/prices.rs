//! The price table: what AWS charges for a unit in one region, with where and when each price was read.

use serde::{Deserialize, Serialize};

/// The table of us-east-1 that is built in.
const US_EAST_1: &str = include_str!("../../assets/aws_us_east_1.json");

/// The price of a unit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// USD for [`Self::per`] units.
    pub usd: f64,
    /// See [`Self::usd`].
    pub per: f64,
    /// What is charged.
    pub unit: String,
    /// Where it was read.
    pub source: String,
    /// When the source is from, or when it was read.
    pub date: String,
    /// Lower prices of what is beyond a quantity, the smallest quantity first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub beyond: Vec<Tier>,
}

/// The price of what is beyond a monthly quantity.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tier {
    /// The quantity.
    pub quantity: f64,
    /// USD for as many units as the price is for.
    pub usd: f64,
}

impl Price {
    /// What a month's quantity costs, in USD.
    #[must_use]
    pub fn of(&self, quantity: f64) -> f64 {
        let (mut usd, mut from, mut rate) = (0.0, 0.0, self.usd);
        for tier in &self.beyond {
            usd += (quantity.min(tier.quantity) - from).max(0.0) * rate;
            (from, rate) = (tier.quantity, tier.usd);
        }
        (usd + (quantity - from).max(0.0) * rate) / self.per
    }
}

/// Why a table cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PricesError {
    /// It lacks a price, or is not a table of prices.
    #[error("it is not a table of prices: {0}")]
    Unreadable(#[from] serde_json::Error),
    /// A number makes no sense.
    #[error("the price `{0}` is not usable: {1}")]
    Invalid(&'static str, &'static str),
}

macro_rules! prices {
    ($($name:ident: $doc:literal,)+) => {
        /// All prices that a bill needs.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct Prices {
            $(#[doc = $doc] pub $name: Price,)+
        }

        impl Prices {
            fn named(&self) -> impl Iterator<Item = (&'static str, &Price)> {
                [$((stringify!($name), &self.$name)),+].into_iter()
            }
        }
    };
}

prices! {
    http_api_requests: "Requests of an HTTP API, for each 512 KB of a body.",
    websocket_messages: "Messages of a WebSocket API, for each 32 KB.",
    websocket_minutes: "Minutes of its connections.",
    data_transfer_out: "GB to the internet.",
    lambda_requests: "Invocations.",
    lambda_gb_seconds: "GB-seconds on arm64.",
    dynamodb_writes: "Write units on demand, of 1 KB.",
    dynamodb_reads: "Read units on demand, of 4 KB.",
    dynamodb_storage: "GB of a table.",
    dynamodb_recovery: "GB of a table with point-in-time recovery.",
    kinesis_shard_hours: "Hours of a shard of a provisioned stream.",
    kinesis_put_units: "Records of a provisioned stream, for each 25 KB.",
    kinesis_stream_hours: "Hours of an on-demand stream.",
    kinesis_in: "GB put into it, each record rounded up to 1 KB.",
    kinesis_out: "GB read from it.",
    firehose_ingest: "GB taken by Firehose, each record rounded up to 5 KB.",
    firehose_conversion: "GB converted to Parquet, rounded like those taken.",
    firehose_partitioning: "GB partitioned dynamically.",
    firehose_objects: "Objects of dynamic partitioning.",
    s3_puts: "Writing requests.",
    s3_storage: "GB in the standard class.",
    s3_cold_storage: "GB in Glacier Instant Retrieval.",
    athena_scans: "TB that Athena's queries read, at least 10 MB each.",
    sqs_requests: "Requests, for each 64 KB.",
    metrics: "Custom metrics.",
    metric_reads: "Metrics of `GetMetricData`, in each request.",
    logs_ingest: "GB of logs taken.",
    logs_storage: "GB of logs kept, compressed.",
    alarms: "Metrics of alarms.",
    composite_alarms: "Composite alarms.",
    dashboards: "Dashboards.",
}

/// The prices of a region.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriceTable {
    /// The region.
    pub region: String,
    /// When the table was last read.
    pub read: String,
    /// What to know about it.
    pub note: String,
    /// The prices.
    pub prices: Prices,
}

impl PriceTable {
    /// The table of us-east-1.
    ///
    /// # Errors
    /// [`PricesError`]; a test makes sure that there is none.
    pub fn us_east_1() -> Result<Self, PricesError> {
        Self::parse(US_EAST_1)
    }

    /// A table in the format of the built-in one.
    ///
    /// # Errors
    /// [`PricesError`].
    pub fn parse(text: &str) -> Result<Self, PricesError> {
        let table: Self = serde_json::from_str(text)?;
        for (name, price) in table.prices.named() {
            let usds = std::iter::once(price.usd).chain(price.beyond.iter().map(|it| it.usd));
            if !usds.clone().all(|usd| usd.is_finite() && usd >= 0.0) {
                return Err(PricesError::Invalid(name, "use 0 USD or more"));
            }
            if !(price.per.is_finite() && price.per > 0.0) {
                return Err(PricesError::Invalid(name, "`per` must be above 0"));
            }
            if !price
                .beyond
                .is_sorted_by(|one, other| one.quantity < other.quantity)
            {
                return Err(PricesError::Invalid(name, "sort `beyond` by quantity"));
            }
        }
        Ok(table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_price_of_the_table_has_its_source_and_its_date() {
        let table = PriceTable::us_east_1().unwrap();
        assert_eq!(table.region, "us-east-1");
        for (name, price) in table.prices.named() {
            assert!(price.usd > 0.0, "{name}");
            assert!(price.source.len() > 10, "{name}");
            assert!(price.date.starts_with("202"), "{name}: {}", price.date);
        }
    }

    #[test]
    fn what_is_beyond_a_quantity_costs_less() {
        let prices = PriceTable::us_east_1().unwrap().prices;
        let close = |usd: f64, expected: f64| assert!((usd - expected).abs() < 1e-6, "{usd}");
        close(prices.http_api_requests.of(0.0), 0.0);
        close(prices.http_api_requests.of(300e6), 300.0);
        close(prices.http_api_requests.of(1_000e6), 300.0 + 630.0);
        close(
            prices.data_transfer_out.of(61_440.0),
            921.6 + 3_481.6 + 716.8,
        );
        close(prices.lambda_requests.of(5e6), 1.0);
    }

    #[test]
    fn a_table_that_cannot_be_used_is_refused() {
        let error = PriceTable::parse("{}").unwrap_err().to_string();
        assert!(error.contains("missing field `region`"), "{error}");
        for (from, to, expected) in [
            ("\"usd\": 0.625", "\"usd\": -1", "`dynamodb_writes`"),
            ("\"dynamodb_writes\"", "\"dynamo_writes\"", "dynamo_writes"),
            (
                "\"usd\": 1.0,\n      \"per\": 1000000",
                "\"usd\": 1.0,\n      \"per\": 0",
                "above 0",
            ),
        ] {
            assert!(US_EAST_1.contains(from), "{from}");
            let error = PriceTable::parse(&US_EAST_1.replacen(from, to, 1)).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
}
