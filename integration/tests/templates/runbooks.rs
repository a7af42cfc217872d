//! The runbooks in `docs/runbooks`, and the commands in them and in the alarms' texts.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::{fs, iter};

use app::ledger::LedgerEntry;
use app::ports::LedgerWriter as _;
use aws::emf::EmfLedger;
use domain::Reason;
use futures_util::FutureExt as _;
use integration::python;
use serde_json::{Value, json};
use testkit::written::Written;

use crate::alarms::alarms;
use crate::stack::{ACCOUNT, PROJECT, REGION};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/runbooks");

/// The index, which is not a page of an alarm.
const INDEX: &str = "README";

/// The pages with their names, and the index.
fn pages() -> Vec<(String, String)> {
    let entries = fs::read_dir(Path::new(FOLDER)).unwrap();
    let mut pages: Vec<(String, String)> = entries
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            (name, fs::read_to_string(path).unwrap())
        })
        .collect();
    pages.sort();
    pages
}

#[test]
fn each_alarm_has_its_page_and_each_page_its_alarm() {
    let pages = pages();
    let prefix = format!("{PROJECT}-");
    let alarms = alarms(PROJECT);
    let mut names: BTreeSet<&str> = alarms
        .iter()
        .map(|alarm| alarm.text("/AlarmName").strip_prefix(&prefix).unwrap())
        .collect();
    names.insert(INDEX);
    let found: BTreeSet<&str> = pages.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(found, names);

    let (_, index) = pages.iter().find(|(name, _)| name == INDEX).unwrap();
    for (name, page) in pages.iter().filter(|(name, _)| name != INDEX) {
        assert!(
            index.contains(&format!("[{name}]({name}.md)")),
            "{name} is not in the index"
        );
        let headings: Vec<&str> = page.lines().filter(|line| line.starts_with('#')).collect();
        let expected = [
            &format!("# {name}"),
            "## What it means",
            "## How to see it",
            "## What to do",
            "## How to know that it is over",
        ];
        assert_eq!(headings, expected, "{name}");
        assert!(page.lines().count() <= 60, "{name} is too long for a night");
    }
}

/// The commands of the AWS CLI in the blocks of a page.
fn commands_of_page(page: &str) -> Vec<String> {
    let joined = page.replace("\\\n", " ");
    let blocks = joined.split("```").skip(1).step_by(2);
    let lines = blocks.flat_map(|block| block.lines().skip(1));
    // A command in a variable's value: `ACCOUNT=$(aws … )`.
    let commands = lines.filter_map(|line| {
        let (_, command) = line.split_once("=$(").unwrap_or(("", line));
        let command = match line.contains("=$(aws ") {
            true => command.strip_suffix(')')?,
            false => command,
        };
        command.starts_with("aws ").then(|| command.to_owned())
    });
    commands.collect()
}

/// The commands in the texts of the alarms.
fn commands_of_texts() -> Vec<String> {
    let alarms = alarms(PROJECT);
    let texts = alarms.iter().map(|alarm| alarm.text("/AlarmDescription"));
    let quoted = texts.flat_map(|text| text.split('`').skip(1).step_by(2));
    let commands: Vec<String> = quoted.map(str::to_owned).collect();
    assert!(
        commands.iter().all(|command| command.starts_with("aws ")),
        "{commands:?}"
    );
    commands
}

/// All pages.
pub(crate) fn text() -> String {
    let pages = pages().into_iter().map(|(_, page)| page);
    pages.collect::<Vec<_>>().join("\n")
}

pub(crate) fn commands() -> Vec<String> {
    let of_pages = pages()
        .into_iter()
        .flat_map(|(_, page)| commands_of_page(&page));
    of_pages.chain(commands_of_texts()).collect()
}

