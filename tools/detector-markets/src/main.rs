//! What detectors find of faults that are injected into series of prices: `detector-markets [--ours] [FOLDER]`.
//!
//! FOLDER has CSV files, one per series (`series.rs` describes them); without it, the series are generated. Everything is
//! seeded: the same input gives the same figures. They are printed as Markdown. `--ours` skips the other detectors.

mod detector;
mod fault;
mod generated;
mod random;
mod report;
mod series;
mod trial;
mod venues;

use std::error::Error;
use std::path::Path;

use detector::Method;
use report::Report;
use series::Series;
use trial::{Contender, Untouched};

/// The seed of the generator and of the places.
const SEED: u64 = 1;

/// Each fault is injected in each size at this many places of each series.
const PLACES: usize = 20;

/// The option that skips the other detectors.
const OURS: &str = "--ours";

fn main() -> Result<(), Box<dyn Error>> {
    let (options, folders): (Vec<String>, Vec<String>) =
        std::env::args().skip(1).partition(|it| it == OURS);
    let methods = if options.is_empty() {
        Method::ALL.to_vec()
    } else {
        vec![Method::Ours]
    };
    let mut series = match folders.as_slice() {
        [] => generated::all(SEED),
        [folder] => Series::folder(Path::new(folder))?,
        _ => return Err(format!("usage: detector-markets [{OURS}] [FOLDER]").into()),
    };
    if series.is_empty() {
        return Err("the folder has no CSV file".into());
    }
    let split: Vec<Series> = series
        .iter()
        .filter_map(|it| venues::split(it, SEED))
        .collect();
    series.extend(split);
    let untouched: Vec<Untouched> = series
        .iter()
        .map(|it| Untouched::read(it, &methods))
        .collect::<Result<_, _>>()?;
    let contenders = contenders(&methods, &series, &untouched);
    let mut report = Report::new(contenders.clone());
    for (series, untouched) in series.iter().zip(&untouched) {
        let alarms = contenders.iter().map(|it| untouched.alarms(series, *it));
        let outcomes = trial::run(series, untouched, &contenders, PLACES, SEED)?;
        report.add(series, alarms.collect(), outcomes);
    }
    print!("{}", report.markdown());
    Ok(())
}

/// Each method at its usual threshold, and the others also at the lowest one with at most as many false alarms as ours.
fn contenders(methods: &[Method], series: &[Series], untouched: &[Untouched]) -> Vec<Contender> {
    let alarms = |contender: Contender| -> usize {
        let each = series.iter().zip(untouched);
        each.map(|(series, it)| it.alarms(series, contender).len())
            .sum()
    };
    let usual = |method: Method| Contender {
        method,
        threshold: method.usual_threshold(),
    };
    let ours = alarms(usual(Method::Ours));
    let mut contenders: Vec<Contender> = methods.iter().copied().map(usual).collect();
    for method in methods.iter().copied().filter(|it| *it != Method::Ours) {
        let mut scores: Vec<f64> = untouched.iter().flat_map(|it| it.scores(method)).collect();
        scores.sort_by(|a, b| b.total_cmp(a));
        // The lowest score at which there are no more than ours.
        let (mut enough, mut too_many) = (0, scores.len());
        while enough + 1 < too_many {
            let middle = enough.midpoint(too_many);
            let threshold = scores[middle];
            if alarms(Contender { method, threshold }) <= ours {
                enough = middle;
            } else {
                too_many = middle;
            }
        }
        let threshold = scores.get(enough).map_or(f64::MAX, |it| it.max(1e-9));
        contenders.push(Contender { method, threshold });
    }
    contenders
}
