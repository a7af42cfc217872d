//! Describes anomalies for people: one message a kind, pair and cooldown, and those of a batch in one.

use std::fmt::Write as _;

use chrono::{DateTime, SecondsFormat};
use domain::analytics::Anomaly;

/// The most anomalies that a digest lists.
const LINES_MAX: usize = 50;

/// The most characters of a name in a subject, which has no room for two addresses of Solana. The text has
/// the whole names.
const NAME_CHARS_MAX: usize = 18;

/// Subject and text of a digest; `None` if there are no anomalies of which people are notified.
pub(super) fn of(anomalies: &[Anomaly]) -> Option<(String, String)> {
    let notified: Vec<&Anomaly> = anomalies.iter().filter(|it| it.notifies).collect();
    let first = notified.first()?;
    let (token, quote) = (short(first.token.as_str()), short(first.quote.as_str()));
    let subject = match notified.len() {
        1 => {
            // The text also has what was expected and seen.
            let message = first.message();
            let what = message.split([',', ';']).next().unwrap_or_default();
            format!("{token}/{quote} {what}")
        }
        count => {
            let kind = first.detection.kind;
            format!("{count} anomalies, the first: {token}/{quote} {kind}")
        }
    };
    let mut text = String::new();
    for anomaly in notified.iter().take(LINES_MAX) {
        // Writing to a String cannot fail.
        _ = writeln!(text, "{}", line(anomaly));
    }
    let unlisted = notified.len().saturating_sub(LINES_MAX);
    if unlisted > 0 {
        _ = writeln!(
            text,
            "and {unlisted} more: the analytics table has all of them"
        );
    }
    Some((subject, text))
}

/// A name in a subject: a long one is shortened in the middle, since addresses differ at both ends.
fn short(name: &str) -> String {
    let side = (NAME_CHARS_MAX - 2) / 2;
    match (
        name.get(..side),
        name.get(name.len().saturating_sub(side)..),
    ) {
        (Some(first), Some(last)) if name.len() > NAME_CHARS_MAX => format!("{first}..{last}"),
        (Some(_) | None, Some(_) | None) => name.to_owned(),
    }
}

fn line(anomaly: &Anomaly) -> String {
    let at = match DateTime::from_timestamp_millis(anomaly.timestamp_ms) {
        Some(time) => time.to_rfc3339_opts(SecondsFormat::Millis, true),
        None => format!("{} ms", anomaly.timestamp_ms),
    };
    let source = anomaly.source.as_ref();
    let source = source.map_or_else(String::new, |it| format!(" of {}", it.as_str()));
    format!(
        "{at} {}/{}{source} at {}: {} ({}, score {:.2}, tick {})",
        anomaly.token,
        anomaly.quote,
        anomaly.price,
        anomaly.message(),
        anomaly.detection.kind,
        anomaly.score,
        anomaly.tick_id
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sns::{SUBJECT_CHARS_MAX, subject_line};
    use domain::Token;
    use domain::detection::{AnomalyKind, Detection};
    use testkit::anomalies::jump_at;
    use testkit::ticks::tick;

    fn anomaly(n: u32) -> Anomaly {
        jump_at(&tick("SOL", n))
    }

    #[test]
    fn a_single_anomaly_is_in_the_subject() {
        let (subject, text) = of(&[anomaly(1)]).unwrap();
        assert_eq!(subject, "SOL/USD rose 5.0 % in 1.0 s");
        assert!(
            text.starts_with(
                "2026-01-01T00:00:01.000Z SOL/USD of testkit:made at 10.01: rose 5.0 % in 1.0 s, from 9.5333 to 10.01 (jump, score 0.75, tick "
            ),
            "{text}"
        );
        assert_eq!(of(&[]), None);
        let later = Anomaly {
            notifies: false,
            ..anomaly(2)
        };
        assert_eq!(of(&[later]), None, "within the cooldown");
    }

    #[test]
    fn many_anomalies_are_counted_and_the_first_is_in_the_subject() {
        let many: Vec<Anomaly> = (0..60).map(anomaly).collect();
        let (subject, text) = of(&many).unwrap();
        assert!(subject.starts_with("60 anomalies, the first: SOL/USD"));
        assert_eq!(text.lines().count(), LINES_MAX + 1);
        assert!(text.ends_with("and 10 more: the analytics table has all of them\n"));
    }

    /// Whatever is sent has a subject that SNS takes unchanged: the longest names and the longest message.
    #[test]
    fn the_longest_subject_is_sent_as_it_is() {
        let longest = "x".repeat(64);
        for kind in AnomalyKind::ALL {
            let found = anomaly(1);
            let long = Anomaly {
                token: Token::try_from(longest.clone()).unwrap(),
                quote: Token::try_from(longest.to_uppercase()).unwrap(),
                detection: Detection {
                    kind,
                    expected: 1.234_567_8,
                    seen: 12.345_678,
                    window_ms: 9 * 86_400_000,
                    ..found.detection
                },
                ..found
            };
            for count in [1, 10_000] {
                let (subject, _) = of(&vec![long.clone(); count]).unwrap();
                assert!(
                    subject.contains("xxxxxxxx..xxxxxxxx/XXXXXXXX..XXXXXXXX"),
                    "{subject}"
                );
                assert!(subject.len() <= SUBJECT_CHARS_MAX, "{subject}");
                assert_eq!(subject_line(&subject), subject);
            }
        }
    }
}
