//! What `tickctl requeue` prints.

use app::requeue::RequeueReport;
use domain::count_of;
use serde_json::{Value, json as object};

use super::{Queue, RequeueArgs};
use crate::moment::time_text;

/// One queue of all.
pub(super) fn count_text(queue: Queue, name: &str, count: u64, as_json: bool) -> String {
    if as_json {
        return object!({"queue": queue_name(queue), "messages": count}).to_string();
    }
    format!("{name:<32} about {}", count_of(count, "message"))
}

fn queue_name(queue: Queue) -> &'static str {
    match queue {
        Queue::Broadcast => "broadcast",
        Queue::Redrive => "redrive",
        Queue::Analytics => "analytics",
    }
}

pub(super) fn json(queue: Queue, report: &RequeueReport) -> Value {
    let kinds = report.by_kind.iter().map(|((kind, reason), count)| {
        object!({"kind": kind.as_str(), "reason": reason, "messages": count})
    });
    object!({
        "queue": queue_name(queue),
        "seen": report.seen,
        "matching": report.matching,
        "by_kind": kinds.collect::<Vec<_>>(),
        "oldest": report.sent_at_ms.map(|(oldest, _)| oldest),
        "newest": report.sent_at_ms.map(|(_, newest)| newest),
        "requeued": report.requeued,
        "refused": report.refused,
        "stopped": report.stopped,
    })
}

pub(super) fn text(queue: Queue, name: &str, report: &RequeueReport, args: &RequeueArgs) -> String {
    let mut lines = vec![format!(
        "queue     {name}: {} seen, {} selected",
        count_of(report.seen, "message"),
        report.matching
    )];
    for ((kind, reason), count) in &report.by_kind {
        let reason = reason.as_ref().map(|reason| format!(" ({reason})"));
        lines.push(format!(
            "          {count} {}{}",
            kind.as_str(),
            reason.unwrap_or_default()
        ));
    }
    if let Some((oldest, newest)) = report.sent_at_ms {
        lines.push(format!(
            "sent      from {} to {}",
            time_text(oldest),
            time_text(newest)
        ));
    }
    for (why, count) in &report.refused {
        lines.push(format!("refused   {count}: {why}"));
    }
    let to = match queue {
        Queue::Broadcast | Queue::Redrive => format!("the queue {}", queue.destination()),
        Queue::Analytics => "the stream".to_owned(),
    };
    lines.push(match (args.apply, report.matching) {
        (_, 0) if report.stopped => "stopped   before all were seen".to_owned(),
        (_, 0) => "nothing to send".to_owned(),
        (false, count) => {
            format!("dry run   {count} would be sent to {to}; add --apply to send them")
        }
        (true, _) => format!("requeued  {} to {to}", report.requeued),
    });
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use app::requeue::LetterKind;
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    fn shown(options: &[&str], report: &RequeueReport) -> String {
        let cli = Cli::try_parse_from([&["tickctl", "requeue", "analytics"], options].concat());
        let Command::Requeue(args) = cli.unwrap().command else {
            panic!("another command");
        };
        text(Queue::Analytics, "p-analytics-failed", report, &args)
    }

    #[test]
    fn a_dry_run_says_what_would_be_sent_and_where() {
        let key = (
            LetterKind::FailedBatch,
            Some("RecordAgeExceeded".to_owned()),
        );
        let mut report = RequeueReport {
            seen: 3,
            matching: 2,
            by_kind: BTreeMap::from([(key, 2)]),
            sent_at_ms: Some((1_767_312_000_000, 1_767_312_001_000)),
            ..RequeueReport::default()
        };
        let expected = "\
queue     p-analytics-failed: 3 messages seen, 2 selected
          2 failed_batch (RecordAgeExceeded)
sent      from 2026-01-02T00:00:00Z to 2026-01-02T00:00:01Z
dry run   2 would be sent to the stream; add --apply to send them";
        assert_eq!(shown(&[], &report), expected);
        let stopped = RequeueReport {
            stopped: true,
            ..RequeueReport::default()
        };
        let said = shown(&[], &stopped);
        assert!(said.ends_with("\nstopped   before all were seen"), "{said}");
        report.requeued = 1;
        report.refused = BTreeMap::from([("too old".to_owned(), 1)]);
        let done = shown(&["--apply"], &report);
        assert!(
            done.ends_with("refused   1: too old\nrequeued  1 to the stream"),
            "{done}"
        );
        assert_eq!(json(Queue::Analytics, &report)["refused"]["too old"], 1);
    }
}
