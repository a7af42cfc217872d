//! Updates as JSON messages of a limited size.

use domain::Tick;

use super::conflated_updates::{Kind, Update, tick_json};

/// Packs updates into as few messages as `bytes_max` allows, in the order of [`Kind::ALL`]. A message
/// has a list for each kind that it has updates of, and `counts` beside `ticks`. An update that is
/// larger than a message is omitted and logged.
#[must_use]
pub fn messages(updates: &[&Update], bytes_max: usize) -> Vec<String> {
    let mut messages = Vec::new();
    let mut message = Message::default();
    let of_kind = |kind: Kind| updates.iter().filter(move |update| update.kind == kind);
    for update in Kind::ALL.into_iter().flat_map(of_kind) {
        if !message.has_room(update, bytes_max) {
            messages.extend(std::mem::take(&mut message).close());
        }
        if message.has_room(update, bytes_max) {
            message.add(update);
        } else {
            let bytes = update.json.len();
            tracing::error!(bytes, "an update is larger than a message may be");
        }
    }
    messages.extend(message.close());
    messages
}

/// How a message of updates begins.
const UPDATES: &str = r#"{"type":"updates""#;

/// The longest end of a list and of a message.
const CLOSE_BYTES_MAX: usize = r#"],"counts":{"ticks":18446744073709551615}}"#.len();

/// A message of updates, without its end.
#[derive(Default)]
struct Message {
    json: String,
    /// The kind of the open list; `None` if the message is empty.
    kind: Option<Kind>,
    ticks: u64,
}

impl Message {
    fn has_room(&self, update: &Update, bytes_max: usize) -> bool {
        let before = match self.kind {
            None => UPDATES.len() + opening(update.kind).len(),
            Some(kind) if kind == update.kind => self.json.len() + 1,
            Some(_) => self.json.len() + CLOSE_BYTES_MAX + opening(update.kind).len(),
        };
        before + update.json.len() + CLOSE_BYTES_MAX <= bytes_max
    }

    fn add(&mut self, update: &Update) {
        if self.kind == Some(update.kind) {
            self.json.push(',');
        } else {
            if self.kind.is_none() {
                self.json.push_str(UPDATES);
            }
            self.close_list();
            self.json.push_str(&opening(update.kind));
            self.kind = Some(update.kind);
        }
        self.json.push_str(&update.json);
        self.ticks += update.tick_count;
    }

    fn close_list(&mut self) {
        match self.kind {
            None => {}
            Some(Kind::Ticks) => {
                let counts = format!(r#"],"counts":{{"ticks":{}}}"#, self.ticks);
                self.json.push_str(&counts);
            }
            Some(_) => self.json.push(']'),
        }
    }

    /// The complete message; `None` if it is empty.
    fn close(mut self) -> Option<String> {
        self.kind?;
        self.close_list();
        Some(self.json + "}")
    }
}

/// The beginning of a list.
fn opening(kind: Kind) -> String {
    format!(r#","{}":["#, kind.as_str())
}

/// The latest ticks, for a new subscriber or for one that missed messages. There is always at least one
/// message, as a response to the client.
#[must_use]
pub fn snapshot<'a>(
    latest: impl Iterator<Item = &'a Tick>,
    missed: u64,
    bytes_max: usize,
) -> Vec<String> {
    const OPEN: &str = r#"{"type":"snapshot","ticks":["#;
    let close = format!(r#"],"missed":{missed}}}"#);
    let room = bytes_max.saturating_sub(close.len());
    let mut messages = Vec::new();
    let mut message = OPEN.to_owned();
    for json in latest.map(tick_json) {
        if message.len() > OPEN.len() && message.len() + 1 + json.len() > room {
            messages.push(std::mem::replace(&mut message, OPEN.to_owned()) + &close);
        }
        if message.len() > OPEN.len() {
            message.push(',');
        }
        message.push_str(&json);
    }
    messages.push(message + &close);
    messages
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
    fn all_kinds_are_one_message_if_they_fit() {
        let updates = [
            update(Kind::Ticks, 300, 2),
            update(Kind::Ticks, 300, 3),
            update(Kind::Averages, 300, 0),
        ];
        let messages = read(&packed(&updates));
        assert_eq!(messages.len(), 1);
        assert_eq!(messages[0]["type"], "updates");
        assert_eq!(messages[0]["counts"]["ticks"], 5);
        assert_eq!(messages[0]["ticks"].as_array().unwrap().len(), 2);
        assert_eq!(messages[0]["averages"].as_array().unwrap().len(), 1);
        assert!(messages[0].get("candles").is_none());
        assert!(packed(&[]).is_empty());
    }

    #[test]
    fn kinds_continue_in_the_next_message() {
        for bytes in [100, 40_000, 43_600, 65_000] {
            let of =
                |kind| (0..5).map(move |_| update(kind, bytes, u64::from(kind == Kind::Ticks)));
            let updates: Vec<Update> = Kind::ALL.into_iter().rev().flat_map(of).collect();
            let messages = read(&packed(&updates));
            for kind in Kind::ALL {
                let lists = messages
                    .iter()
                    .filter_map(|message| message[kind.as_str()].as_array());
                assert_eq!(
                    lists.map(Vec::len).sum::<usize>(),
                    5,
                    "{kind:?} of {bytes} bytes"
                );
            }
            let counts = messages
                .iter()
                .filter_map(|it| it["counts"]["ticks"].as_u64());
            assert_eq!(counts.sum::<u64>(), 5);
            let of_a_message = (MESSAGE_BYTES_MAX - 200) / bytes;
            assert_eq!(
                messages.len(),
                20_usize.div_ceil(of_a_message),
                "{bytes} bytes"
            );
        }
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
