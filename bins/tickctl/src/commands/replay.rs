//! `tickctl replay`: sends real trades from a file, or a range of ticks that tickstream has, to a tickstream or into
//! the stream.

mod destination;
mod into_stream;
mod of_file;
mod of_range;
mod range_text;
mod selected_range;
mod spool;

use std::path::PathBuf;

use clap::{Args, value_parser};
use hyper::Uri;

use crate::data_access::DataOptions;
use crate::formats::{Format, Market};
use crate::moment::Moment;
use crate::pace::Speed;
use crate::process::{BadInput, ProcessContext};
use crate::project_options::{ON_AWS, ProjectOptions};
use crate::target::{Secret, Target, parse_base};

/// Where ticks are sent if nothing else is named.
const INTO_DEFAULT: &str = "http://127.0.0.1:8080";

/// Options of `tickctl replay`.
#[derive(Debug, Args)]
#[command(after_help = "\
It is safe to repeat a replay: a tick that is already stored counts as duplicate, or is not appended again. Numbers are sent with exactly the
digits in the file.

With --store or --archive, ticks that tickstream received in a range are sent again, with the ids that they have:
into another tickstream, or into the stream. What was counted there stays as it is. The archive has amounts as
doubles, and only the ticks of the stream. The stream gets the ticks that were decided for it when they were first
stored. The stream of a project on AWS gets all of them: its consumers count a tick once, and those that lost it, or
start from nothing, count it now; the archive there has repeats twice until `tickctl compact` merges their days. The
stream of this machine gets only the ticks that it lacks; those that the archive has are not appended, since they
came from the stream, and those received in the last 6 seconds are left out. To compute candles from nothing, use
`tickctl rebuild --apply`. Ticks are found by the time of their receipt, also those of trades that were sent days
late; --late-days says how far an archive on S3 is searched for these.

Examples:
  tickctl replay binance-BTCUSDT-2021-01-08.csv --format binance-trades --speed 10
  tickctl replay kraken-XBTUSDT-trades.json --format kraken-trades --into https://ticks.example/stage
  unzip -p BTCUSDT-trades-2025-01-08.zip | tickctl replay - --format binance-trades --symbol BTCUSDT
  tickctl replay futures/BTCUSDT-trades-2025-01-08.csv --format binance-trades --market usdm
  tickctl replay BTCUSD_PERP-trades-2025-01-08.csv --format binance-trades
  tickctl replay ticks.csv --format ticks-csv --batch 500 --skip 120000
  tickctl replay --store --from 24h --dry-run --into http://127.0.0.1:9090
  tickctl replay --store --from 24h --tokens BTC,ETH --rate 5000 --into http://127.0.0.1:9090
  tickctl replay --store --from 24h --into stream
  tickctl replay --store --aws --from 24h --into http://127.0.0.1:8080
  tickctl replay --archive s3://tickstream-archive-123456789012-us-east-1/price-archive/ --from 2h --to 1h \\
    --into stream --aws

