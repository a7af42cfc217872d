//! When two answers are the same: as many columns and rows; names in any case; whole numbers exactly, others
//! within 1e-9 of each other, decimals as numbers; times as moments with their offset; bytes, arrays, maps and
//! rows by content. Rows count in order only if the statement orders them. Types do not count, except that a
//! text is not a number.

use std::str::FromStr as _;

use arrow::array::timezone::Tz;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use chrono::{
    DateTime, FixedOffset, NaiveDate, NaiveDateTime, NaiveTime, Offset as _, TimeZone as _,
};

use crate::ordered_json::Json;
use crate::recorded::{Local, Recorded};

const TOLERANCE: f64 = 1e-9;

/// What differs between Athena's answer and the local one.
pub(crate) fn difference(athena: &Recorded, local: &Local) -> Option<String> {
    let there: Vec<String> = athena
        .columns
        .iter()
        .map(|(name, _)| name.to_lowercase())
        .collect();
    let here: Vec<String> = local
        .columns
        .iter()
        .map(|column| column.name.to_lowercase())
        .collect();
    if there != here {
        return Some(format!("columns {here:?}, not {there:?}"));
    }
    let (wanted, found) = (athena.rows.len(), local.rows.len());
    if wanted != found {
        return Some(format!("{found} rows, not {wanted}"));
    }
    let kinds: Vec<&str> = athena
        .columns
        .iter()
        .map(|(_, kind)| kind.as_str())
        .collect();
    let same = |there: &[Json], here: &Json| {
        let here = here.values().unwrap_or_default();
        let cells = there.iter().zip(here.iter()).zip(&kinds);
        there.len() == here.len() && cells.into_iter().all(|((a, b), kind)| is_same(a, b, kind))
    };
    if athena.sql.to_uppercase().contains("ORDER BY") {
        let mut pairs = athena.rows.iter().zip(&local.rows);
        let at = pairs.position(|(there, here)| !same(there, here))?;
        return Some(format!("values of row {}", at + 1));
    }
    let mut left: Vec<&Json> = local.rows.iter().collect();
    for there in &athena.rows {
        let Some(at) = left.iter().position(|here| same(there, here)) else {
            return Some("values".to_owned());
        };
        left.swap_remove(at);
    }
    None
}

fn is_same(there: &Json, here: &Json, kind: &str) -> bool {
    match (there, here) {
        (Json::Object(there), Json::Object(here)) => {
            // A map has no order.
            there.len() == here.len()
                && there.iter().all(|(key, value)| {
                    let found = here.iter().find(|(name, _)| name == key);
                    found.is_some_and(|(_, other)| is_same(value, other, kind))
                })
        }
        // A row is a list there and an object here.
        (Json::List(there), Json::List(_) | Json::Object(_)) => {
            let here = here.values().unwrap_or_default();
            there.len() == here.len() && there.iter().zip(here).all(|(a, b)| is_same(a, b, kind))
        }
        (Json::Integer(there), Json::Integer(here)) => there == here,
        (Json::Text(there), Json::Text(here)) => {
            let hex = || {
                kind.contains("varbinary")
                    .then(|| hex_of_base64(there))
                    .flatten()
            };
            // A text of a time has to be the same text.
            let is_time = ["time", "date"].iter().any(|time| kind.contains(time));
            there == here || hex().as_ref() == Some(here) || (is_time && same_moment(there, here))
        }
        _ => match (number(there, kind), number(here, kind)) {
            (Some(there), Some(here)) => is_close(there, here),
            _ => there == here,
        },
    }
}

#[expect(clippy::cast_precision_loss, reason = "it is compared with a double")]
fn number(value: &Json, kind: &str) -> Option<f64> {
    match value {
        Json::Integer(value) => Some(*value as f64),
        Json::Float(value) => Some(*value),
        Json::Text(text) => match text.as_str() {
            "NaN" | "Infinity" | "-Infinity" => text.parse().ok(),
            // The engine writes decimals as texts.
            _ if kind.contains("decimal") => text.parse().ok(),
            _ => None,
        },
        Json::Null | Json::Bool(_) | Json::List(_) | Json::Object(_) => None,
    }
}

