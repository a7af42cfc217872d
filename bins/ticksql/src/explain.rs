//! What a query would read and cost, without running it.

use chrono::NaiveDate;
use serde_json::json;

use crate::ask::{self, Outputs};
use crate::cli::{Format, Options};
use crate::engine::{Engine, EngineName, Estimate};
use crate::guard;
use crate::money::Bill;
use crate::problem::Problem;
use crate::size::Size;
use crate::source::Source;

/// Tells what a query would read, and with `plan` how the engine would go about it.
pub(crate) async fn explain(
    engine: &dyn Engine,
    source: &Source,
    plan: bool,
    options: &Options,
    outputs: &mut Outputs<'_>,
) -> Result<(), Problem> {
    let (_, statement) = ask::prepared(engine, source, options, outputs)?;
    let estimate = engine.estimate(&statement).await?;
    let refused = match guard::check(&statement) {
        Err(problem) if !options.full_scan => Some(problem),
        Err(_) | Ok(()) => None,
    };
    let too_much = options
        .max_scan
        .and_then(|allowed| ask::within(&estimate, allowed).err());
    let plan = match plan {
        true => Some(engine.plan(&statement).await?),
        false => None,
    };
    let facts = Facts {
        engine: engine.name(),
        estimate,
        refused: refused.as_ref().map(ToString::to_string),
        too_much: too_much.as_ref().map(ToString::to_string),
        plan,
    };
    if options.format == Some(Format::Json) {
        writeln!(outputs.output, "{}", facts.json())?;
    } else {
        write!(outputs.output, "{}", facts.text())?;
    }
    outputs.output.flush()?;
    // Who asks before running it reads it off the exit code.
    match refused.or(too_much) {
        Some(problem) => Err(problem),
        None => Ok(()),
    }
}

struct Facts {
    engine: EngineName,
    estimate: Estimate,
    /// Why the guard would refuse it.
    refused: Option<String>,
    /// Why `--max-scan` would refuse it.
    too_much: Option<String>,
    plan: Option<String>,
}

impl Facts {
    /// What it would cost at most; `None` where that is not known.
    fn bill(&self) -> Option<Bill> {
        let bill = match self.engine {
            EngineName::Local => Bill::NOTHING,
            EngineName::Athena => Bill::of_scanned(self.estimate.bytes),
        };
        self.estimate.unknown.is_none().then_some(bill)
    }

    fn json(&self) -> serde_json::Value {
        let Estimate {
            days,
            files,
            bytes,
            unknown,
            note,
        } = &self.estimate;
        let bytes_max = unknown.is_none().then_some(bytes);
        let costs = self.engine == EngineName::Athena;
        let usd_max = self.bill().filter(|_| costs).map(|bill| bill.dollars().0);
        json!({
            "engine": self.engine,
            "days": days,
            "files": files,
            "bytes_max": bytes_max,
            "usd_max": usd_max,
            "unknown": unknown,
            "refused": self.refused,
            "above_max_scan": self.too_much.is_some(),
            "note": note,
            "plan": self.plan,
        })
    }

    fn text(&self) -> String {
        let estimate = &self.estimate;
        let mut text = format!("engine  {}\n", self.engine);
        text += &format!("days    {}\n", ranges(&estimate.days));
        text += &format!("files   {}\n", estimate.files);
        let bytes = Size(estimate.bytes);
        text += &match (&estimate.unknown, estimate.bytes) {
            (None, _) => format!("bytes   at most {bytes}\n"),
            (Some(unknown), 0) => format!("bytes   not known: {unknown}\n"),
            (Some(unknown), _) => format!("bytes   not known: beside {bytes}, {unknown}\n"),
        };
        text += &match self.bill() {
            None => "cost    not known\n".to_owned(),
            Some(Bill::NOTHING) => "cost    none\n".to_owned(),
            Some(bill) => format!(
                "cost    at most {} ({} billed)\n",
                bill.dollars(),
                Size(bill.bytes)
            ),
        };
        if let Some(note) = &estimate.note {
            text += &format!("note    {note}\n");
        }
        if let Some(refused) = &self.refused {
            text += &format!("refused {refused}\n");
        }
        if let Some(too_much) = &self.too_much {
            text += &format!("refused {too_much}\n");
        }
        if let Some(plan) = &self.plan {
            text += &format!("\n{}\n", plan.trim_end());
        }
        text
    }
}

/// `3 (2026-03-05 to 2026-03-07)`, or what days there are where some between are missing.
fn ranges(days: &[NaiveDate]) -> String {
    let mut ranges: Vec<(NaiveDate, NaiveDate)> = Vec::new();
    for day in days {
        match ranges.last_mut() {
            Some((_, last)) if last.succ_opt() == Some(*day) => *last = *day,
            _ => ranges.push((*day, *day)),
        }
    }
    let told = ranges.iter().map(|(first, last)| match first == last {
        true => first.to_string(),
        false => format!("{first} to {last}"),
    });
    match days.len() {
        0 => "none".to_owned(),
        count => format!("{count} ({})", told.collect::<Vec<_>>().join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_told_as_such() {
        let facts = |bytes, unknown: Option<&str>| Facts {
            engine: EngineName::Athena,
            estimate: Estimate {
                bytes,
                unknown: unknown.map(str::to_owned),
                ..Estimate::default()
            },
            refused: None,
            too_much: None,
            plan: None,
        };
        let known = facts(20_000_000, None);
        let text = known.text();
        for part in [
            "bytes   at most 20.0 MB\n",
            "cost    at most $0.000100 (20.0 MB billed)\n",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert_eq!(known.json()["bytes_max"], 20_000_000);
        assert!(facts(0, None).text().contains("cost    none\n"));
        let unknown = "how much lies behind `b` is not known";
        let text = facts(0, Some(unknown)).text();
        for part in [
            &format!("bytes   not known: {unknown}\n"),
            "cost    not known\n",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let part_known = facts(1_000, Some(unknown));
        let text = part_known.text();
        assert!(
            text.contains("not known: beside 1.0 kB, how much"),
            "{text}"
        );
        let json = part_known.json();
        assert_eq!(
            (&json["bytes_max"], &json["usd_max"]),
            (&json!(null), &json!(null))
        );
        assert_eq!(json["unknown"], unknown);
    }

    #[test]
    fn days_in_a_row_are_told_as_a_range() {
        let day = |day| NaiveDate::from_ymd_opt(2026, 3, day).unwrap();
        assert_eq!(ranges(&[]), "none");
        assert_eq!(ranges(&[day(1)]), "1 (2026-03-01)");
        assert_eq!(
            ranges(&[day(1), day(2), day(3), day(7)]),
            "4 (2026-03-01 to 2026-03-03, 2026-03-07)"
        );
    }
}
