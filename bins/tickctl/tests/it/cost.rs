//! `tickctl cost`: the table, its edges, and the bills of infra/README.md, which are the command's own.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;

use crate::process::{Run, tickctl};

fn cost(arguments: &[&str]) -> Run {
    tickctl(&[&["cost"], arguments].concat())
}

fn json(arguments: &[&str]) -> Value {
    let run = cost(&[arguments, &["--json"]].concat());
    assert_eq!(run.code, 0, "{}", run.stderr);
    serde_json::from_str(&run.stdout).unwrap()
}

fn usd(bill: &Value, part: &str, item: &str) -> f64 {
    let items = bill["items"].as_array().unwrap().iter();
    let found = items.filter(|it| it["part"] == part && (item.is_empty() || it["item"] == item));
    found.map(|it| it["usd"].as_f64().unwrap()).sum()
}

#[test]
fn the_table_has_the_items_the_parts_and_the_total() {
    let run = cost(&[
        "--ticks-per-day",
        "10M",
        "--tokens",
        "5k",
        "--batch",
        "10",
        "--stream",
        "provisioned",
    ]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let line = |start: &str| {
        let mut lines = run.stdout.lines();
        let found = lines.find(|line| line.starts_with(start));
        let found = found.unwrap_or_else(|| panic!("no {start} in {}", run.stdout));
        found.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        line("  HTTP API requests"),
        "HTTP API requests 30,416,667 1.00 1,000,000 x 512 KB request 30.42"
    );
    assert_eq!(
        line("  DynamoDB writes "),
        "DynamoDB writes 304,318,750 0.625 1,000,000 x unit of 1 KB 190.20"
    );
    assert_eq!(
        line("  Kinesis shards"),
        "Kinesis shards 1,460 0.015 shard hour 21.90"
    );
    assert!(line("total").len() > "total".len());
    assert!(run.stdout.contains("10,000,000 ticks a day of 5,000 tokens, 10 a delivery, 100 % of them in the stream; nobody watches."));
    assert!(run.stdout.contains("Prices of us-east-1, read 20"));
    assert!(
        run.stdout
            .lines()
            .all(|line| line.len() <= 120 && line == line.trim_end())
    );
}

#[test]
fn without_traffic_only_what_is_there_all_the_time_costs() {
    let bill = json(&[]);
    for item in bill["items"].as_array().unwrap() {
        let quantity = item["quantity"].as_f64().unwrap();
        assert!(quantity.is_finite() && quantity >= 0.0, "{item}");
    }
    assert!(usd(&bill, "webhook", "") < 0.005);
    assert!((usd(&bill, "stream", "") - 29.2).abs() < 0.01);
    assert!(usd(&bill, "analytics", "") < 0.01);
    let provisioned = json(&["--stream", "provisioned"]);
    let shards = usd(&provisioned, "stream", "Kinesis shards");
    assert!((shards - 21.9).abs() < 0.01);
    // The scaler is called each minute, and reads three metrics.
    let scaler = usd(&provisioned, "stream", "") - shards;
    assert!((scaler - 1.34).abs() < 0.01, "{scaler}");
}

#[test]
fn the_bill_grows_with_what_it_is_for() {
    let base = [
        "--ticks-per-day",
        "10M",
        "--tokens",
        "5000",
        "--percent",
        "50",
        "--watchers",
        "10",
    ];
    let total = |more: &[&str]| json(&[&base, more].concat())["total_usd"].as_f64().unwrap();
    let small = total(&[]);
    for more in [
        &["--ticks-per-day", "20M"][..],
        &["--tokens", "200k"],
        &["--percent", "100"],
        &["--watchers", "20"],
        &["--candle-interval", "1s"],
        &["--retention-days", "60"],
        &["--archive-days", "2000"],
        &["--body-bytes", "1M"],
        &["--webhook-ms", "100"],
    ] {
        let mut arguments = base.to_vec();
        match arguments.iter().position(|it| *it == more[0]) {
            Some(at) => arguments[at + 1] = more[1],
            None => arguments.extend_from_slice(more),
        }
        let bill = json(&arguments);
        assert!(bill["total_usd"].as_f64().unwrap() > small, "{more:?}");
    }
    for less in [
        &["--batch", "10"][..],
        &["--watched-tokens", "20"],
        &["--function-url"],
        &["--archive-day", "arrival"],
        &["--stream", "provisioned"],
    ] {
        assert!(total(less) < small, "{less:?}");
    }
}

#[test]
fn an_absurd_number_is_refused_with_its_limits() {
    for (arguments, expected) in [
        (
            &["--ticks-per-day", "900G"][..],
            "ticks a day: 900000000000 is not between 0 and 100000000000",
        ),
        (
            &["--percent", "101"],
            "percent of the ticks: 101 is not between 0 and 100",
        ),
        (
            &["--batch", "0"],
            "ticks of a delivery: 0 is not between 1 and 10000",
        ),
        (
            &["--tokens", "5", "--watched-tokens", "6"],
            "tokens that a watcher names: 6 is not between 1 and 5",
        ),
        (
            &["--tokens", "many"],
            "use a number such as 5000, 2.5k or 10M",
        ),
        (
            &["--ticks-per-day", "1e9"],
            "use a number such as 5000, 2.5k or 10M",
        ),
        (
            &["--ticks-per-day=-1"],
            "use a number such as 5000, 2.5k or 10M",
        ),
        (
            &["--prices", "no-such-file.json"],
            "no-such-file.json: No such file",
        ),
    ] {
        let run = cost(arguments);
        assert_eq!(run.code, 2, "{arguments:?}");
        assert!(run.stderr.contains(expected), "{}", run.stderr);
        assert_eq!(run.stdout, "");
    }
}

#[test]
fn another_price_table_can_be_used() {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/ops/assets/aws_us_east_1.json");
    let mut table: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    table["region"] = "elsewhere".into();
    table["prices"]["kinesis_stream_hours"]["usd"] = 1.into();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), table.to_string()).unwrap();
    let path = file.path().to_str().unwrap();
    let bill = json(&["--prices", path]);
    assert_eq!(bill["region"], "elsewhere");
    assert!((usd(&bill, "stream", "Kinesis stream") - 730.0).abs() < 1e-6);
    std::fs::write(file.path(), "{}").unwrap();
    let run = cost(&["--prices", path]);
    assert_eq!(run.code, 2);
    assert!(
        run.stderr
            .contains("it is not a table of prices: missing field `region`"),
        "{}",
        run.stderr
    );
}