#[expect(clippy::float_cmp, reason = "infinite numbers are equal or not")]
fn is_close(a: f64, b: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= TOLERANCE * a.abs().max(b.abs())
}

fn hex_of_base64(text: &str) -> Option<String> {
    let bytes = BASE64_STANDARD.decode(text).ok()?;
    Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn same_moment(there: &str, here: &str) -> bool {
    let there = moment(there);
    there.is_some() && there == moment(here)
}

/// A time without a zone, or with its offset; a date is its first moment.
fn moment(text: &str) -> Option<(NaiveDateTime, Option<FixedOffset>)> {
    let date: NaiveDate = text.get(..10)?.parse().ok()?;
    let rest = text.get(10..)?;
    let rest = rest.strip_prefix(['T', ' ']).unwrap_or(rest);
    let end = rest
        .find(|letter: char| !letter.is_ascii_digit() && letter != ':' && letter != '.')
        .unwrap_or(rest.len());
    let (clock, zone) = rest.split_at(end);
    let clock = match clock {
        "" => NaiveTime::MIN,
        _ => NaiveTime::parse_from_str(clock, "%H:%M:%S%.f").ok()?,
    };
    let at = date.and_time(clock);
    let zone = match zone.trim_start() {
        "" => return Some((at, None)),
        "Z" | "UTC" => "+00:00",
        zone => zone,
    };
    let zone = Tz::from_str(zone).ok()?;
    let moment: DateTime<Tz> = zone.from_local_datetime(&at).earliest()?;
    Some((moment.naive_utc(), Some(moment.offset().fix())))
}

#[test]
fn the_same_answer_may_be_written_in_several_ways() {
    let json = |text: &str| serde_json::from_str::<Json>(text).unwrap();
    let check = |there: &str, here: &str, kind: &str| is_same(&json(there), &json(here), kind);
    for (there, here, kind) in [
        ("0.30000000000000004", "0.3", "double"),
        ("\"NaN\"", "\"NaN\"", "double"),
        ("\"1.50\"", "1.5", "decimal(3,2)"),
        ("[\"1.50\"]", "[1.5]", "array(decimal(3,2))"),
        (
            "[1, \"x\"]",
            r#"{"c0": 1, "c1": "x"}"#,
            "row(integer, varchar)",
        ),
        (
            r#"{"a": 1, "b": 2}"#,
            r#"{"b": 2, "a": 1}"#,
            "map(varchar, integer)",
        ),
        ("\"w6Q=\"", "\"c3a4\"", "varbinary"),
        ("[\"w6Q=\"]", "[\"c3a4\"]", "array(varbinary)"),
        (
            "\"2026-03-07 10:00:00.000\"",
            "\"2026-03-07T10:00:00\"",
            "timestamp(3)",
        ),
        (
            "\"2026-03-07 10:00:00 UTC\"",
            "\"2026-03-07T10:00:00Z\"",
            "timestamp(0) with time zone",
        ),
        (
            "\"2026-03-07 10:00:00 America/New_York\"",
            "\"2026-03-07T10:00:00-05:00\"",
            "timestamp(0) with time zone",
        ),
    ] {
        assert!(check(there, here, kind), "{there} {here}");
    }
    for (there, here, kind) in [
        ("9223372036854775807", "9223372036854775806", "bigint"),
        ("\"1\"", "1", "varchar"),
        (
            "\"2026-03-07 10:00:00.5\"",
            "\"2026-03-07 10:00:00.500\"",
            "varchar",
        ),
        ("null", "0", "bigint"),
        ("0", "false", "boolean"),
        ("\"NaN\"", "null", "double"),
        ("[1]", "[1, 2]", "array(integer)"),
        (
            "\"2026-03-07 10:00:00 UTC\"",
            "\"2026-03-07T10:00:00\"",
            "timestamp(0)",
        ),
        (
            "\"2026-03-07 10:00:00 UTC\"",
            "\"2026-03-07T05:00:00-05:00\"",
            "timestamp(0) with time zone",
        ),
    ] {
        assert!(!check(there, here, kind), "{there} {here}");
    }
}
