//! What a query would read and cost, without running it.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float64Array, RecordBatch, StringArray, UInt64Array};
use chrono::NaiveDate;
use serde_json::json;

use crate::athena_bill::Bill;
use crate::cli_error::CliError;
use crate::destination::{self, write_rows, write_text};
use crate::engine::{Engine, Estimate};
use crate::execute;
use crate::full_scan_guard;
use crate::options::{EngineName, Format, Options};
use crate::outputs::Outputs;
use crate::size::Size;
use crate::source::Source;

/// Writes what a query would read, and with `plan` how the engine would run it.
pub(crate) async fn explain(
    engine: &dyn Engine,
    source: &Source,
    plan: bool,
    options: &Options,
    outputs: &mut Outputs<'_>,
) -> Result<(), CliError> {
    let format = destination::format(options)?;
    let (_, statement) = execute::prepared(engine, source, options, outputs)?;
    let mut estimate = engine.estimate(&statement).await?;
    let refused = if options.full_scan {
        None
    } else {
        match full_scan_guard::check(engine, &statement).await {
            Ok(note) => {
                let notes = [estimate.note.take(), note].into_iter().flatten();
                let notes: Vec<String> = notes.collect();
                estimate.note = (!notes.is_empty()).then(|| notes.join("; "));
                None
            }
            Err(error @ CliError::FullScan { .. }) => Some(error),
            Err(error) => return Err(error),
        }
    };
    let too_much = options
        .max_scan
        .and_then(|allowed| execute::within(&estimate, allowed).err());
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
    match format {
        Format::Table => write_text(options, &facts.text(), outputs.output)?,
        Format::Json => write_text(options, &format!("{}\n", facts.json()), outputs.output)?,
        Format::Csv | Format::Tsv | Format::Jsonl | Format::Markdown | Format::Parquet => {
            write_rows(options, &facts.row()?, outputs.output)?;
        }
    }
    // A script that checks a query before running it reads the exit code.
    match refused.or(too_much) {
        Some(error) => Err(error),
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
    /// What it would cost at most; `None` if that is unknown.
    fn bill(&self) -> Option<Bill> {
        let bill = match self.engine {
            EngineName::Local => Bill::NOTHING,
            EngineName::Athena => Bill::of_scanned(self.estimate.bytes),
        };
        self.estimate.unknown.is_none().then_some(bill)
    }

    fn bytes_max(&self) -> Option<u64> {
        let Estimate { bytes, unknown, .. } = &self.estimate;
        unknown.is_none().then_some(*bytes)
    }

    fn usd_max(&self) -> Option<f64> {
        let costs = self.engine == EngineName::Athena;
        self.bill().filter(|_| costs).map(|bill| bill.dollars().0)
    }

    fn json(&self) -> serde_json::Value {
        let estimate = &self.estimate;
        json!({
            "engine": self.engine,
            "days": estimate.days,
            "files": estimate.files,
            "bytes_max": self.bytes_max(),
            "usd_max": self.usd_max(),
            "unknown": estimate.unknown,
            "refused": self.refused,
            "above_max_scan": self.too_much.is_some(),
            "note": estimate.note,
            "plan": self.plan,
        })
    }

    /// The same as a row.
    fn row(&self) -> Result<RecordBatch, CliError> {
        let text =
            |text: &Option<String>| Arc::new(StringArray::from(vec![text.clone()])) as ArrayRef;
        let size = |size: Option<u64>| Arc::new(UInt64Array::from(vec![size])) as ArrayRef;
        let estimate = &self.estimate;
        let days: Vec<String> = estimate.days.iter().map(NaiveDate::to_string).collect();
        let files = u64::try_from(estimate.files).unwrap_or(u64::MAX);
        Ok(RecordBatch::try_from_iter_with_nullable([
            ("engine", text(&Some(self.engine.to_string())), false),
            ("days", text(&Some(days.join(" "))), false),
            ("files", size(Some(files)), false),
            ("bytes_max", size(self.bytes_max()), true),
            (
                "usd_max",
                Arc::new(Float64Array::from(vec![self.usd_max()])),
                true,
            ),
            ("unknown", text(&estimate.unknown), true),
            ("refused", text(&self.refused), true),
            (
                "above_max_scan",
                Arc::new(BooleanArray::from(vec![self.too_much.is_some()])),
                false,
            ),
            ("note", text(&estimate.note), true),
            ("plan", text(&self.plan), true),
        ])?)
    }

    fn text(&self) -> String {
        let estimate = &self.estimate;
        let mut text = format!("engine  {}\n", self.engine);
        text += &format!("days    {}\n", ranges(&estimate.days));
        text += &format!("files   {}\n", estimate.files);
        let bytes = Size(estimate.bytes);
        text += &match (&estimate.unknown, estimate.bytes) {
            (None, _) => format!("bytes   at most {bytes}\n"),
            (Some(unknown), 0) => format!("bytes   unknown: {unknown}\n"),
            (Some(unknown), _) => format!("bytes   {bytes}, and an unknown rest: {unknown}\n"),
        };
        text += &match self.bill() {
            None => "cost    unknown\n".to_owned(),
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

/// `3 (2026-03-05 to 2026-03-07)`, or each range if days between are missing.
fn ranges(days: &[NaiveDate]) -> String {
    let mut ranges: Vec<(NaiveDate, NaiveDate)> = Vec::new();
    for day in days {
        match ranges.last_mut() {
            Some((_, last)) if last.succ_opt() == Some(*day) => *last = *day,
            _ => ranges.push((*day, *day)),
        }
    }
    let shown = ranges.iter().map(|(first, last)| match first == last {
        true => first.to_string(),
        false => format!("{first} to {last}"),
    });
    match days.len() {
        0 => "none".to_owned(),
        count => format!("{count} ({})", shown.collect::<Vec<_>>().join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unknown_is_shown_as_such() {
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
        let unknown = "the size of `b` is unknown";
        let text = facts(0, Some(unknown)).text();
        for part in [
            &format!("bytes   unknown: {unknown}\n"),
            "cost    unknown\n",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let part_known = facts(1_000, Some(unknown));
        let text = part_known.text();
        assert!(
            text.contains("bytes   1.0 kB, and an unknown rest: the size"),
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
    fn days_in_a_row_are_shown_as_a_range() {
        let day = |day| NaiveDate::from_ymd_opt(2026, 3, day).unwrap();
        assert_eq!(ranges(&[]), "none");
        assert_eq!(ranges(&[day(1)]), "1 (2026-03-01)");
        assert_eq!(
            ranges(&[day(1), day(2), day(3), day(7)]),
            "4 (2026-03-01 to 2026-03-03, 2026-03-07)"
        );
    }
}
