//! What the replay of a range prints.

use app::tick_replay::{Sent, TickReplayReport};
use domain::count_of;

/// What the replay into the stream of this machine prints.
pub(super) fn into_stream_text(report: &TickReplayReport, dry_run: bool) -> String {
    let mut lines = not_sent(report);
    let selected = count_of(report.selected, "tick");
    let Sent { new, duplicate, .. } = report.sent;
    let (appended, end) = match dry_run {
        true => ("dry run   would append", "; omit --dry-run to append"),
        false => ("appended ", ""),
    };
    lines.push(format!(
        "{appended} {new} of {selected} to the stream; {duplicate} already in the stream, in the archive, or in the outbox{end}"
    ));
    lines.join("\n")
}

pub(super) fn text(report: &TickReplayReport, dry_run: bool, into: &str) -> String {
    let mut lines = not_sent(report);
    let sent = report.sent;
    lines.push(match (dry_run, into) {
        (true, _) => format!(
            "dry run   would send {}; omit --dry-run to send them",
            count_of(report.selected, "tick")
        ),
        (false, "stream") => format!("replayed  {} into the stream", count_of(sent.new, "tick")),
        (false, _) => format!(
            "replayed  {}: {} stored, {} duplicate, {} rejected",
            count_of(sent.new + sent.duplicate + sent.rejected, "tick"),
            sent.new,
            sent.duplicate,
            sent.rejected
        ),
    });
    lines.join("\n")
}

/// A line for each reason why ticks were not seen or not sent.
fn not_sent(report: &TickReplayReport) -> Vec<String> {
    let mut lines: Vec<String> = report
        .unseen
        .iter()
        .map(|what| format!("unseen    {what}"))
        .collect();
    for token in &report.tokens_without_ticks {
        lines.push(format!(
            "unseen    there is no tick of {token} that was received in the range"
        ));
    }
    if report.is_empty() && lines.is_empty() {
        lines.push("unseen    there is no tick that was received in the range".to_owned());
    }
    let mut left_out = |count: u64, why: &str| {
        if count > 0 {
            lines.push(format!("left out  {}: {why}", count_of(count, "tick")));
        }
    };
    left_out(report.outside_cohort, "they do not belong to the stream");
    left_out(
        report.undecided,
        "a release before 1.1 stored them, which did not keep whether they belong to the stream",
    );
    left_out(
        report.unreadable,
        "the archive has amounts of them that are not those of a tick",
    );
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_left_out_and_what_could_not_be_seen_is_said() {
        let report = TickReplayReport {
            selected: 7,
            sent: Sent {
                new: 5,
                duplicate: 2,
                rejected: 0,
            },
            outside_cohort: 3,
            unseen: vec!["a file".to_owned()],
            ..TickReplayReport::default()
        };
        let of = |dry_run, into| text(&report, dry_run, into);
        let before = "unseen    a file\nleft out  3 ticks: they do not belong to the stream\n";
        assert_eq!(
            of(false, "http://h"),
            format!("{before}replayed  7 ticks: 5 stored, 2 duplicate, 0 rejected")
        );
        assert!(
            of(true, "stream")
                .ends_with("dry run   would send 7 ticks; omit --dry-run to send them")
        );
        assert!(of(false, "stream").ends_with("replayed  5 ticks into the stream"));
        let here = |dry_run| into_stream_text(&report, dry_run);
        assert_eq!(
            here(false),
            format!(
                "{before}appended  5 of 7 ticks to the stream; 2 already in the stream, in the archive, or in the outbox"
            )
        );
        assert!(here(true).contains("would append 5 of 7 ticks"));
        let nothing = text(&TickReplayReport::default(), true, "stream");
        assert!(
            nothing.starts_with("unseen    there is no tick that was received in the range"),
            "{nothing}"
        );
    }
}
