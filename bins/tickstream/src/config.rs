//! The configuration, from flags or the environment.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::path::PathBuf;

use axum::http::uri::Authority;
use clap::builder::BoolishValueParser;
use clap::{ArgAction, Parser};
use domain::detection::ReportsPerDay;
use domain::{Percentage, Rollout, RolloutKey};
use secrecy::SecretString;
use webhook::source_options::SourceOptions;

use crate::secret_files::SecretFiles;

/// The default data folder.
pub(crate) const DATA_DIR: &str = "./data";

/// The price-tick pipeline in one process: webhook, store, rollout flag, stream, analytics,
/// archive, broadcast and dashboard, on embedded storage.
#[derive(Debug, Parser)]
#[command(
    name = "tickstream",
    version,
    after_help = "The dashboard is at http://127.0.0.1:8080/ once it runs. Ctrl-C stops it in order:\n\
                  requests are answered, and the archive is flushed."
)]
pub struct Config {
    /// Address to listen on, or a name such as `localhost:8080`. Without WEBHOOK_SECRETS only a
    /// loopback address is allowed.
    #[arg(long, env = "LISTEN", default_value = "127.0.0.1:8080", value_name = "HOST:PORT", value_parser = Listen::read)]
    pub listen: Listen,

    /// A name under which others reach tickstream, such as that of a proxy or a port forwarding; may be
    /// repeated, or a comma-separated list. A request that names any other host than these, `localhost`
    /// and the address listened on is refused.
    #[arg(long = "public-host", env = "PUBLIC_HOST", value_name = "NAME", value_delimiter = ',', value_parser = public_host)]
    pub public_hosts: Vec<String>,

    /// Folder for all data; it is created if it does not exist.
    #[arg(long, env = "DATA_DIR", default_value = DATA_DIR)]
    pub data_dir: PathBuf,

    /// Folder for backups, also on another disk; it is created if it does not exist. Default: the
    /// folder `backups` in the data folder.
    #[arg(long, env = "BACKUP_DIR", value_name = "DIR")]
    pub backup_dir: Option<PathBuf>,

    /// Feed a built-in market: several tokens with anomalies of each kind, late and duplicate ticks. The
    /// source of each begins with `demo:`.
    #[arg(long)]
    pub demo: bool,

    /// Seed of the built-in market.
    #[arg(long, default_value_t = 1, requires = "demo")]
    pub demo_seed: u64,

