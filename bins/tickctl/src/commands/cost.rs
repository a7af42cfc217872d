//! `tickctl cost`: what a month on AWS costs.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use ops::bill::Bill;
use ops::bill::load::{CandleInterval, Load, StreamMode};
use ops::bill::prices::PriceTable;

use crate::process::{BadInput, print_line};

mod bill_text;
mod quantity;

pub use bill_text::text;
use quantity::quantity;

/// Options of `tickctl cost`.
#[derive(Debug, Args)]
#[command(after_help = "\
Numbers may end in k, M or G (thousand, million, billion). The bill is for a load that is spread evenly over the month
and the tokens. Free tiers, discounts and taxes are not in it, nor what depends on you: queries of Athena, e-mails,
compaction, replays, and Firehose's time for jq.

Examples:
  tickctl cost --ticks-per-day 10M --tokens 5000
  tickctl cost --ticks-per-day 10M --tokens 5000 --batch 10 --stream provisioned
  tickctl cost --ticks-per-day 10M --tokens 5000 --watchers 100 --watched-tokens 20 --json")]
pub struct CostArgs {
    /// New ticks a day.
    #[arg(long, value_name = "N", default_value = "0", value_parser = quantity)]
    pub ticks_per_day: f64,
    /// Tokens with ticks.
    #[arg(long, value_name = "N", default_value = "100", value_parser = quantity)]
    pub tokens: f64,
    /// Ticks of a delivery.
    #[arg(long, value_name = "N", default_value = "1", value_parser = quantity)]
    pub batch: f64,
    /// The share of the ticks that goes to the stream, in percent.
    #[arg(long, value_name = "PERCENT", default_value = "100", value_parser = quantity)]
    pub percent: f64,
    /// Connections of the live feed.
    #[arg(long, value_name = "N", default_value = "0", value_parser = quantity)]
    pub watchers: f64,
    /// How many tokens each of them names [default: all].
    #[arg(long, value_name = "N", value_parser = quantity)]
    pub watched_tokens: Option<f64>,
    /// The data stack's `StreamMode`.
    #[arg(long, value_name = "MODE", default_value = "on-demand")]
    pub stream: Mode,
    /// Shards of the stream [default: as many as the load needs].
    #[arg(long, value_name = "N", value_parser = quantity)]
    pub shards: Option<f64>,
    /// The data stack's `ArchiveDay`.
    #[arg(long, value_name = "TIME", default_value = "event")]
    pub archive_day: ArchiveDay,
    /// Days that the archive has already.
    #[arg(long, value_name = "DAYS", default_value = "365", value_parser = quantity)]
    pub archive_days: f64,
    /// The service stack's `CandleInterval`.
    #[arg(long, value_name = "INTERVAL", default_value = "1m")]
    pub candle_interval: Interval,
    /// The service stack's `RetentionDays`.
    #[arg(long, value_name = "DAYS", default_value = "30", value_parser = quantity)]
    pub retention_days: f64,
    /// Senders use the function's own address (`WebhookFunctionUrl`), which has no price.
    #[arg(long)]
    pub function_url: bool,
    /// Bytes of a body for each of its ticks [default: those of the source `ticks`].
    #[arg(long, value_name = "BYTES", value_parser = quantity)]
    pub body_bytes: Option<f64>,
    /// The service stack's `WebhookMemoryMb`.
    #[arg(long, value_name = "MB", default_value = "512", value_parser = quantity)]
    pub webhook_memory_mb: f64,
    /// Mean duration of the webhook in milliseconds, as Lambda's metric says [default: an estimate].
    #[arg(long, value_name = "MS", value_parser = quantity)]
    pub webhook_ms: Option<f64>,
    /// The same for analytics.
    #[arg(long, value_name = "MS", value_parser = quantity)]
    pub analytics_ms: Option<f64>,
    /// The same for broadcast.
    #[arg(long, value_name = "MS", value_parser = quantity)]
    pub broadcast_ms: Option<f64>,
    /// A file with other prices, in the format of shared/ops/assets/aws_us_east_1.json.
    #[arg(long, value_name = "FILE")]
    pub prices: Option<PathBuf>,
    /// Print one JSON object instead of text.
    #[arg(long)]
    pub json: bool,
}

/// How the stream is paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// By what goes in and out.
    OnDemand,
    /// By shard and hour.
    Provisioned,
}

/// The time by which files are in folders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ArchiveDay {
    /// That of the tick, for which Firehose charges.
    Event,
    /// That of Firehose.
    Arrival,
}

/// The candles that are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Interval {
    /// A second.
    #[value(name = "1s")]
    OneSecond,
    /// A minute.
    #[value(name = "1m")]
    OneMinute,
    /// Five minutes.
    #[value(name = "5m")]
    FiveMinutes,
}

impl CostArgs {
    fn load(&self) -> Load {
        Load {
            ticks_per_day: self.ticks_per_day,
            tokens: self.tokens,
            batch: self.batch,
            percent: self.percent,
            watchers: self.watchers,
            watched_tokens: self.watched_tokens,
            function_url: self.function_url,
            body_bytes: self.body_bytes,
            stream: match self.stream {
                Mode::OnDemand => StreamMode::OnDemand,
                Mode::Provisioned => StreamMode::Provisioned,
            },
            shards: self.shards,
            archive_by_event: self.archive_day == ArchiveDay::Event,
            candles: match self.candle_interval {
                Interval::OneSecond => CandleInterval::OneSecond,
                Interval::OneMinute => CandleInterval::OneMinute,
                Interval::FiveMinutes => CandleInterval::FiveMinutes,
            },
            retention_days: self.retention_days,
            archive_days: self.archive_days,
            webhook_memory_mb: self.webhook_memory_mb,
            webhook_ms: self.webhook_ms,
            analytics_ms: self.analytics_ms,
            broadcast_ms: self.broadcast_ms,
        }
    }

    fn table(&self) -> anyhow::Result<PriceTable> {
        let Some(path) = &self.prices else {
            return Ok(PriceTable::us_east_1()?);
        };
        let text = std::fs::read_to_string(path)
            .map_err(|error| BadInput(format!("{}: {error}", path.display())))?;
        let table = PriceTable::parse(&text)
            .map_err(|error| BadInput(format!("{}: {error}", path.display())))?;
        Ok(table)
    }
}

/// Runs `tickctl cost`.
///
/// # Errors
/// If a number is not possible, or a price table cannot be read.
pub fn run(args: &CostArgs) -> anyhow::Result<()> {
    let bill = Bill::of(&args.load(), &args.table()?);
    let bill = bill.map_err(|error| BadInput(error.to_string()))?;
    let text = match args.json {
        true => serde_json::to_string(&bill)?,
        false => text(&bill),
    };
    print_line(&text).context("the bill cannot be written")
}
