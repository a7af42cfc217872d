//! The text of the flag, its changes, and the arrivals after a change.

use app::time_text::time_text;
use domain::{Percentage, count_of};
use ops::flag_record::{FlagChange, FlagContent, FlagValue};
use ops::ports::AlarmStates;
use ops::rollout_controller::{Changed, DrainReport, StepReport};
use ops::stage_gate::Stage;
use runtime::printable::printable;

pub(crate) fn flag_text(content: &FlagContent) -> String {
    match content {
        FlagContent::Value(FlagValue {
            use_kinesis,
            percentage,
            key,
        }) => {
            let off = if *use_kinesis {
                ""
            } else {
                " (USE_KINESIS=false: the stream is off)"
            };
            let by = match key {
                Some(key) => format!(" by {key}"),
                None => String::new(),
            };
            format!("{percentage} %{off}{by}")
        }
        FlagContent::Unreadable(what) => format!(
            "not valid: it holds {}. Processes use the last valid value, and new ones do not start; \
             `tickctl rollout back` overwrites it",
            printable(what)
        ),
        FlagContent::Missing => {
            "missing: is this project deployed in this account and region?".to_owned()
        }
    }
}

pub(crate) fn alarms_text(alarms: &AlarmStates) -> String {
    if alarms.watched == 0 {
        return "the project has none in this account and region, so nobody would notice a problem: `just deploy infra` \
                deploys them where the project is"
            .to_owned();
    }
    let lists = [
        (&alarms.on, "on"),
        (&alarms.undecided, "without enough data yet"),
        (&alarms.missing, "missing: deploy `infra`"),
        (&alarms.unseen, "not seen, since an emulator evaluates none"),
    ];
    let lists = lists.into_iter().filter(|(names, _)| !names.is_empty());
    let texts: Vec<String> = lists
        .map(|(names, what)| format!("{} {what}: {}", names.len(), names.join(", ")))
        .collect();
    if texts.is_empty() {
        return "none in alarm".to_owned();
    }
    texts.join("; ")
}

pub(crate) fn change_text(change: &FlagChange) -> String {
    let at = time_text(change.at_ms);
    let FlagChange {
        who, why, value, ..
    } = change;
    let signature = format!("{who}: {why}");
    // Another operator wrote this: it must not control the terminal, or look like a second line.
    let signature = signature.replace(['\n', '\t'], " ");
    format!("{at}  {} %  {}", value.percentage, printable(&signature))
}

fn share_text(before: Option<Percentage>) -> String {
    before.map_or_else(|| "unknown".to_owned(), |before| format!("{before} %"))
}

fn with_notes(line: String, notes: &[String]) -> String {
    let notes = notes.iter().map(|note| {
        format!(
            "\nnote      {}",
            printable(&note.replace(['\n', '\t'], " "))
        )
    });
    line + &notes.collect::<String>()
}

pub(super) fn step_text(stage: Stage, changed: &Changed) -> String {
    let before = share_text(changed.before);
    let now = if changed.value.percentage == stage.percentage() {
        stage.to_string()
    } else {
        format!("{} %, not {stage}", changed.value.percentage)
    };
    with_notes(format!("rollout   {before} -> {now}"), &changed.notes)
}

pub(super) fn arrivals_text(seen: &StepReport) -> String {
    let arrived = match seen.arrived {
        0 => "no tick arrived".to_owned(),
        ticks => format!("{} arrived", count_of(ticks, "tick")),
    };
    let inside = match (seen.arrived, seen.outside_cohort) {
        (0, _) => " (is there traffic?)".to_owned(),
        (_, 0) => ", all in the cohort".to_owned(),
        (_, outside) => format!(", {outside} outside the cohort"),
    };
    let incomplete = if seen.caught_up {
        ""
    } else {
        " (the stream is written faster than it was read, so there are more)"
    };
    let watched = seconds(seen.watched_ms);
    format!("stream    in {watched:.1} s {arrived}{inside}{incomplete}")
}

pub(super) fn rollback_text(changed: &Changed) -> String {
    let line = format!(
        "rollout   {} -> 0 % (stored in {:.2} s)",
        share_text(changed.before),
        seconds(changed.stored_after_ms)
    );
    with_notes(line, &changed.notes)
}

