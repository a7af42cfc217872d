//! `tickctl detect`: finds the anomalies of a series on standard input.

use std::io::{self, BufWriter, Read, Write};
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use csv::{ErrorKind, StringRecord};
use domain::detection::{Assessment, DetectionConfig, ReportsPerDay, SeriesDetector};

use crate::data_access::DataOptions;
use crate::process::BadInput;

mod plot;
mod review;
mod timestamp;

use plot::Plot;

/// Options of `tickctl detect`.
#[derive(Debug, Args)]
#[command(after_help = "\
Reads CSV with the columns timestamp and value from standard input: times as YYYY-MM-DD HH:MM:SS (UTC), in RFC 3339 or in
milliseconds since the epoch. Writes timestamp,value,anomaly_score, row by row in the same order. It is one pass, and
a score depends on no later row. A score is in [0, 1), and an anomaly from 0.5. The method and its figures: docs/analytics.md.

Examples:
  tickctl detect < cpu.csv > scores.csv
  tickctl detect --prices --explain < eth_btc_5m.csv | grep -v ',,$'
  tickctl detect --prices --plot marks.html < eth_btc_5m.csv > scores.csv
  tickctl detect --review --data-dir data")]
pub struct DetectArgs {
    /// The values are prices: they are compared by their ratio, and wrong decimals and inverted pairs are found.
    #[arg(long)]
    pub prices: bool,
    /// Adds the columns kind and reason, which are empty if the score is 0.
    #[arg(long)]
    pub explain: bool,
    /// Writes a page with the series and its anomalies.
    #[arg(long, value_name = "FILE.html")]
    pub plot: Option<PathBuf>,
    /// About how many anomalies a day a quiet series may have at most.
    #[arg(long, value_name = "N", default_value = "1")]
    pub reports_per_day: ReportsPerDay,
    /// Reads no series: counts the anomalies that a tickstream found, and the false alarms among them that people marked
    /// on its dashboard, by kind.
    #[arg(long, conflicts_with_all = ["prices", "explain", "plot"])]
    pub review: bool,
    #[command(flatten)]
    data: DataOptions,
}

/// Reads the series from stdin and writes its scores to stdout, or what people marked with `--review`. A closed pipe
/// (`| head`) is not an error.
///
/// # Errors
/// [`BadInput`] if a row cannot be read; those of reading and writing.
pub async fn run(args: &DetectArgs) -> anyhow::Result<()> {
    if args.review {
        let kinds = review::read(&args.data).await?;
        writeln!(io::stdout(), "{}", review::text(&kinds))?;
        return Ok(());
    }
    let mut out = BufWriter::new(io::stdout().lock());
    let plot = match detect(io::stdin().lock(), &mut out, args) {
        Err(error) if is_closed_pipe(&error) => return Ok(()),
        other => other?,
    };
    if let (Some(path), Some(plot)) = (&args.plot, plot) {
        std::fs::write(path, plot.html())
            .with_context(|| format!("{} cannot be written", path.display()))?;
    }
    Ok(())
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let mut causes = error
        .chain()
        .filter_map(|it| it.downcast_ref::<io::Error>());
    causes.any(|it| it.kind() == io::ErrorKind::BrokenPipe)
}

/// The columns of the series.
struct Columns {
    timestamp: usize,
    value: usize,
}

impl Columns {
    fn of(header: &StringRecord) -> Result<Self, BadInput> {
        let position = |name: &str| {
            let found = header.iter().position(|column| column.trim() == name);
            found.ok_or_else(|| {
                let columns = header.iter().collect::<Vec<_>>().join(",");
                BadInput(format!(
                    "the header needs the columns timestamp and value, but is {columns:?}"
                ))
            })
        };
        Ok(Self {
            timestamp: position("timestamp")?,
            value: position("value")?,
        })
    }
}

/// Scores each row of the input. Returns the plot if one is wanted.
fn detect(
    input: impl Read,
    out: &mut impl Write,
    args: &DetectArgs,
) -> anyhow::Result<Option<Plot>> {
    let base = if args.prices {
        DetectionConfig::PRICES
    } else {
        DetectionConfig::NUMBERS
    };
    let config = DetectionConfig {
        reports_per_day: args.reports_per_day.get(),
        ..base
    };
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(input);
    let columns = Columns::of(reader.headers().map_err(unreadable)?)?;
    let more = if args.explain { ",kind,reason" } else { "" };
    writeln!(out, "timestamp,value,anomaly_score{more}")?;
    let mut plot = args.plot.as_ref().map(|_| Plot::default());
    let mut detector = SeriesDetector::default();
    let mut row = StringRecord::new();
    while reader.read_record(&mut row).map_err(unreadable)? {
        let line = row.position().map_or(0, csv::Position::line);
        let field = |at: usize| row.get(at).map(str::trim).unwrap_or_default();
        let (time_text, value_text) = (field(columns.timestamp), field(columns.value));
        let Some(timestamp_ms) = timestamp::parse(time_text) else {
            let message = format!(
                "line {line}: {time_text:?} is not a time; use YYYY-MM-DD HH:MM:SS, RFC 3339 or epoch milliseconds"
            );
            return Err(BadInput(message).into());
        };
        let Some(value) = value_text.parse().ok().filter(|it: &f64| it.is_finite()) else {
            return Err(BadInput(format!("line {line}: {value_text:?} is not a number")).into());
        };
        let assessment = detector.observe(timestamp_ms, value, &config);
        write!(out, "{time_text},{value_text},{:.6}", assessment.score)?;
        if args.explain {
            let (kind, reason) = explanation(&assessment);
            write!(out, ",{kind},{reason}")?;
        }
        writeln!(out)?;
        if let Some(plot) = &mut plot {
            plot.add(timestamp_ms, value, &assessment);
        }
    }
    out.flush()?;
    Ok(plot)
}

/// The kind and the reason as CSV fields.
fn explanation(assessment: &Assessment) -> (&'static str, String) {
    match assessment.detection {
        Some(it) => (
            it.kind.as_str(),
            format!("\"{}\"", it.message().replace('"', "\"\"")),
        ),
        None => ("", String::new()),
    }
}

fn unreadable(error: csv::Error) -> anyhow::Error {
    let text = error.to_string();
    if let ErrorKind::Io(error) = error.into_kind() {
        anyhow::Error::new(error).context("standard input cannot be read")
    } else {
        BadInput(format!("standard input is not CSV: {text}")).into()
    }
}