/// A case of the documents: its title, and the command's arguments.
struct Case(&'static str, &'static str);

const NO_TRAFFIC: Case = Case("no traffic", "");
const GUIDE: Case = Case(
    "10 million ticks a day",
    "--ticks-per-day 10M --tokens 5000 --stream provisioned",
);
const IN_TENS: Case = Case(
    "the same, 10 a delivery",
    "--ticks-per-day 10M --tokens 5000 --stream provisioned --batch 10",
);
const MANY_TOKENS: Case = Case(
    "the same, 200,000 tokens",
    "--ticks-per-day 10M --tokens 200k --stream provisioned --batch 10",
);
const WATCHED: Case = Case(
    "the same, 100 watchers of 20 tokens each",
    "--ticks-per-day 10M --tokens 5000 --stream provisioned --batch 10 --watchers 100 --watched-tokens 20",
);
const PLAN: Case = Case(
    "200 streams of 10 requests a second",
    "--ticks-per-day 172.8M --tokens 200 --stream provisioned",
);

impl Case {
    fn arguments(&self) -> Vec<&'static str> {
        self.1.split_whitespace().collect()
    }

    fn bill(&self) -> Value {
        json(&self.arguments())
    }
}

fn dollars(usd: f64) -> String {
    let digits = format!("{usd:.0}");
    let from_end = digits.len();
    let separated = digits.chars().enumerate().map(|(at, digit)| {
        let comma = at > 0 && (from_end - at).is_multiple_of(3);
        format!("{}{digit}", if comma { "," } else { "" })
    });
    separated.collect()
}

