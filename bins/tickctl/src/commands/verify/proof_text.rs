//! A proof for people.

use std::fmt::Write as _;

use domain::count_of;
use ops::verify::{Counts, Example, Place, Proof, Verdict};

use crate::moment::time_text;

/// The most hours, sources and tokens that are shown: those with the most differences.
const GROUPS_SHOWN_MAX: usize = 10;

/// The proof: its outcome, the counts, where the differences are, and examples.
pub(crate) fn proof_text(proof: &Proof) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    _ = write_proof(&mut text, proof);
    text.truncate(text.trim_end().len());
    text
}

fn write_proof(text: &mut String, proof: &Proof) -> std::fmt::Result {
    let scope = proof.scope;
    let counts = &proof.counts;
    writeln!(text, "{}", headline(proof))?;
    let (from, to) = (time_text(scope.from_ms), time_text(scope.to_ms));
    writeln!(text, "range     received from {from} to {to}")?;
    if scope.one_in > 1 {
        writeln!(
            text,
            "sample    one minute in {} of each token",
            scope.one_in
        )?;
    }
    writeln!(
        text,
        "stored    {}, of which {} in the cohort",
        ticks(counts.stored),
        counts.cohort
    )?;
    if counts.undecided > 0 {
        let undecided = ticks(counts.undecided);
        writeln!(
            text,
            "undecided {undecided}: a release before 1.1 stored them; they are not compared"
        )?;
    }
    for place in Place::ALL {
        writeln!(text, "{:<9} {}", place.as_str(), place_text(counts, place))?;
    }
    for unseen in &proof.unseen {
        writeln!(text, "unseen    {unseen}")?;
    }
    if let Some(overdue) = proof.overdue() {
        writeln!(text, "overdue   {overdue}")?;
    }
    if let Some(advice) = proof.advice_on_repeats() {
        writeln!(text, "repeats   {advice}")?;
    }
    if let Some(repaired) = proof.repaired {
        writeln!(
            text,
            "repaired  {} appended to the stream, {} written to the archive",
            ticks(repaired.appended),
            repaired.archived
        )?;
        if repaired.left_out > 0 {
            writeln!(
                text,
                "          {} missing in the stream were not appended: the archive has them, so they have been counted; compare \
                 the candles of that time with `tickctl rebuild`",
                ticks(repaired.left_out)
            )?;
        }
        if repaired.appended > 0 {
            writeln!(
                text,
                "          the archive follows the stream; then verify again"
            )?;
        }
    }
    if counts.differences() > 0 {
        let hours = proof
            .by_hour
            .iter()
            .map(|(hour_ms, counts)| (time_text(*hour_ms), counts));
        write_groups(text, "hour", hours.collect())?;
        let sources = proof
            .by_source
            .iter()
            .map(|(name, counts)| (name.clone(), counts));
        write_groups(text, "source", sources.collect())?;
        let tokens = proof
            .by_token
            .iter()
            .map(|(name, counts)| (name.clone(), counts));
        write_groups(text, "token", tokens.collect())?;
        for example in &proof.examples {
            write_example(text, example)?;
        }
    }
    Ok(())
}

fn headline(proof: &Proof) -> String {
    let matched = ticks(proof.counts.matched);
    match proof.verdict() {
        Verdict::Proven => {
            let are = if proof.counts.matched == 1 {
                "is"
            } else {
                "are"
            };
            let text =
                format!("proven    {matched} of the cohort {are} in stream and archive as stored");
            match proof.counts.archive.late {
                0 => text,
                late => format!("{text}; {late} more are not due yet"),
            }
        }
        Verdict::Differences => format!(
            "differs   {}; {matched} match",
            count_of(proof.counts.differences(), "difference")
        ),
        Verdict::Incomplete if proof.unseen.is_empty() => {
            format!("unproven  ticks that are due are still on their way; {matched} match")
        }
        Verdict::Incomplete => format!("unproven  not everything could be seen; {matched} match"),
        Verdict::NoTicks => "unproven  there was no tick of the cohort that is due".to_owned(),
    }
}

fn place_text(counts: &Counts, place: Place) -> String {
    let of_place = counts.of(place);
    let mut text = format!("{} matched", of_place.matched);
    for (count, what) in [
        (of_place.missing, "missing"),
        (of_place.late, "late"),
        (of_place.different, "different"),
        (of_place.repeated, "repeated"),
        (of_place.extra, "extra"),
        (of_place.unseen, "unseen"),
    ] {
        if count > 0 {
            text.push_str(&format!(", {count} {what}"));
        }
    }
    text
}

/// The groups with differences, those with the most first.
fn write_groups(
    text: &mut String,
    kind: &str,
    mut groups: Vec<(String, &Counts)>,
) -> std::fmt::Result {
    groups.retain(|(_, counts)| counts.differences() > 0);
    groups.sort_by_key(|(_, counts)| std::cmp::Reverse(counts.differences()));
    for (name, counts) in groups.iter().take(GROUPS_SHOWN_MAX) {
        let places: Vec<String> = Place::ALL
            .into_iter()
            .map(|place| format!("{}: {}", place.as_str(), place_text(counts, place)))
            .collect();
        writeln!(text, "{kind:<9} {name}: {}", places.join("; "))?;
    }
    if let Some(more) = groups
        .len()
        .checked_sub(GROUPS_SHOWN_MAX)
        .filter(|more| *more > 0)
    {
        writeln!(text, "{kind:<9} and {more} more with differences")?;
    }
    Ok(())
}

fn write_example(text: &mut String, example: &Example) -> std::fmt::Result {
    write!(
        text,
        "example   {}: {}: {} {}/{} of {} at {}",
        example.place.as_str(),
        example.finding.as_str(),
        example.tick_id,
        example.token,
        example.quote,
        example.source,
        time_text(example.timestamp_ms),
    )?;
    for field in &example.fields {
        let shown = |value: &str| {
            if value.is_empty() {
                "nothing".to_owned()
            } else {
                value.to_owned()
            }
        };
        write!(
            text,
            "; {}: stored {}, found {}",
            field.field,
            shown(&field.stored),
            shown(&field.found)
        )?;
    }
    writeln!(text)
}

fn ticks(count: u64) -> String {
    count_of(count, "tick")
}

#[cfg(test)]
mod tests {
    use ops::verify::Scope;

    use super::*;

    #[test]
    fn what_is_not_due_is_not_counted_as_proven() {
        let mut proof = Proof {
            scope: Scope {
                from_ms: 0,
                to_ms: 1_000,
                one_in: 1,
            },
            made_at_ms: 1_000,
            repeats_max: 0,
            due_after: None,
            counts: Counts::default(),
            by_hour: Default::default(),
            by_source: Default::default(),
            by_token: Default::default(),
            examples: Vec::new(),
            unseen: Vec::new(),
            repaired: None,
        };
        let counts = &mut proof.counts;
        (counts.stored, counts.cohort, counts.matched) = (41, 41, 1);
        (counts.stream.matched, counts.archive.matched) = (41, 1);
        counts.archive.late = 40;
        assert_eq!(
            headline(&proof),
            "proven    1 tick of the cohort is in stream and archive as stored; 40 more are not due yet"
        );
        proof.counts.archive.late = 0;
        assert!(headline(&proof).ends_with("as stored"));
    }
}