/// The commands that version 1 of the CLI refuses by its parser and its models of the services: names of operations,
/// options and their types.
fn refused(commands: &[String]) -> Vec<String> {
    let mut parser = Command::new(python::tools().unwrap().python)
        .arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/templates/aws_cli_commands.py"
        ))
        .env_remove("AWS_PROFILE")
        .env_remove("AWS_ENDPOINT_URL")
        .envs([
            ("AWS_ACCESS_KEY_ID", "none"),
            ("AWS_SECRET_ACCESS_KEY", "none"),
            ("AWS_DEFAULT_REGION", REGION),
            ("ACCOUNT", ACCOUNT),
            ("REGION", REGION),
            ("P", PROJECT),
            ("API", "a1b2c3"),
            ("UUID", "91eaeb7e-c976-1234-9451-8709db01f137"),
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = parser.stdin.take().unwrap();
    input
        .write_all(json!(commands).to_string().as_bytes())
        .unwrap();
    drop(input);
    let output = parser.wait_with_output().unwrap();
    let lines = String::from_utf8(output.stdout).unwrap();
    assert_eq!(lines.lines().count(), commands.len(), "{lines}");
    let refused = lines.lines().filter(|line| line.starts_with("REFUSED"));
    refused.map(str::to_owned).collect()
}

#[test]
fn the_cli_accepts_every_command() {
    let commands = commands();
    assert!(commands.len() > 120, "{}", commands.len());
    let refused_commands = refused(&commands);
    assert!(refused_commands.is_empty(), "{refused_commands:#?}");
    // Of version 2 alone, an option that does not exist, and a value of the wrong type.
    let wrong = [
        "aws logs tail /aws/lambda/prices-webhook --since 10m",
        "aws sqs purge-queue --queue-name prices-redrive-dlq",
        "aws kinesis update-shard-count --stream-name prices-ticks --target-shard-count N",
    ];
    assert_eq!(refused(&wrong.map(str::to_owned)).len(), wrong.len());
}

/// The filter patterns of the commands.
fn patterns() -> BTreeSet<String> {
    let commands = commands();
    let of_command = |command: &String| -> Option<String> {
        let (_, rest) = command.split_once("--filter-pattern '")?;
        Some(rest.split_once('\'').unwrap().0.to_owned())
    };
    commands.iter().filter_map(of_command).collect()
}

/// Whether a pattern finds a line: "Filter pattern syntax for metric filters", section "JSON log events"
/// (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html>).
#[track_caller]
fn finds(pattern: &str, line: &Value) -> bool {
    let inner = pattern
        .strip_prefix("{ ")
        .and_then(|rest| rest.strip_suffix(" }"));
    let inner = inner.unwrap_or_else(|| {
        panic!("{pattern} is not a pattern for JSON, so it would look for words")
    });
    inner.split(" || ").any(|term| {
        let (selector, rest) = term.split_once(' ').unwrap();
        let (operator, wanted) = rest.split_once(' ').unwrap();
        let path = selector.strip_prefix("$.").unwrap().split('.');
        let found = path.fold(line, |value, name| &value[name]);
        match operator {
            ">" => found
                .as_f64()
                .is_some_and(|found| found > wanted.parse().unwrap()),
            "=" => {
                let wanted = wanted.trim_matches('"');
                found
                    .as_str()
                    .is_some_and(|found| wanted == "*" || found == wanted)
            }
            other => panic!("the tests do not support {other}"),
        }
    })
}

/// A line of metrics, as the webhook writes it.
fn metrics(entry: LedgerEntry) -> Value {
    let output = Written::default();
    let ledger = EmfLedger::new(
        output.clone(),
        std::sync::Arc::new(|| 1_767_225_600_000),
        "prices-webhook",
    );
    ledger.commit(None, entry).now_or_never().unwrap().unwrap();
    output.json_lines().remove(0)
}

/// Each pattern finds lines that there are, and not those of deliveries without anything unusual.
#[test]
fn patterns_find_what_they_mean() {
    let quiet = LedgerEntry {
        received: 1,
        stored: 1,
        in_cohort: 1,
        streamed: 1,
        ..LedgerEntry::default()
    };
    let pending = LedgerEntry {
        streamed: 0,
        ..quiet.clone()
    };
    let rejected_by_reason = iter::once((Reason::InvalidPrice, 1)).collect();
    let rejected = LedgerEntry {
        stored: 0,
        in_cohort: 0,
        streamed: 0,
        rejected_by_reason,
        ..quiet.clone()
    };
    // A line of ours is flat, see `runtime::telemetry`. Lambda's own: "Lambda Telemetry API Event schema reference".
    // Firehose's: "Monitor Amazon Data Firehose Using CloudWatch Logs".
    let ours = |level: &str, message: &str| json!({"level": level, "message": message, "target": "webhook"});
    let platform = |status: &str| json!({"type": "platform.report", "record": {"status": status}});
    let lines = [
        metrics(pending),
        metrics(rejected),
        ours("ERROR", "a delivery was not stored"),
        ours("WARN", "a delivery was not authenticated"),
        json!({"level": "WARN", "message": "the parameter cannot be read", "parameter": "/prices/webhook-secrets"}),
        platform("timeout"),
        platform("error"),
        json!({"errorCode": "DataFormatConversion.ParseError", "message": "m"}),
    ];
    let uneventful = [
        metrics(quiet),
        ours("INFO", "a day was compacted"),
        platform("success"),
    ];
    let patterns = patterns();
    assert!(patterns.len() >= 6, "{patterns:?}");
    for pattern in &patterns {
        assert!(
            lines.iter().any(|line| finds(pattern, line)),
            "{pattern} finds nothing"
        );
        let finds_all_deliveries = pattern == "{ $.Received > 0 }";
        assert!(
            finds_all_deliveries || !uneventful.iter().any(|line| finds(pattern, line)),
            "{pattern} finds what is not meant"
        );
    }
}

/// The webhook logs the message that a pattern looks for.
#[test]
fn messages_in_patterns_are_logged() {
    let webhook = fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../bins/webhook/src/lib.rs"
    ))
    .unwrap();
    let mut messages = 0;
    for pattern in patterns() {
        if let Some(message) = pattern
            .strip_prefix("{ $.message = \"")
            .and_then(|rest| rest.strip_suffix("\" }"))
        {
            messages += 1;
            assert!(webhook.contains(&format!("\"{message}\"")), "{message}");
        }
    }
    assert_eq!(messages, 1);
}
