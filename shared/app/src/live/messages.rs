//! Updates as JSON messages of a limited size.

use domain::Tick;

use super::conflated_updates::{Kind, Update, tick_json};

/// Packs updates into messages of one kind each, in the order of [`Kind::ALL`], with as few messages
/// per kind as `bytes_max` allows.
#[must_use]
pub fn messages(updates: &[&Update], bytes_max: usize) -> Vec<String> {
    let mut messages = Vec::new();
    for kind in Kind::ALL {
        let parts = updates
            .iter()
            .filter(|update| update.kind == kind)
            .map(|update| (update.json.as_str(), update.tick_count));
        let envelope = match kind {
            Kind::Ticks => Envelope::Ticks,
            Kind::Candles | Kind::Averages | Kind::Anomalies => Envelope::Results(kind),
        };
        envelope.pack(parts, bytes_max, &mut messages);
    }
    messages
}

/// The latest ticks, for a new subscriber or for one that missed messages. There is always at least one
/// message, as a response to the client.
#[must_use]
pub fn snapshot<'a>(
    latest: impl Iterator<Item = &'a Tick>,
    missed: u64,
    bytes_max: usize,
) -> Vec<String> {
    let parts: Vec<String> = latest.map(tick_json).collect();
    let parts = parts.iter().map(|json| (json.as_str(), 0));
    let envelope = Envelope::Snapshot { missed };
    let mut messages = Vec::new();
    envelope.pack(parts, bytes_max, &mut messages);
    if messages.is_empty() {
        messages.push(envelope.open() + &envelope.close(0));
    }
    messages
}

/// The parts of a message around its objects.
#[derive(Clone, Copy)]
enum Envelope {
    Ticks,
    Results(Kind),
    Snapshot { missed: u64 },
}

impl Envelope {
    fn open(self) -> String {
        match self {
            Self::Ticks => r#"{"type":"ticks","ticks":["#.to_owned(),
            Self::Snapshot { .. } => r#"{"type":"snapshot","ticks":["#.to_owned(),
            Self::Results(kind) => {
                let name = kind.as_str();
                format!(r#"{{"type":"{name}","{name}":["#)
            }
        }
    }

    fn close(self, ticks: u64) -> String {
        match self {
            Self::Ticks => format!(r#"],"counts":{{"ticks":{ticks}}}}}"#),
            Self::Snapshot { missed } => format!(r#"],"missed":{missed}}}"#),
            Self::Results(_) => "]}".to_owned(),
        }
    }

    /// Adds messages with all parts in order. A part that is larger than a message is omitted and logged.
    fn pack<'a>(
        self,
        parts: impl Iterator<Item = (&'a str, u64)>,
        bytes_max: usize,
        messages: &mut Vec<String>,
    ) {
        let open = self.open();
        // With the longest possible count.
        let room = bytes_max.saturating_sub(open.len() + self.close(u64::MAX).len());
        let (mut message, mut ticks) = (String::new(), 0);
        for (json, behind) in parts {
            if json.len() > room {
                tracing::error!(
                    bytes = json.len(),
                    "an update is larger than a message may be"
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

    const MESSAGE_BYTES_MAX: usize = 128 * 1_024;

    fn packed(updates: &[Update]) -> Vec<String> {
        messages(&updates.iter().collect::<Vec<_>>(), MESSAGE_BYTES_MAX)
    }

    fn update(kind: Kind, bytes: usize, ticks: u64) -> Update {
        Update {
            kind,
            token: Token::new("BTC").unwrap(),
            identity: String::new(),
            rank: (0, 0),
            tick_count: ticks,
            json: format!(r#"{{"p":"{}"}}"#, "x".repeat(bytes - 8)),
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
    fn each_kind_is_one_message_if_it_fits() {
        let updates = [
            update(Kind::Ticks, 300, 2),
            update(Kind::Ticks, 300, 3),
            update(Kind::Averages, 300, 0),
        ];
        let messages = read(&packed(&updates));
        assert_eq!(messages.len(), 2);
        assert_eq!(messages[0]["type"], "ticks");
        assert_eq!(messages[0]["counts"]["ticks"], 5);
        assert_eq!(messages[0]["ticks"].as_array().unwrap().len(), 2);
        assert_eq!(messages[1]["type"], "averages");
        assert_eq!(messages[1]["averages"].as_array().unwrap().len(), 1);
    }

    #[test]
    fn no_message_exceeds_the_limit_and_none_is_wasted() {
        for bytes in [100, 431, 5_000, 43_600, 70_000] {
            let updates: Vec<Update> = (0..1_000).map(|_| update(Kind::Ticks, bytes, 1)).collect();
            let messages = packed(&updates);
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
    fn an_update_larger_than_a_message_is_omitted() {
        let updates = [
            update(Kind::Candles, MESSAGE_BYTES_MAX, 0),
            update(Kind::Candles, 100, 0),
        ];
        let messages = read(&packed(&updates));
        assert_eq!(messages.len(), 1);
        assert_eq!(messages[0]["candles"].as_array().unwrap().len(), 1);
    }

    #[test]
    fn an_empty_snapshot_is_still_a_message() {
        assert_eq!(
            snapshot(std::iter::empty(), 3, MESSAGE_BYTES_MAX),
            [r#"{"type":"snapshot","ticks":[],"missed":3}"#]
        );
    }
}
