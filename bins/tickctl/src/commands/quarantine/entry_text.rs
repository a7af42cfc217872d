//! What `tickctl quarantine` prints.

use std::collections::BTreeMap;

use app::quarantine_review::{EntryOutcome, QuarantineFilter, ReviewedEntry};
use domain::count_of;

use crate::moment::time_text;

/// How much of a text from outside is shown in a line, in characters.
const TEXT_CHARS_MAX: usize = 120;

/// What became of all.
#[derive(Debug, Default)]
pub(super) struct Summary {
    pub(super) replayed: u64,
    stored: u64,
    duplicate: u64,
    ignored: u64,
    /// Still malformed, or not replayable.
    pub(super) left: u64,
    pub(super) stopped: bool,
}

impl Summary {
    pub(super) fn add(&mut self, outcome: &EntryOutcome) {
        self.replayed += 1;
        match outcome {
            EntryOutcome::Stored { .. } => self.stored += 1,
            EntryOutcome::Duplicate { .. } => self.duplicate += 1,
            EntryOutcome::Ignored { .. } => self.ignored += 1,
            EntryOutcome::StillMalformed { .. } | EntryOutcome::NotReplayable { .. } => {
                self.left += 1;
            }
        }
    }

    pub(super) fn text(&self) -> String {
        format!(
            "replayed {}: {} stored, {} stored before, {} without a price, {} left",
            count_of(self.replayed, "entry"),
            self.stored,
            self.duplicate,
            self.ignored,
            self.left
        )
    }
}

/// One line of a list.
pub(super) fn line(entry: &ReviewedEntry) -> String {
    let kept = &entry.kept;
    let became = entry.replayed.as_ref().map_or(String::new(), |record| {
        let (when, who) = (time_text(record.at_ms), shown(&record.who));
        format!(
            "\n    replayed {when} by {who}: {}",
            outcome_text(&record.outcome)
        )
    });
    format!(
        "{}  {}  {}  {}  {}{became}",
        entry.id,
        time_text(kept.received_at_ms),
        shown(&kept.source),
        kept.entry.reason,
        shown(&kept.entry.message),
    )
}

/// One line of a dry run.
pub(super) fn plan_line(entry: &ReviewedEntry) -> String {
    match entry.kept.obstacle() {
        Some(why) => format!("{}\n    cannot be replayed: {why}", line(entry)),
        None => line(entry),
    }
}

/// The end of a dry run of some entries, with so many more than its limit.
pub(super) fn plan(entries: &[ReviewedEntry], beyond_limit: u64) -> String {
    let able = entries
        .iter()
        .filter(|it| it.kept.obstacle().is_none())
        .count();
    let plan = match able {
        0 => "nothing to replay".to_owned(),
        able => format!(
            "dry run: would replay {}; add --apply to replay them",
            count_of(able as u64, "entry")
        ),
    };
    match beyond_limit {
        0 => plan,
        more => format!("{plan}\n{more} more are open: raise --limit to include them"),
    }
}

/// How many are left after a run, if there are any.
pub(super) fn more(beyond_limit: u64) -> Option<String> {
    (beyond_limit > 0).then(|| {
        format!(
            "{beyond_limit} more are open: repeat the command for the next ones, or raise --limit"
        )
    })
}

/// What became of one.
pub(super) fn replayed_line(entry: &ReviewedEntry, outcome: &EntryOutcome) -> String {
    format!(
        "{}  {}  {}",
        entry.id,
        shown(&entry.kept.source),
        outcome_text(outcome)
    )
}

/// The end of a list.
pub(super) fn counts(filter: &QuarantineFilter, entries: &[ReviewedEntry], limit: usize) -> String {
    let mut by_reason: BTreeMap<(String, &str), u64> = BTreeMap::new();
    for entry in entries {
        let key = (shown(&entry.kept.source), entry.kept.entry.reason.as_str());
        *by_reason.entry(key).or_default() += 1;
    }
    let count = count_of(entries.len() as u64, "entry");
    let mut lines = vec![match entries.len() {
        0 => format!(
            "{count}: none that is selected was received from {} to {}, or they have been removed with the ticks of \
             their day",
            time_text(filter.from_ms),
            time_text(filter.to_ms)
        ),
        many if many >= limit => format!("{count}, and there may be more (--limit)"),
        _ => count,
    }];
    for ((source, reason), count) in by_reason {
        lines.push(format!("{count:>8}  {source}  {reason}"));
    }
    lines.join("\n")
}