/// The parts of the bills of some cases, side by side.
fn side_by_side() -> String {
    let cases = [NO_TRAFFIC, GUIDE, IN_TENS, MANY_TOKENS, WATCHED, PLAN];
    let bills: Vec<Value> = cases.iter().map(Case::bill).collect();
    let titles: Vec<&str> = cases.iter().map(|it| it.0).collect();
    let mut text = format!(
        "| USD a month | {} |\n|---|{}\n",
        titles.join(" | "),
        "---:|".repeat(cases.len())
    );
    for (name, part) in [
        ("webhook and ticks", "webhook"),
        ("stream and archive", "stream"),
        ("analytics", "analytics"),
        ("live feed", "feed"),
        ("monitoring", "monitoring"),
    ] {
        let cells: Vec<String> = bills.iter().map(|it| dollars(usd(it, part, ""))).collect();
        _ = writeln!(text, "| {name} | {} |", cells.join(" | "));
    }
    let totals: Vec<String> = bills
        .iter()
        .map(|it| dollars(it["total_usd"].as_f64().unwrap()))
        .collect();
    _ = writeln!(text, "| total | {} |", totals.join(" | "));
    let prices = &bills[0]["prices_read"];
    _ = write!(
        text,
        "\nList prices of {}, read {}, without free tiers; a provisioned stream, or an on-demand one without traffic.\n",
        bills[0]["region"].as_str().unwrap(),
        prices.as_str().unwrap()
    );
    text
}

/// What two documents estimated before there was a program, beside the command's bills.
fn estimates() -> String {
    let (guide, plan) = (GUIDE.bill(), PLAN.bill());
    let starting = |start: &str| {
        let items = guide["items"].as_array().unwrap().iter();
        let found = items.filter(|it| it["item"].as_str().unwrap().starts_with(start));
        dollars(found.map(|it| it["usd"].as_f64().unwrap()).sum())
    };
    let total = |bill: &Value| dollars(bill["total_usd"].as_f64().unwrap());
    format!(
        "| USD a month | estimated | `tickctl cost` |\n|---|---:|---:|\n\
         | the rollout's guide, 10 million ticks a day: Kinesis | 150 | {} |\n\
         | the same: Firehose | 100 | {} |\n\
         | the same: everything | not estimated | {} |\n\
         | the first plan, 200 streams of 10 requests a second: everything | 265 | {} |\n",
        starting("Kinesis"),
        starting("Firehose"),
        total(&guide),
        total(&plan)
    )
}

/// The output of the command for the two cases.
fn in_full() -> String {
    let mut text = String::new();
    for case in [GUIDE, PLAN] {
        let run = cost(&case.arguments());
        assert_eq!(run.code, 0, "{}", run.stderr);
        _ = write!(
            text,
            "```\n$ tickctl cost {}\n{}```\n\n",
            case.1, run.stdout
        );
    }
    text
}

/// Compares sections of a document, each between two comments, with what they should be.
#[track_caller]
fn are_the_commands_own(document: &str, sections: &[(&str, String)]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(document);
    let held = std::fs::read_to_string(path).unwrap();
    let mut text = held.clone();
    for (name, right) in sections {
        let start = format!("<!-- From `tickctl cost`, as a test compares: {name} -->\n");
        let end = format!("<!-- End of {name} -->");
        let (before, rest) = text.split_once(&start).unwrap();
        let (_, after) = rest.split_once(&end).unwrap();
        text = format!("{before}{start}\n{}\n\n{end}{after}", right.trim_end());
    }
    if text != held {
        let copy = Path::new(env!("CARGO_TARGET_TMPDIR")).join(document.replace('/', "-"));
        std::fs::write(&copy, text).unwrap();
        panic!(
            "the bills in {document} are not the output of `tickctl cost`: copy {} over it",
            copy.display()
        );
    }
}

#[test]
fn the_bills_in_the_documents_are_the_commands_own() {
    are_the_commands_own("infra/README.md", &[("bills", side_by_side())]);
    are_the_commands_own(
        "docs/cost.md",
        &[("estimates", estimates()), ("bills in full", in_full())],
    );
}
