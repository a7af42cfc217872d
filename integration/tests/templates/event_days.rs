//! Firehose's query of event days, in a real jq of the version that Firehose has: the folder that it chooses for a tick is
//! the one that our own archive chooses.

use std::io::Write as _;
use std::process::{Command, Stdio};

use archive::Archive;
use codec::json::write_json;
use codec::tick_columns::PARTITIONS;
use domain::{TIMESTAMP_MS_MIN, Tick};
use integration::not_shown::not_shown;
use serde_json::Value;
use testkit::market::tick;

use crate::stack::stack;

const DAY_MS: i64 = 86_400_000;

/// The first millisecond of some days: the earliest that is accepted, leap days and the days after, the end of a year of
/// another number of days, of a century without a leap day, and of what a date can be.
const DAYS: [i64; 12] = [
    TIMESTAMP_MS_MIN,
    951_782_400_000,     // 2000-02-29
    951_868_800_000,     // 2000-03-01
    1_709_164_800_000,   // 2024-02-29
    1_709_251_200_000,   // 2024-03-01
    1_735_689_600_000,   // 2025-01-01
    1_767_225_600_000,   // 2026-01-01
    2_147_472_000_000,   // 2038-01-19, when 32 bits of seconds end
    4_107_456_000_000,   // 2100-02-28
    4_107_542_400_000,   // 2100-03-01
    4_294_944_000_000,   // 2106-02-07
    253_402_214_400_000, // 9999-12-31
];

/// Times that no sender's tick has, since they are refused, but that a query must not put into another day either.
const BEFORE_1970: [i64; 7] = [
    -1,
    -999,
    -1_000,
    -DAY_MS + 1,
    -DAY_MS,
    -DAY_MS - 1,
    -2_203_891_200_001, // the last millisecond of 1900-02-28
];

fn timestamps() -> Vec<i64> {
    // Around midnight, noon, and milliseconds that are no whole second.
    let around = [
        0,
        1,
        499,
        999,
        1_000,
        DAY_MS / 2,
        DAY_MS - 1_000,
        DAY_MS - 1,
    ];
    let of_days = DAYS.iter().flat_map(|day| around.map(|ms| day + ms));
    let before_midnight = DAYS.iter().skip(1).map(|day| day - 1);
    let mut random = fastrand::Rng::with_seed(16);
    let mut any = || random.i64(TIMESTAMP_MS_MIN..DAYS[11]);
    let anywhere: Vec<i64> = (0..500).map(|_| any()).collect();
    let all = of_days.chain(before_midnight).chain(anywhere);
    all.chain(BEFORE_1970).collect()
}

/// Ticks as they are in the stream, some with a number that jq cannot represent.
fn ticks() -> Vec<Tick> {
    let tokens = [
        "SOL",
        "1INCH",
        "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v",
    ]
    .into_iter();
    let ticks = timestamps().into_iter().zip(tokens.cycle());
    let ticks = ticks
        .enumerate()
        .map(|(number, (timestamp_ms, token))| Tick {
            slot: (number % 2 == 0).then_some(u64::MAX),
            ..tick(token, "0.000000001", timestamp_ms)
        });
    ticks.collect()
}

/// The folder of a tick in our own archive.
fn archived(tick: &Tick) -> String {
    let data = tempfile::tempdir().unwrap();
    let archive = Archive::open(data.path()).unwrap();
    let written = archive.write_range(0, 1, 1, std::slice::from_ref(tick));
    assert_eq!(written.unwrap().rows, 1);
    let mut folder = data.path().join("price-archive");
    let mut names = Vec::new();
    for _ in PARTITIONS {
        let only = std::fs::read_dir(&folder)
            .unwrap()
            .flatten()
            .next()
            .unwrap();
        names.push(only.file_name().to_string_lossy().into_owned());
        folder = only.path();
    }
    names.join("/")
}

/// The answers of jq to a query of these payloads; `None` if the machine has no jq of this version.
fn jq(version: &str, query: &str, payloads: Vec<u8>) -> Option<Vec<Value>> {
    let found = Command::new("jq").arg("--version").output();
    let found = found.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    if found.as_ref().ok().is_none_or(|found| found != version) {
        let why = match found {
            Ok(other) => format!("the jq of this machine is {other}, not {version}"),
            Err(error) => format!("{version} is missing ({error})"),
        };
        not_shown("Firehose's query of event days, in jq", &why);
        return None;
    }
    let mut jq = Command::new("jq")
        .args(["--compact-output", query])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = jq.stdin.take().unwrap();
    // On a thread, since jq answers before it has read everything.
    let writer = std::thread::spawn(move || stdin.write_all(&payloads));
    let output = jq.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    Some(
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect(),
    )
}

#[test]
fn firehose_chooses_the_day_that_our_archive_chooses() {
    let delivery = stack("data.yaml", &[]).one("ArchiveDelivery");
    let processor = "/ExtendedS3DestinationConfiguration/ProcessingConfiguration/Processors/0";
    let parameters = delivery.at(&format!("{processor}/Parameters"));
    let query = parameters[0]["ParameterValue"].as_str().unwrap();
    let engine = parameters[1]["ParameterValue"].as_str().unwrap();
    assert_eq!(engine, "JQ-1.6");
    let ticks = ticks();
    let mut payloads = Vec::new();
    for tick in &ticks {
        write_json(tick, &mut payloads);
        payloads.push(b'\n');
    }
    let Some(answers) = jq(&engine.to_lowercase(), query, payloads) else {
        return;
    };
    assert_eq!(answers.len(), ticks.len());
    for (tick, answer) in ticks.iter().zip(answers) {
        // Firehose takes texts for its prefix; it refuses numbers.
        let part = |name: &&str| format!("{name}={}", answer[*name].as_str().unwrap());
        let folder = PARTITIONS.iter().map(part).collect::<Vec<_>>().join("/");
        assert_eq!(folder, archived(tick), "{}", tick.timestamp_ms);
    }
}
