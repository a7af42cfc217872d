//! Describes anomalies for people.

use std::fmt::Write as _;

use chrono::{DateTime, SecondsFormat};
use domain::analytics::Anomaly;

/// The most anomalies that a digest lists.
const LINES_MAX: usize = 50;

/// The most characters of a name in a subject, which has no room for two addresses of Solana. The text has
/// the whole names.
const NAME_CHARS_MAX: usize = 20;

/// Subject and text of a digest; `None` if there are no anomalies.
pub(super) fn of(anomalies: &[Anomaly]) -> Option<(String, String)> {
    let first = anomalies.first()?;
    let (token, quote) = (short(first.token.as_str()), short(first.quote.as_str()));
    // The text also says how unexpected it is.
    let what = first.message.split(',').next().unwrap_or_default();
    let what = format!("{token}/{quote} {what}");
    let subject = match anomalies.len() {
        1 => what,
        count => format!("{count} anomalies, the first: {what}"),
    };
    let mut text = String::new();
    for anomaly in anomalies.iter().take(LINES_MAX) {
        // Writing to a String cannot fail.
        _ = writeln!(text, "{}", line(anomaly));
    }
    let unlisted = anomalies.len().saturating_sub(LINES_MAX);
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
    format!(
        "{at} {}/{} at {}: {} (score {:.1}, threshold {:.1}, tick {})",
        anomaly.token,
        anomaly.quote,
        anomaly.price,
        anomaly.message,
        anomaly.score,
        anomaly.threshold,
        anomaly.tick_id
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sns::{SUBJECT_CHARS_MAX, subject_line};
    use domain::Token;
    use domain::analytics::AnomalyReason;
    use testkit::ticks::tick;

    fn anomaly(n: u32) -> Anomaly {
        let tick = tick("SOL", n);
        Anomaly {
            token: tick.token,
            quote: tick.quote,
            tick_id: tick.tick_id,
            timestamp_ms: tick.timestamp_ms,
            price: tick.price,
            score: 14.04,
            threshold: 8.0,
            window_ms: 1_000,
            reason: AnomalyReason::Jump,
            message: "rose 5.1 % in 1.0 s".to_owned(),
        }
    }

    #[test]
    fn a_single_anomaly_is_in_the_subject() {
        let (subject, text) = of(&[anomaly(1)]).unwrap();
        assert_eq!(subject, "SOL/USD rose 5.1 % in 1.0 s");
        assert!(
            text.starts_with(
                "2026-01-01T00:00:01.000Z SOL/USD at 10.01: rose 5.1 % in 1.0 s (score 14.0, threshold 8.0, tick "
            ),
            "{text}"
        );
        assert_eq!(of(&[]), None);
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
        let long = |message: &str| Anomaly {
            token: Token::try_from(longest.clone()).unwrap(),
            quote: Token::try_from(longest.to_uppercase()).unwrap(),
            message: message.to_owned(),
            ..anomaly(1)
        };
        let message = "fell 99.9 % in 59.9 minutes";
        let whole = format!("{message}, 14 times the expected move");
        for count in [1, 10_000] {
            let (subject, _) = of(&vec![long(&whole); count]).unwrap();
            assert!(
                subject.contains("xxxxxxxxx..xxxxxxxxx/XXXXXXXXX..XXXXXXXXX"),
                "{subject}"
            );
            assert!(subject.ends_with(message), "{subject}");
            assert!(subject.len() <= SUBJECT_CHARS_MAX, "{subject}");
            assert_eq!(subject_line(&subject), subject);
        }
        // A longer one is cut.
        let (subject, _) = of(&[long(&message.repeat(9))]).unwrap();
        assert_eq!(subject_line(&subject).len(), SUBJECT_CHARS_MAX);
    }
}
