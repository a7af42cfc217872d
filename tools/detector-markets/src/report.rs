//! The figures as Markdown.

use std::fmt::Write as _;

use domain::detection::AnomalyKind;

use crate::detector::Method;
use crate::fault::Fault;
use crate::series::Series;
use crate::trial::{Contender, Outcome};

/// The figures of all series.
pub struct Report {
    contenders: Vec<Contender>,
    series: Vec<SeriesFigures>,
}

struct SeriesFigures {
    name: String,
    ticks: usize,
    days: f64,
    gap_s: f64,
    /// The false alarms of each contender.
    alarms: Vec<Vec<Option<AnomalyKind>>>,
    outcomes: Vec<Outcome>,
}

impl Report {
    pub fn new(contenders: Vec<Contender>) -> Self {
        Self {
            contenders,
            series: Vec::new(),
        }
    }

    pub fn add(
        &mut self,
        series: &Series,
        alarms: Vec<Vec<Option<AnomalyKind>>>,
        outcomes: Vec<Outcome>,
    ) {
        self.series.push(SeriesFigures {
            name: series.name.clone(),
            ticks: series.ticks.len(),
            days: series.days(),
            gap_s: series.gap_ms() / 1_000.0,
            alarms,
            outcomes,
        });
    }

    pub fn markdown(&self) -> String {
        let parts = [self.untouched(), self.ours(), self.compared(), self.each()];
        parts.join("\n")
    }

    fn untouched(&self) -> String {
        let mut out = String::from("### Untouched series\n\n");
        out += "| series | ticks | a tick in | days | reports | a day | kinds |\n|---|---:|---:|---:|---:|---:|---|\n";
        for it in &self.series {
            let alarms = &it.alarms[0];
            let mut kinds: Vec<String> = alarms.iter().flatten().map(ToString::to_string).collect();
            kinds.sort();
            let counted = kinds.chunk_by(|a, b| a == b);
            let kinds: Vec<String> = counted
                .map(|it| format!("{} {}", it.len(), it[0]))
                .collect();
            let _ = writeln!(
                out,
                "| {} | {} | {:.3} s | {:.2} | {} | {:.2} | {} |",
                it.name,
                it.ticks,
                it.gap_s,
                it.days,
                alarms.len(),
                alarms.len() as f64 / it.days,
                kinds.join(", ")
            );
        }
        out
    }

    /// Each fault by size, for tickstream.
    fn ours(&self) -> String {
        let mut out = String::from("### By kind and size\n\n");
        out += "| fault | size | faults | found | recall | precision | kind is right | delay, ticks | delay, s |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|\n";
        for fault in Fault::ALL {
            for size in fault.sizes() {
                let figures = Figures::of(self.outcomes(0, fault, *size));
                if figures.faults == 0 {
                    continue;
                }
                let mark = if *size == fault.obvious() { "**" } else { "" };
                let _ = writeln!(
                    out,
                    "| {fault:?} | {mark}{size}{mark} | {} | {} | {mark}{:.2}{mark} | {:.2} | {:.2} | {} | {:.1} |",
                    figures.faults,
                    figures.found,
                    figures.recall(),
                    self.precision(0, figures.recall()),
                    figures.named as f64 / figures.found.max(1) as f64,
                    figures.ticks,
                    figures.seconds
                );
            }
        }
        out
    }

    /// Each contender at the obvious sizes.
    fn compared(&self) -> String {
        let mut out = String::from("### Beside others, at the size that is obvious\n\n");
        out += "| | threshold | false alarms a day |";
        for fault in Fault::ALL {
            let _ = write!(out, " {fault:?} |");
        }
        out += " mean recall | precision |\n|---|---:|---:|";
        out += &"---:|".repeat(Fault::ALL.len() + 2);
        out.push('\n');
        for (number, contender) in self.contenders.iter().enumerate() {
            let which = if contender.method == Method::Ours {
                "default".to_owned()
            } else if contender.threshold == contender.method.usual_threshold() {
                format!("usual, {}", contender.threshold)
            } else {
                format!("as many false alarms, {:.1}", contender.threshold)
            };
            let _ = write!(
                out,
                "| {} | {which} | {:.2} |",
                contender.method.name(),
                self.alarms_per_day(number)
            );
            let mut recalls = Vec::new();
            for fault in Fault::ALL {
                let figures = Figures::of(self.outcomes(number, fault, fault.obvious()));
                let _ = write!(out, " {:.2} |", figures.recall());
                recalls.push(figures.recall());
            }
            let mean = recalls.iter().sum::<f64>() / recalls.len() as f64;
            let _ = writeln!(out, " {mean:.2} | {:.2} |", self.precision(number, mean));
        }
        out
    }

    /// Each series, for tickstream.
    fn each(&self) -> String {
        let mut out =
            String::from("### Recall by series, at the size that is obvious\n\n| series |");
        for fault in Fault::ALL {
            let _ = write!(out, " {fault:?} |");
        }
        out += "\n|---|";
        out += &"---:|".repeat(Fault::ALL.len());
        out.push('\n');
        for it in &self.series {
            let _ = write!(out, "| {} |", it.name);
            for fault in Fault::ALL {
                let figures = Figures::of(of(&it.outcomes, 0, fault, fault.obvious()));
                if figures.faults == 0 {
                    out += " |";
                } else {
                    let _ = write!(out, " {:.2} |", figures.recall());
                }
            }
            out.push('\n');
        }
        out
    }

    fn outcomes(&self, contender: usize, fault: Fault, size: f64) -> impl Iterator<Item = Outcome> {
        let each = self.series.iter();
        each.flat_map(move |it| of(&it.outcomes, contender, fault, size))
    }

    fn alarms_per_day(&self, contender: usize) -> f64 {
        let alarms: usize = self
            .series
            .iter()
            .map(|it| it.alarms[contender].len())
            .sum();
        alarms as f64 / self.series.iter().map(|it| it.days).sum::<f64>()
    }

    /// The share of reports that are faults if a series has one fault a day.
    fn precision(&self, contender: usize, recall: f64) -> f64 {
        if recall == 0.0 {
            return 0.0;
        }
        recall / (recall + self.alarms_per_day(contender))
    }
}

fn of(
    outcomes: &[Outcome],
    contender: usize,
    fault: Fault,
    size: f64,
) -> impl Iterator<Item = Outcome> {
    outcomes
        .iter()
        .copied()
        .filter(move |it| it.contender == contender && it.fault == fault && it.size == size)
}

/// The figures of some faults.
struct Figures {
    faults: usize,
    found: usize,
    named: usize,
    /// Medians.
    ticks: usize,
    seconds: f64,
}

impl Figures {
    fn of(outcomes: impl Iterator<Item = Outcome>) -> Self {
        let (mut faults, mut named) = (0, 0);
        let (mut ticks, mut seconds) = (Vec::new(), Vec::new());
        for outcome in outcomes {
            faults += 1;
            if let Some(found) = outcome.found {
                ticks.push(found.ticks);
                seconds.push(found.seconds);
                let names = outcome.fault.names();
                named += usize::from(found.kind.is_some_and(|it| names.contains(&it)));
            }
        }
        ticks.sort_unstable();
        seconds.sort_by(f64::total_cmp);
        Self {
            faults,
            found: ticks.len(),
            named,
            ticks: ticks.get(ticks.len() / 2).copied().unwrap_or_default(),
            seconds: seconds.get(seconds.len() / 2).copied().unwrap_or_default(),
        }
    }

    fn recall(&self) -> f64 {
        self.found as f64 / self.faults.max(1) as f64
    }
}