    /// Webhook secrets, comma separated. Several may be active, so they can be rotated.
    /// `whsec_…` and `whpk_…` are Standard Webhooks keys, any other is the `Authorization` echo.
    #[arg(
        long,
        env = "WEBHOOK_SECRETS",
        hide_env_values = true,
        default_value = ""
    )]
    pub webhook_secrets: SecretString,

    /// The token of operators, at least 32 characters: every request under `/api` that is not a GET needs it, such as
    /// those of the rollout, backups, repairs and comparisons. Without it they are only open if there are no secrets
    /// either.
    #[arg(
        long,
        env = "OPERATOR_TOKEN",
        hide_env_values = true,
        default_value = ""
    )]
    pub operator_token: SecretString,

    /// Files with the two above.
    #[command(flatten)]
    pub secret_files: SecretFiles,

    /// Reading needs the operators' token as well: the read API, `/ws`, `/metrics` and the dashboard, where a
    /// browser asks for it as a password.
    #[arg(long, env = "PROTECT_READS", value_parser = BoolishValueParser::new())]
    pub protect_reads: bool,

    /// Master switch of the stream: true or false (or yes, on, 1, no, off, 0); default true. False
    /// at a start turns a remembered change off, and holds for as long as the process runs.
    #[arg(long, env = "USE_KINESIS", action = ArgAction::Set, value_parser = BoolishValueParser::new())]
    pub use_kinesis: Option<bool>,

    /// Share of the ticks that goes to the stream, 0 to 100 with at most two decimals. A change
    /// made at run time is remembered, and wins over this.
    #[arg(
        long,
        env = "KINESIS_PERCENTAGE",
        default_value = "100",
        value_name = "PERCENT"
    )]
    pub kinesis_percentage: Percentage,

    /// What the share is selected by: `tick` or `token`.
    #[arg(
        long,
        env = "KINESIS_ROLLOUT_KEY",
        default_value = "tick",
        value_name = "KEY"
    )]
    pub kinesis_rollout_key: RolloutKey,

    /// Days that ticks, candles, anomalies and quarantined entries are kept in the store, counted from
    /// when they came in. The archive is not touched.
    #[arg(long, env = "RETENTION_DAYS", default_value_t = 30,
          value_parser = clap::value_parser!(u32).range(1..=3_650))]
    pub retention_days: u32,

    /// Hours that the stream keeps ticks after all consumers have read them, for `tickctl verify`.
    #[arg(long, env = "STREAM_HOURS", default_value_t = 24,
          value_parser = clap::value_parser!(u32).range(0..=8_760))]
    pub stream_hours: u32,

    /// The most MB on disk for these ticks; the oldest ones beyond it are removed.
    #[arg(long, env = "STREAM_MAX_MB", default_value_t = 2_048,
          value_parser = clap::value_parser!(u64).range(0..=1_000_000_000))]
    pub stream_max_mb: u64,

    /// About how many anomalies a day a quiet series of prices (trades or quotes of a pair at a venue) may have at most.
    #[arg(
        long,
        env = "ANOMALY_REPORTS_PER_DAY",
        default_value = "1",
        value_name = "N"
    )]
    pub anomaly_reports_per_day: ReportsPerDay,

    /// Room in MB that the disk must have: with less, new ticks are refused with a 503, so that what was
    /// accepted can be archived. 0 turns it off.
    #[arg(long, env = "MIN_FREE_DISK_MB", default_value_t = 256,
          value_parser = clap::value_parser!(u64).range(0..=1_000_000_000))]
    pub min_free_disk_mb: u64,

    /// Seconds after which new ticks are written to the archive.
    #[arg(long, env = "ARCHIVE_SECONDS", default_value_t = 10,
          value_parser = clap::value_parser!(u64).range(1..=900))]
    pub archive_seconds: u64,

    /// What is set about the sources.
    #[command(flatten)]
    pub sources: SourceOptions,

    /// What is logged, such as `info` or `warn,webhook=debug`.
    #[arg(long, env = "LOG", default_value = "info")]
    pub log: String,
}

/// The folder of the backups inside the data folder, which is writable and does not need to be on another
/// file system.
const BACKUPS_FOLDER: &str = "backups";

impl Config {
    /// Where backups are put.
    #[must_use]
    pub fn backup_dir(&self) -> PathBuf {
        let default = || self.data_dir.join(BACKUPS_FOLDER);
        self.backup_dir.clone().unwrap_or_else(default)
    }

    /// The flag as the process is started with.
    #[must_use]
    pub fn rollout(&self) -> Rollout {
        Rollout {
            use_kinesis: self.use_kinesis.unwrap_or(true),
            percentage: self.kinesis_percentage,
            key: self.kinesis_rollout_key,
        }
    }
}

/// Where to listen.
#[derive(Debug, Clone)]
pub struct Listen {
    /// The address.
    pub address: SocketAddr,
    /// The host as it was passed: a name or an address.
    pub host: String,
}

impl Listen {
    /// Parses an address, or resolves a name. An IPv4 address of the name is preferred: that is what
    /// other programs mean by `127.0.0.1`.
    fn read(text: &str) -> Result<Self, String> {
        let refused = |error: String| format!("{error}; pass HOST:PORT, such as 127.0.0.1:8080");
        let found = text.to_socket_addrs().map_err(|e| refused(e.to_string()))?;
        let found: Vec<_> = found.collect();
        let first = found.iter().find(|at| at.is_ipv4()).or(found.first());
        let address = first
            .copied()
            .ok_or_else(|| refused("no such host".to_owned()))?;
        let host = text.rsplit_once(':').map_or(text, |(host, _)| host);
        let host = host.to_owned();
        Ok(Self { address, host })
    }
}

/// The address to connect to from this machine, since nobody can connect to "every address".
pub(crate) fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

