//! What a query would read and cost, without running it.

use chrono::NaiveDate;
use serde_json::json;

use crate::ask::{self, Outputs};
use crate::cli::{Format, Options};
use crate::engine::{Engine, EngineName, Estimate};
use crate::guard;
use crate::money::{Dollars, billed_bytes};
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
        Err(problem) if !options.full_scan => Some(problem.to_string()),
        Err(_) | Ok(()) => None,
    };
    let too_much = options
        .max_scan
        .filter(|allowed| estimate.bytes > allowed.0);
    let plan = match plan {
        true => Some(engine.plan(&statement).await?),
        false => None,
    };
    let facts = Facts {
        engine: engine.name(),
        estimate,
        refused,
        too_much,
        plan,
    };
    if options.format == Some(Format::Json) {
        writeln!(outputs.output, "{}", facts.json())?;
    } else {
        write!(outputs.output, "{}", facts.text())?;
    }
    Ok(outputs.output.flush()?)
}

struct Facts {
    engine: EngineName,
    estimate: Estimate,
    /// Why the guard would refuse it.
    refused: Option<String>,
    /// The `--max-scan` that it goes beyond.
    too_much: Option<Size>,
    plan: Option<String>,
}

impl Facts {
    fn cost(&self) -> Option<Dollars> {
        let billed = || Dollars::of_billed(billed_bytes(self.estimate.bytes));
        (self.engine == EngineName::Athena).then(billed)
    }

    fn json(&self) -> serde_json::Value {
        let Estimate {
            days,
            files,
            bytes,
            note,
        } = &self.estimate;
        json!({
            "engine": self.engine,
            "days": days,
            "files": files,
            "bytes_max": bytes,
            "usd_max": self.cost().map(|cost| cost.0),
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
        text += &format!("bytes   at most {}\n", Size(estimate.bytes));
        text += &match self.cost() {
            Some(cost) => format!(
                "cost    at most {cost} ({} billed)\n",
                Size(billed_bytes(estimate.bytes))
            ),
            None => "cost    none\n".to_owned(),
        };
        if let Some(note) = &estimate.note {
            text += &format!("note    {note}\n");
        }
        if let Some(refused) = &self.refused {
            text += &format!("refused {refused}\n");
        }
        if let Some(allowed) = self.too_much {
            text += &format!("refused it may read more than the {allowed} of --max-scan\n");
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
