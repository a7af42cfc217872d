//! Which ticks of a range are meant, and whether all of them were replayed.

use anyhow::bail;
use app::read_back::ReceiptRange;
use app::tick_replay::{TickReplayReport, TickSelection};
use domain::count_of;

use super::ReplayArgs;
use crate::moment::{Moment, range_ms};
use crate::process::{BadInput, ExitUnseen, selected_tokens};

pub(super) fn selection(args: &ReplayArgs, now_ms: i64) -> anyhow::Result<TickSelection> {
    let from = args.from.unwrap_or(Moment::At(0));
    let to: Moment = match &args.to {
        Some(text) => text
            .parse()
            .map_err(|error| BadInput(format!("--to: {error}")))?,
        None => Moment::Ago(0),
    };
    let (from_ms, to_ms) = range_ms(from, to, now_ms)?;
    Ok(TickSelection {
        range: ReceiptRange { from_ms, to_ms },
        tokens: selected_tokens(&args.tokens)?,
    })
}

/// The error of a replay that is not complete.
pub(super) fn failure(report: &TickReplayReport) -> anyhow::Result<()> {
    if report.stopped {
        bail!("stopped; repeating the command is safe");
    }
    if report.sent.rejected > 0 {
        bail!("rejected: {}", count_of(report.sent.rejected, "tick"));
    }
    if report.is_empty() && report.unseen.is_empty() {
        let why = "there was nothing to replay: see above";
        return Err(ExitUnseen(why.to_owned()).into());
    }
    let unread = report.unreadable + report.undecided;
    if !report.tokens_without_ticks.is_empty() || !report.unseen.is_empty() || unread > 0 {
        let why = "part of the range was not seen or not replayed: see above";
        return Err(ExitUnseen(why.to_owned()).into());
    }
    Ok(())
}