/// Parses a name as browsers send it, without a port: every port of the name is accepted.
fn public_host(text: &str) -> Result<String, String> {
    let parsed: Result<Authority, _> = text.parse();
    let host = parsed.as_ref().map(Authority::host);
    match host {
        Ok(host) if host == text && !text.contains('*') => Ok(text.to_owned()),
        Ok(_) | Err(_) => {
            Err("pass a name alone, such as ticks.example.com, without scheme or port".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn parse(arguments: &[&str]) -> Result<Config, String> {
        let line = std::iter::once("tickstream").chain(arguments.iter().copied());
        Config::try_parse_from(line).map_err(|error| error.to_string())
    }

    #[test]
    fn no_argument_is_required() {
        let config = parse(&[]).unwrap();
        assert_eq!(config.listen.address.to_string(), "127.0.0.1:8080");
        assert_eq!(config.rollout().percentage, Percentage::FULL);
        assert!(config.rollout().use_kinesis && !config.demo);
    }

    #[test]
    fn the_data_is_in_the_folder_that_is_named() {
        for (arguments, folder) in [
            (&[][..], "./data"),
            (&["--demo"], "./data"),
            (&["--demo", "--data-dir", "./data-demo"], "./data-demo"),
        ] {
            let config = parse(arguments).unwrap();
            assert_eq!(config.data_dir.to_str(), Some(folder), "{arguments:?}");
        }
    }

    #[test]
    fn backups_are_in_the_data_folder_unless_another_one_is_named() {
        let backup_dir = |arguments| parse(arguments).unwrap().backup_dir();
        assert_eq!(
            backup_dir(&["--data-dir", "/d"]),
            PathBuf::from("/d/backups")
        );
        assert_eq!(backup_dir(&["--backup-dir", "/b"]), PathBuf::from("/b"));
    }

    #[test]
    fn a_name_is_looked_up() {
        for (text, address, host) in [
            ("localhost:8080", "127.0.0.1:8080", "localhost"),
            ("[::1]:80", "[::1]:80", "[::1]"),
        ] {
            let listen = parse(&["--listen", text]).unwrap().listen;
            assert_eq!(listen.address.to_string(), address);
            assert_eq!(listen.host, host);
        }
    }

    #[test]
    fn a_flag_that_cannot_be_read_is_refused() {
        for arguments in [
            ["--kinesis-percentage", "ten"],
            ["--kinesis-percentage", "101"],
            ["--kinesis-percentage", ""],
            ["--use-kinesis", "maybe"],
            ["--kinesis-rollout-key", "pair"],
            ["--listen", "8080"],
            ["--retention-days", "0"],
            ["--public-host", "https://ticks.example"],
            ["--public-host", "ticks.example:443"],
            ["--public-host", "*.example"],
            ["--public-host", ""],
        ] {
            assert!(parse(&arguments).is_err(), "{arguments:?}");
        }
    }

    #[test]
    fn the_command_line_is_sound_and_hides_secrets() {
        use clap::CommandFactory;
        Config::command().debug_assert();
        for option in ["--webhook-secrets", "--operator-token"] {
            let config = parse(&[option, "very-secret-text"]).unwrap();
            assert!(!format!("{config:?}").contains("very-secret"));
        }
    }

    /// The flags of the first column of a table row, and the environment variables that it names with them.
    fn names(row: &str) -> Vec<String> {
        let first = row.split('|').nth(1).unwrap_or_default();
        let quoted = first.split('`').skip(1).step_by(2);
        quoted.map(str::to_owned).collect()
    }

    #[test]
    fn the_documents_table_has_each_flag_with_its_variable_and_no_other() {
        use clap::CommandFactory;
        let text = include_str!("../../../docs/api.md");
        let (_, section) = text.split_once("\n## The process\n").unwrap();
        let rows = section.lines().skip_while(|line| !line.starts_with('|'));
        let rows = rows.take_while(|line| line.starts_with('|')).skip(2);
        let documented: BTreeSet<String> = rows.flat_map(names).collect();
        let mut command = Config::command();
        command.build();
        let mut flags = BTreeSet::new();
        for option in command.get_arguments() {
            let Some(long) = option.get_long() else {
                continue;
            };
            if ["help", "version"].contains(&long) {
                continue;
            }
            flags.insert(format!("--{long}"));
            flags.extend(option.get_env().map(|it| it.to_string_lossy().into_owned()));
        }
        assert_eq!(documented, flags);
    }

    #[test]
    fn public_hosts_are_repeated_or_listed() {
        let repeated = ["--public-host", "a.example", "--public-host", "192.0.2.7"];
        let config = parse(&repeated).unwrap();
        assert_eq!(config.public_hosts, ["a.example", "192.0.2.7"]);
        let config = parse(&["--public-host", "a.example,b.example"]).unwrap();
        assert_eq!(config.public_hosts, ["a.example", "b.example"]);
    }
}