/// An entry as it was received.
pub(super) fn whole(entry: &ReviewedEntry) -> String {
    let kept = &entry.kept;
    let raw: Vec<String> = kept
        .entry
        .raw
        .lines()
        .map(|line| line.chars().map(printable).collect())
        .collect();
    let raw = raw.join("\n");
    let cut = match kept.entry.raw.len() < kept.entry.raw_bytes {
        true => format!(" of {} bytes", kept.entry.raw_bytes),
        false => String::new(),
    };
    let position = kept.entry.index;
    format!(
        "{}\nposition  {position} in its delivery\nreceived  {} bytes{cut}:\n{raw}",
        plan_line(entry),
        kept.entry.raw.len()
    )
}

fn outcome_text(outcome: &EntryOutcome) -> String {
    match outcome {
        EntryOutcome::Stored { ticks } => format!("stored ({ticks})"),
        EntryOutcome::Duplicate { ticks } => format!("was stored before ({ticks})"),
        EntryOutcome::Ignored { what } => format!("without a price ({})", shown(what)),
        EntryOutcome::StillMalformed { reason, message } => {
            format!("still malformed: {}: {}", shown(reason), shown(message))
        }
        EntryOutcome::NotReplayable { why } => format!("cannot be replayed: {}", shown(why)),
    }
}

/// A text from outside, in a line.
fn shown(text: &str) -> String {
    let mut chars = text.chars();
    let mut shown: String = chars.by_ref().take(TEXT_CHARS_MAX).map(printable).collect();
    if chars.next().is_some() {
        shown.push('…');
    }
    shown
}

/// Control characters must not reach the terminal.
fn printable(c: char) -> char {
    if c.is_control() { ' ' } else { c }
}

#[cfg(test)]
mod tests {
    use app::ports::Quarantined;
    use app::quarantine_review::ReplayRecord;
    use domain::{Malformed, Reason};

    use super::*;

    #[test]
    fn a_line_shows_the_entry_and_what_became_of_it() {
        let mut entry = ReviewedEntry {
            id: "1767312000000-3".to_owned(),
            kept: Quarantined {
                received_at_ms: 1_767_312_000_000,
                source: "pyth\u{1b}[2J".to_owned(),
                entry: Malformed::new(0, Reason::InvalidToken, "feed ab is not known", b"{}"),
            },
            replayed: None,
        };
        let first =
            "1767312000000-3  2026-01-02T00:00:00Z  pyth [2J  invalid_token  feed ab is not known";
        assert_eq!(line(&entry), first);
        assert_eq!(
            plan(std::slice::from_ref(&entry), 0),
            "dry run: would replay 1 entry; add --apply to replay them"
        );
        assert_eq!(
            plan(std::slice::from_ref(&entry), 3),
            "dry run: would replay 1 entry; add --apply to replay them\n3 more are open: raise --limit to include them"
        );
        entry.replayed = Some(ReplayRecord {
            at_ms: 1_767_312_000_500,
            who: "ann".to_owned(),
            outcome: EntryOutcome::Stored { ticks: 1 },
        });
        let second = "\n    replayed 2026-01-02T00:00:00.500Z by ann: stored (1)";
        assert_eq!(line(&entry), format!("{first}{second}"));
        entry.kept.entry.raw_bytes = 5_000;
        assert!(
            plan_line(&entry).contains("only 2 of its 5000 bytes"),
            "{}",
            plan_line(&entry)
        );
        assert_eq!(plan(&[entry], 0), "nothing to replay");
        let filter = QuarantineFilter {
            from_ms: 1_767_312_000_000,
            to_ms: 1_767_315_600_000,
            reason: None,
            source: None,
        };
        let none = counts(&filter, &[], 10);
        let range = "from 2026-01-02T00:00:00Z to 2026-01-02T01:00:00Z";
        assert!(
            none.starts_with("0 entries: none") && none.contains(range),
            "{none}"
        );
    }
}