pub(super) fn drained_text(seen: &DrainReport) -> String {
    let arrivals = match seen.last_arrival_after_ms {
        None => "no tick ingested after the change arrived".to_owned(),
        Some(ms) => format!(
            "the last of {} ingested after the change arrived {:.1} s after it",
            count_of(seen.arrived, "tick"),
            seconds(ms)
        ),
    };
    format!("stream    {arrivals}; the stream is drained")
}

#[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
fn seconds(ms: i64) -> f64 {
    ms as f64 / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: FlagValue = FlagValue {
        use_kinesis: true,
        percentage: Percentage::FULL,
        key: None,
    };

    fn changed(before: Option<&str>, now: &str) -> Changed {
        Changed {
            before: before.map(|before| before.parse().unwrap()),
            value: FlagValue {
                percentage: now.parse().unwrap(),
                ..FULL
            },
            began_ms: 0,
            stored_after_ms: 31,
            proof: None,
            notes: Vec::new(),
        }
    }

    #[test]
    fn changes_and_arrivals_are_reported() {
        let stage = "10".parse().unwrap();
        let mut change = changed(Some("1"), "10");
        assert_eq!(step_text(stage, &change), "rollout   1 % -> 10 %");
        change
            .notes
            .push("meanwhile bob had set 0 %: lag".to_owned());
        change.value.percentage = Percentage::ZERO;
        assert_eq!(
            step_text(stage, &change),
            "rollout   1 % -> 0 %, not 10 %\nnote      meanwhile bob had set 0 %: lag"
        );
        let mut seen = StepReport {
            watched_ms: 10_049,
            arrived: 132,
            outside_cohort: 0,
            caught_up: true,
        };
        assert_eq!(
            arrivals_text(&seen),
            "stream    in 10.0 s 132 ticks arrived, all in the cohort"
        );
        seen.caught_up = false;
        assert!(arrivals_text(&seen).contains("there are more"));
        seen.caught_up = true;
        seen.arrived = 0;
        assert!(arrivals_text(&seen).ends_with("no tick arrived (is there traffic?)"));
        assert_eq!(
            rollback_text(&changed(Some("100"), "0")),
            "rollout   100 % -> 0 % (stored in 0.03 s)"
        );
        assert!(rollback_text(&changed(None, "0")).starts_with("rollout   unknown -> 0 %"));
        let mut drained = DrainReport {
            last_arrival_after_ms: Some(2_970),
            arrived: 61,
        };
        assert_eq!(
            drained_text(&drained),
            "stream    the last of 61 ticks ingested after the change arrived 3.0 s after it; the \
             stream is drained"
        );
        drained.last_arrival_after_ms = None;
        assert!(drained_text(&drained).contains("no tick ingested after the change"));
    }

    #[test]
    fn a_change_is_shown_with_who_when_and_why() {
        let change = FlagChange {
            at_ms: 1_760_000_000_000,
            who: "night shift".to_owned(),
            why: "lag".to_owned(),
            value: FULL,
        };
        assert_eq!(
            change_text(&change),
            "2025-10-09T08:53:20Z  100 %  night shift: lag"
        );
    }

    #[test]
    fn what_others_wrote_cannot_control_the_terminal() {
        let change = FlagChange {
            at_ms: 0,
            who: "eve\u{1b}[2J".to_owned(),
            why: "fast\nalarms    none in alarm\u{9b}".to_owned(),
            value: FULL,
        };
        assert_eq!(
            change_text(&change),
            "1970-01-01T00:00:00Z  100 %  eve\\x1B[2J: fast alarms    none in alarm\\u009B"
        );
        let mut with_note = changed(Some("1"), "0");
        with_note
            .notes
            .push("meanwhile eve\u{1b}[2J had set 5 %".to_owned());
        let text = rollback_text(&with_note);
        assert!(
            text.ends_with("\nnote      meanwhile eve\\x1B[2J had set 5 %"),
            "{text}"
        );
        let text = flag_text(&FlagContent::Unreadable("`\u{1b}]0;x`".to_owned()));
        assert!(
            text.starts_with("not valid: it holds `\\x1B]0;x`."),
            "{text}"
        );
    }

    #[test]
    fn the_status_mentions_missing_alarms() {
        assert!(alarms_text(&AlarmStates::default()).contains("nobody would notice"));
    }
}
