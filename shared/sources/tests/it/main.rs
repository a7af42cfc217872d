//! Tests of the sources: tables, our own fixtures, real payloads, properties.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, its helpers too"
)]

mod answers;
mod binance;
mod fixtures;
mod helius;
mod markets;
mod properties;
mod pyth;
mod real_payloads;
mod ticks;
mod work;

use domain::{Malformed, Tick};
use sources::{Entry, ParseContext, Unreadable};

/// Our clock in these tests: 2026-11-18.
const NOW_MS: i64 = 1_795_000_000_000;

fn parse(source: &str, body: &[u8]) -> Result<Vec<Entry>, Unreadable> {
    parse_in(source, body, &ParseContext::at(NOW_MS))
}

fn parse_in(
    source: &str,
    body: &[u8],
    context: &ParseContext<'_>,
) -> Result<Vec<Entry>, Unreadable> {
    sources::find(source).unwrap().parse(body, context)
}

fn entries(source: &str, body: &str) -> Vec<Entry> {
    parse(source, body.as_bytes()).unwrap_or_else(|error| panic!("{error}: {body}"))
}

fn only_tick(source: &str, body: &str) -> Tick {
    match entries(source, body).as_slice() {
        [Entry::Tick(tick) | Entry::ArrivalStamped(tick)] => tick.clone(),
        other => panic!("one tick expected, not {other:?}: {body}"),
    }
}

fn only_malformed(source: &str, body: &str) -> Malformed {
    match entries(source, body).as_slice() {
        [Entry::Malformed(malformed)] => malformed.clone(),
        other => panic!("one malformed entry expected, not {other:?}: {body}"),
    }
}

/// An entry in one line, for tables.
fn line(entry: &Entry) -> String {
    match entry {
        Entry::Tick(tick) | Entry::ArrivalStamped(tick) => {
            let Tick {
                token,
                quote,
                price,
                method,
                quality,
                ..
            } = tick;
            let volume = tick
                .volume
                .map_or("-".to_owned(), |volume| volume.to_string());
            let quality = quality.map_or(String::new(), |quality| format!(" {}", quality.as_str()));
            format!("{token}/{quote} {price} x {volume} {method}{quality}")
        }
        Entry::Ignored(why) => format!("ignored: {why}"),
        Entry::Malformed(malformed) => format!("{}: {}", malformed.reason, malformed.message),
    }
}
