//! What is told, as messages that fit: the same JSON as on `tickstream`'s own live feed.

use super::news::{Item, Kind, tick_json};
use domain::Tick;

/// Largest message in bytes, which is the API Gateway's own limit (128 KiB).
pub const MESSAGE_BYTES_MAX: usize = 128 * 1_024;

/// Packs items into messages, one kind after the other, each message as full as it may be.
pub(super) fn of_items(items: &[&Item]) -> Vec<String> {
    let mut messages = Vec::new();
    for kind in Kind::ALL {
        let parts = items
            .iter()
            .filter(|item| item.kind == kind)
            .map(|item| (item.json.as_str(), item.ticks));
        let envelope = match kind {
            Kind::Ticks => Envelope::Ticks,
            Kind::Candles | Kind::Averages | Kind::Anomalies => Envelope::Findings(kind),
        };
        envelope.pack(parts, &mut messages);
    }
    messages
}

/// The latest ticks of who has just subscribed: at least one message, so that the caller knows
/// that it was heard.
pub(super) fn snapshot(ticks: &[Tick]) -> Vec<String> {
    let parts: Vec<String> = ticks.iter().map(tick_json).collect();
    let mut messages = Vec::new();
    let parts = parts.iter().map(|json| (json.as_str(), 0));
    Envelope::Snapshot.pack(parts, &mut messages);
    if messages.is_empty() {
        messages.push(Envelope::Snapshot.open() + &Envelope::Snapshot.close(0));
    }
    messages
}

/// What stands around the objects of a message.
#[derive(Clone, Copy)]
enum Envelope {
    Ticks,
    Findings(Kind),
    Snapshot,
}

impl Envelope {
    fn open(self) -> String {
        match self {
            Self::Ticks => r#"{"type":"ticks","ticks":["#.to_owned(),
            Self::Snapshot => r#"{"type":"snapshot","ticks":["#.to_owned(),
            Self::Findings(kind) => {
                let name = kind.as_str();
                format!(r#"{{"type":"{name}","{name}":["#)
            }
        }
    }

    fn close(self, ticks: u64) -> String {
        match self {
            Self::Ticks => format!(r#"],"counts":{{"ticks":{ticks}}}}}"#),
            Self::Snapshot => r#"],"missed":0}"#.to_owned(),
            Self::Findings(_) => "]}".to_owned(),
        }
    }

    /// Adds messages that hold all parts, in their order. A part that fits into no message is
    /// left out, and said so.
    fn pack<'a>(self, parts: impl Iterator<Item = (&'a str, u64)>, messages: &mut Vec<String>) {
        let open = self.open();
        // With the longest count that there can be.
        let room = MESSAGE_BYTES_MAX - open.len() - self.close(u64::MAX).len();
        let (mut message, mut ticks) = (String::new(), 0);
        for (json, behind) in parts {
            if json.len() > room {
                tracing::error!(
                    bytes = json.len(),
                    "a result is larger than a message may be"
                );
                continue;
            }
            if !message.is_empty() && message.len() - open.len() + 1 + json.len() > room {
                messages.push(std::mem::take(&mut message) + &self.close(ticks));
                ticks = 0;
            }
            if message.is_empty() {
                message.push_str(&open);
            } else {
                message.push(',');
            }
            message.push_str(json);
            ticks += behind;
        }
        if !message.is_empty() {
            messages.push(message + &self.close(ticks));
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::Token;
    use serde_json::Value;

    use super::*;

    fn item(kind: Kind, bytes: usize, ticks: u64) -> Item {
        Item {
            kind,
            token: Token::new("BTC").unwrap(),
            json: format!(r#"{{"p":"{}"}}"#, "x".repeat(bytes - 8)),
            ticks,
        }
    }

    fn read(messages: &[String]) -> Vec<Value> {
        let read = |message: &String| {
            assert!(message.len() <= MESSAGE_BYTES_MAX, "{}", message.len());
            serde_json::from_str(message).unwrap()
        };
        messages.iter().map(read).collect()
    }

    #[test]
    fn each_kind_is_one_message_where_it_fits() {
        let items = [
            item(Kind::Ticks, 300, 2),
            item(Kind::Ticks, 300, 3),
            item(Kind::Averages, 300, 0),
        ];
        let messages = read(&of_items(&items.iter().collect::<Vec<_>>()));
        assert_eq!(messages.len(), 2);
        assert_eq!(messages[0]["type"], "ticks");
        assert_eq!(messages[0]["counts"]["ticks"], 5);
        assert_eq!(messages[0]["ticks"].as_array().unwrap().len(), 2);
        assert_eq!(messages[1]["type"], "averages");
        assert_eq!(messages[1]["averages"].as_array().unwrap().len(), 1);
    }

    #[test]
    fn no_message_is_larger_than_the_service_takes_and_none_is_wasted() {
        for bytes in [100, 431, 5_000, 43_600, 70_000] {
            let items: Vec<Item> = (0..1_000).map(|_| item(Kind::Ticks, bytes, 1)).collect();
            let messages = of_items(&items.iter().collect::<Vec<_>>());
            let counted: u64 = read(&messages)
                .iter()
                .map(|message| {
                    let ticks = message["ticks"].as_array().unwrap().len() as u64;
                    assert_eq!(message["counts"]["ticks"], ticks);
                    ticks
                })
                .sum();
            assert_eq!(counted, 1_000);
            let least = (1_000_usize).div_ceil((MESSAGE_BYTES_MAX - 60) / bytes);
            assert!(
                messages.len() <= least + 1,
                "{} for {bytes}",
                messages.len()
            );
        }
    }

    #[test]
    fn what_fits_into_no_message_is_left_out() {
        let items = [
            item(Kind::Candles, MESSAGE_BYTES_MAX, 0),
            item(Kind::Candles, 100, 0),
        ];
        let messages = read(&of_items(&items.iter().collect::<Vec<_>>()));
        assert_eq!(messages.len(), 1);
        assert_eq!(messages[0]["candles"].as_array().unwrap().len(), 1);
    }

    #[test]
    fn a_snapshot_of_nothing_is_still_an_answer() {
        assert_eq!(
            snapshot(&[]),
            [r#"{"type":"snapshot","ticks":[],"missed":0}"#]
        );
    }
}