Exit codes: 0 done; 1 not all ticks were accepted, it was stopped, or a server could not be reached or refused; 2 a
bad row (the rows before it were sent) or a wrong option; 3 not all of the range could be seen, or it has no tick, or
none of one of --tokens; or, with --dry-run, the tickstream that has the store cannot be asked.")]
pub struct ReplayArgs {
    /// A file; `-` is stdin.
    #[arg(value_name = "FILE", required_unless_present_any = ["store", "archive"])]
    pub file: Option<PathBuf>,
    /// Ticks of the store, received from --from to --to: of this machine, or with --aws of the project.
    #[arg(long, conflicts_with_all = ["file", "archive"], requires = "from")]
    pub store: bool,
    /// Ticks of the archive of the data folder, or of one on S3, received from --from to --to.
    #[arg(long, value_name = "s3://BUCKET/PREFIX", num_args = 0..=1, default_missing_value = "", conflicts_with = "file", requires = "from")]
    pub archive: Option<String>,
    /// The start of the range: a time, or how long ago (24h).
    #[arg(long, value_name = "TIME", conflicts_with = "file")]
    pub from: Option<Moment>,
    /// The end of the range: a time, or how long ago; the default is now.
    #[arg(long, value_name = "TIME")]
    pub to: Option<String>,
    /// Ticks of an archive on S3: the days of event times before --from whose folders are read, too, since trades may have
    /// been sent late. Each file of these days is fetched.
    #[arg(long, value_name = "DAYS", default_value_t = 1, requires = "archive", value_parser = value_parser!(u32).range(0..=10_000))]
    pub late_days: u32,
    /// Only these tokens, as they are stored.
    #[arg(
        long,
        value_name = "TOKEN,…",
        value_delimiter = ',',
        conflicts_with = "file"
    )]
    pub tokens: Vec<String>,
    /// The most ticks of a range a second. The stream is shared with live traffic; that of a stopped tickstream is not.
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = value_parser!(u32).range(1..=1_000_000))]
    pub rate: u32,
    /// Only count the ticks of a range that would be sent or appended.
    #[arg(long, conflicts_with = "file")]
    pub dry_run: bool,
    /// Where to send: the address of a tickstream, http or https, where a path in front of /webhooks is kept; or
    /// `stream`: that of this machine, or with --aws of the project. Of a file, the default is http://127.0.0.1:8080.
    #[arg(long, value_name = "URL|stream")]
    pub into: Option<String>,
    /// Whose store and stream: those of a project on AWS, or of this machine.
    #[command(flatten)]
    pub project: ProjectOptions,
    /// With --store --aws: the days that the project keeps ticks (parameter RetentionDays of the service stack).
    #[arg(long, value_name = "DAYS", help_heading = ON_AWS, default_value_t = 30, value_parser = value_parser!(u32).range(1..=3_650))]
    pub retention_days: u32,
    /// Sent unchanged in the `Authorization` header, like Helius does. Prefer the environment
    /// variable: other users of the machine can read arguments.
    #[arg(long, value_name = "SECRET", env = "TICKCTL_SECRET", hide_env_values = true, value_parser = Secret::read)]
    pub secret: Option<Secret>,
    /// Seconds after which a request without a response fails.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = value_parser!(u64).range(1..=600))]
    pub timeout: u64,
    /// The data folder that has the store or the archive. If a process has its store open, that process is asked.
    #[arg(long, env = "DATA_DIR", default_value = "./data", value_name = "DIR")]
    pub data_dir: PathBuf,
    /// The address of the running tickstream that has the store, instead of a folder.
    #[arg(long, value_name = "URL", value_parser = parse_base, conflicts_with = "file")]
    pub server: Option<Uri>,
    /// The OPERATOR_TOKEN of that tickstream. Prefer the environment variable.
    #[arg(long, value_name = "TOKEN", env = "OPERATOR_TOKEN", hide_env_values = true, value_parser = Secret::read)]
    pub token: Option<Secret>,
    /// The format of the file.
    #[arg(long, value_enum, required_unless_present_any = ["store", "archive"])]
    pub format: Option<Format>,
    /// `max`: as fast as the server responds; 1: in real time; N: N times faster.
    #[arg(long, value_name = "N|max", default_value = "max")]
    pub speed: Speed,
    /// The symbol, if the file does not contain it: such as BTCUSDT for binance-trades (default:
    /// from the file's name), or BASE/QUOTE for kraken-trades (default: from the pair).
    #[arg(long, value_name = "SYMBOL")]
    pub symbol: Option<String>,
    /// The market of binance-trades. The default is recognized: COIN-M by the symbol (such as
    /// BTCUSD_PERP) or a column base_qty, spot by a column is_best_match, USD-M if the rows end with
    /// is_buyer_maker as `true` or `false` in lower case. A file that shows none of these needs it.
    #[arg(long, value_enum, value_name = "MARKET")]
    pub market: Option<Market>,
    /// The most ticks per request.
    #[arg(long, value_name = "B", default_value_t = 100, value_parser = value_parser!(u32).range(1..=10_000))]
    pub batch: u32,
    /// The number of concurrent requests. With more than 1, the server may see batches out of
    /// order.
    #[arg(long, value_name = "M", default_value_t = 1, value_parser = value_parser!(u32).range(1..=64))]
    pub in_flight: u32,
    /// Skip this many rows at the start; a replay that ended early prints how many.
    #[arg(long, value_name = "ROWS", default_value_t = 0)]
    pub skip: u64,
    /// Skip and count rows that are malformed or that the server rejects.
    #[arg(long)]
    pub skip_bad: bool,
    /// The most attempts per request, if the server is unavailable, busy or too slow.
    #[arg(long, value_name = "A", default_value_t = 10, value_parser = value_parser!(u32).range(1..=1_000))]
    pub attempts: u32,
}

impl ReplayArgs {
    /// The tickstream at an address.
    fn target(&self, into: &str) -> Result<Target, BadInput> {
        let to = parse_base(into).map_err(|rule| BadInput(format!("--into {into}: {rule}")))?;
        Ok(Target {
            to,
            option: "--into",
            secret: self.secret.clone(),
            timeout: self.timeout,
        })
    }

    /// Where the data of this machine is.
    fn data_options(&self) -> DataOptions {
        DataOptions {
            data_dir: self.data_dir.clone(),
            server: self.server.clone(),
            token: self.token.clone(),
            timeout: self.timeout,
        }
    }

    fn is_on_s3(&self) -> bool {
        self.archive.as_ref().is_some_and(|place| !place.is_empty())
    }
}

/// Replays the file or the range, and prints a summary.
///
/// # Errors
/// [`BadInput`] for an invalid file, row or option; others if not every tick was accepted or could be seen.
pub async fn run(args: ReplayArgs, process: ProcessContext) -> anyhow::Result<()> {
    let (Some(file), Some(format)) = (args.file.clone(), args.format) else {
        return match args.into.as_deref() {
            Some("stream") if !args.project.aws => into_stream::run(&args, &process).await,
            Some(_) | None => of_range::run(&args, &process).await,
        };
    };
    if let Some(to) = &args.to {
        let rule = match to.contains("://") {
            true => format!("--to is now --into, which also takes `stream`: pass --into {to}"),
            false => "--to is the end of a range, which a file does not have".to_owned(),
        };
        return Err(BadInput(rule).into());
    }
    let into = args.into.as_deref().unwrap_or(INTO_DEFAULT);
    if into == "stream" {
        let rule = "a file has trades, not stored ticks: send it to a tickstream, which stores them and decides which \
                    of them go to the stream";
        return Err(BadInput(rule.to_owned()).into());
    }
    let target = args.target(into)?;
    of_file::run(args, file, format, target, process).await
}
