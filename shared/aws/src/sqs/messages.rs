//! Encodes results of the analysis as messages of the broadcast queue.

use app::analyse::AnalysisUpdate;
use app::live::{AnomalyJson, AveragesJson, CandleJson};
use serde::Serialize;

/// The largest message of results, 256 KiB: a quarter of SQS's limit, so four fit in a request.
const MESSAGE_BYTES_MAX: usize = 256 * 1_024;

/// The messages of an update, each with rows of one kind: `{"type":"candles","candles":[…]}`.
pub(super) fn of(update: &AnalysisUpdate) -> Vec<String> {
    let candles = update.candles.iter().flat_map(CandleJson::rows);
    let averages = update.averages.iter().flat_map(AveragesJson::rows);
    let anomalies = update.anomalies.iter().map(AnomalyJson::of);
    let mut messages = rows("candles", candles, MESSAGE_BYTES_MAX);
    messages.extend(rows("averages", averages, MESSAGE_BYTES_MAX));
    messages.extend(rows("anomalies", anomalies, MESSAGE_BYTES_MAX));
    messages
}

/// Packs all rows of one kind, in order, into as few messages as possible, none larger than
/// `bytes_max`. A row that is too large for any message is omitted and logged.
fn rows<T: Serialize>(kind: &str, rows: impl Iterator<Item = T>, bytes_max: usize) -> Vec<String> {
    const TAIL: &str = "]}";
    let head = format!("{{\"type\":\"{kind}\",\"{kind}\":[");
    let mut messages = Vec::new();
    let mut message = head.clone();
    for row in rows {
        let row = match serde_json::to_string(&row) {
            Ok(row) if head.len() + row.len() + TAIL.len() <= bytes_max => row,
            Ok(row) => {
                tracing::warn!(
                    kind,
                    bytes = row.len(),
                    "a result is too large for a message and was not broadcast"
                );
                continue;
            }
            Err(error) => {
                tracing::warn!(kind, error = %error, "a result could not be encoded as JSON");
                continue;
            }
        };
        let empty = message.len() == head.len();
        if !empty && message.len() + ",".len() + row.len() + TAIL.len() > bytes_max {
            messages.push(message + TAIL);
            message = head.clone();
        } else if !empty {
            message.push(',');
        }
        message.push_str(&row);
    }
    if message.len() > head.len() {
        messages.push(message + TAIL);
    }
    messages
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::analytics::{Candle, Interval};
    use proptest::prelude::*;
    use serde_json::Value;
    use testkit::ticks::tick;

    proptest! {
        #[test]
        fn messages_hold_all_rows_within_the_limit(
            texts in prop::collection::vec("[a-z\"]{0,40}", 0..80),
            bytes_max in 130usize..400,
        ) {
            let messages = rows("things", texts.iter(), bytes_max);
            let mut held = Vec::new();
            for message in &messages {
                prop_assert!(message.len() <= bytes_max);
                let message: Value = serde_json::from_str(message).unwrap();
                prop_assert_eq!(&message["type"], "things");
                let rows = message["things"].as_array().unwrap();
                prop_assert!(!rows.is_empty());
                held.extend(rows.iter().map(|row| row.as_str().unwrap().to_owned()));
            }
            prop_assert_eq!(held, texts);
        }
    }

    #[test]
    fn a_row_that_is_too_large_is_omitted() {
        let long = "x".repeat(200);
        let messages = rows("things", ["a", &long, "b"].iter(), 100);
        assert_eq!(messages, [r#"{"type":"things","things":["a","b"]}"#]);
    }

    #[test]
    fn an_update_has_one_message_per_kind_that_is_present() {
        let update = AnalysisUpdate {
            candles: vec![Candle::of(&tick("SOL", 1), Interval::OneMinute)],
            ..AnalysisUpdate::default()
        };
        let messages = of(&update);
        assert_eq!(messages.len(), 1);
        let message: Value = serde_json::from_str(&messages[0]).unwrap();
        assert_eq!(message["type"], "candles");
        assert_eq!(message["candles"][0]["token"], "SOL");
        assert!(of(&AnalysisUpdate::default()).is_empty());
    }
}
