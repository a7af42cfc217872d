//! Properties that must hold for any bytes posted to a source.
//!
//! Run one target with the fixtures as its seeds:
//! `cargo fuzz run --sanitizer none helius fuzz/corpus/helius shared/sources/tests/fixtures/helius`

use sources::{Entry, ParseContext};

/// The current time for the parser, fixed so findings can be reproduced.
const NOW_MS: i64 = 1_795_000_000_000;

/// Parses a body, and checks that every entry has one outcome, in order and within the rules, and
/// that a replay gives the same result.
///
/// # Panics
/// If one of these properties does not hold, which is a finding.
pub fn check(source: &str, body: &[u8]) {
    let source = sources::find(source).expect("the target names a source");
    let context = ParseContext::at(NOW_MS);
    let parsed = source.parse(body, &context);
    if let Ok(entries) = &parsed {
        for (position, entry) in entries.iter().enumerate() {
            match entry {
                Entry::Tick(tick) | Entry::ArrivalStamped(tick) => {
                    domain::check_timestamp(tick.timestamp_ms, NOW_MS).expect("a checked time");
                    assert_eq!(tick.ingested_at_ms, NOW_MS);
                }
                Entry::Malformed(malformed) => assert_eq!(malformed.index, position),
                Entry::Ignored(_) => {}
            }
        }
    }
    assert_eq!(
        source.parse(body, &context),
        parsed,
        "a replay gives the same result"
    );
}
