//! The candles of a project on AWS.

use std::sync::Arc;

use app::rebuilt_blocks::RebuiltBlocks;
use aws::dynamodb::CandleTable;
use aws::dynamodb::candle_blocks::TIMEOUT;
use aws::dynamodb::event_ticks::TicksByEventTime;
use domain::{FUTURE_TOLERANCE_MS, MS_PER_DAY};

use super::{RebuildArgs, Wanted};
use crate::moment::time_text;
use crate::process::{BadInput, ExitUnseen};

/// Analytics stores a block when it is due, and each hour at the latest. What was received within this time may only be
/// in its memory.
const UNSTORED_MS: i64 = 2 * 60 * 60 * 1_000;

/// The candles of a project, and the ticks that they are computed from.
pub(super) struct ProjectCandles {
    pub(super) ticks: TicksByEventTime,
    pub(super) candles: RebuiltBlocks,
    pub(super) received_before_ms: i64,
}

impl ProjectCandles {
    pub(super) async fn open(
        project: &str,
        args: &RebuildArgs,
        wanted: &Wanted,
    ) -> anyhow::Result<Self> {
        check(args, wanted)?;
        let config = aws::client::config(aws::client::BATCH).await;
        aws::client::check(&config).await?;
        let tables = aws::clients::dynamodb(&config);
        let now_ms = wanted.now_ms;
        let blocks = CandleTable::new(
            &tables,
            format!("{project}-analytics"),
            args.retention_days,
            TIMEOUT,
            Arc::new(move || now_ms),
        );
        Ok(Self {
            ticks: TicksByEventTime::new(
                &tables,
                format!("{project}-ticks"),
                Arc::new(move || now_ms),
            ),
            candles: RebuiltBlocks::new(Arc::new(blocks), args.interval),
            received_before_ms: now_ms - UNSTORED_MS,
        })
    }
}

/// Candles of which not all ticks are stored, or not all are analysed, would be made worse.
fn check(args: &RebuildArgs, wanted: &Wanted) -> anyhow::Result<()> {
    let first_ms =
        wanted.now_ms - (i64::from(args.retention_days) - 1) * MS_PER_DAY + FUTURE_TOLERANCE_MS;
    if wanted.from_ms < first_ms {
        return Err(ExitUnseen(format!(
            "ticks are kept for {} days (--retention-days), and those before {} may have been removed: use a later --from",
            args.retention_days,
            time_text(first_ms)
        ))
        .into());
    }
    if wanted.to_ms > wanted.now_ms - UNSTORED_MS {
        let end_ms = wanted.now_ms - UNSTORED_MS;
        let advice = match wanted.from_ms < end_ms {
            true => "use --to 2h".to_owned(),
            false => "use an earlier --from, too, such as --from 4h --to 2h".to_owned(),
        };
        return Err(BadInput(format!(
            "analytics may not have stored candles of the last two hours, since {}: {advice}",
            time_text(end_ms)
        ))
        .into());
    }
    if args.interval > domain::analytics::Interval::FiveMinutes {
        return Err(
            BadInput("--interval is 1s, 1m or 5m, as analytics stores them".to_owned()).into(),
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    const NOW_MS: i64 = 1_767_312_000_000;

    fn checked(options: &[&str]) -> Result<(), String> {
        let fixed = ["tickctl", "rebuild", "--aws"];
        let cli = Cli::try_parse_from([&fixed[..], options].concat()).unwrap();
        let Command::Rebuild(args) = cli.command else {
            panic!("{options:?} is another command");
        };
        let wanted = Wanted::of(&args, NOW_MS).unwrap();
        check(&args, &wanted).map_err(|error| error.to_string())
    }

    #[test]
    fn a_range_whose_ticks_are_not_all_there_is_refused() {
        assert_eq!(checked(&["--from", "24h", "--to", "2h"]), Ok(()));
        assert!(
            checked(&["--from", "24h"])
                .unwrap_err()
                .contains(": use --to 2h")
        );
        let recent = checked(&["--from", "1h"]).unwrap_err();
        assert!(recent.contains("--from 4h --to 2h"), "{recent}");
        let expired = checked(&["--from", "29d", "--to", "2h"]).unwrap_err();
        assert!(expired.contains("use a later --from"), "{expired}");
        assert_eq!(
            checked(&["--from", "29d", "--to", "2h", "--retention-days", "90"]),
            Ok(())
        );
        assert!(checked(&["--from", "4h", "--to", "2h", "--interval", "1h"]).is_err());
    }
}
