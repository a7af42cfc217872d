//! A delivery as a whole: its text, its entries, and the outcome of each.
//!
//! Entries are borrowed slices of the body: numbers are read from their literal text, and one bad
//! entry does not affect the others.

use std::fmt;

use domain::{EncodingError, Malformed, Method, RAW_BYTES_MAX, Reason, Tick};
use serde::Deserializer;
use serde::de::{self, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::refused::Refused;
use crate::work;
use crate::{Entry, Unreadable};

/// The most entries in one delivery. Helius sends one to a hundred, `tickctl` sends 500.
const ENTRIES_MAX: usize = 10_000;

/// The outcome of a well-formed entry.
#[derive(Debug)]
pub(crate) enum Outcome {
    Tick(Tick),
    ArrivalStamped(Tick),
    Ignored(&'static str),
}

/// What a message of an exchange contains.
pub(crate) enum Content<'a> {
    /// Prices, which are an entry each.
    Prices(Method, Vec<&'a RawValue>),
    /// Nothing with a price.
    Other(&'static str),
}

/// The outcomes of a delivery, entry by entry, in order.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    entries: Vec<Entry>,
}

impl Answer {
    /// Reads each entry independently.
    pub(crate) fn of_each<'a>(
        entries: Vec<&'a RawValue>,
        mut read: impl FnMut(&'a RawValue) -> Result<Outcome, Refused>,
    ) -> Result<Vec<Entry>, Unreadable> {
        let mut answer = Self {
            entries: Vec::with_capacity(entries.len()),
        };
        for raw in entries {
            answer.push(raw.get(), read(raw))?;
        }
        Ok(answer.into_entries())
    }

    /// Adds the outcome of the next entry, which is a part of a message and cannot be read without it. A malformed one
    /// is kept with the whole message, if the quarantine has room for that: once its cause is fixed, it can be replayed.
    pub(crate) fn push_part(
        &mut self,
        part: &str,
        message: &str,
        read: Result<Outcome, Refused>,
    ) -> Result<(), Unreadable> {
        let fits = message.len() <= RAW_BYTES_MAX;
        self.push(if fits { message } else { part }, read)
    }

    /// Adds the outcome of the next entry; `raw` is its text.
    pub(crate) fn push(
        &mut self,
        raw: &str,
        read: Result<Outcome, Refused>,
    ) -> Result<(), Unreadable> {
        let index = self.entries.len();
        if index == ENTRIES_MAX {
            return Err(unreadable(too_many()));
        }
        work::spend(1, work::ENTRY);
        let read = work::check().and(read);
        self.entries.push(match read.and_then(priced_in_another) {
            Ok(Outcome::Tick(tick)) => Entry::Tick(tick),
            Ok(Outcome::ArrivalStamped(tick)) => Entry::ArrivalStamped(tick),
            Ok(Outcome::Ignored(why)) => Entry::Ignored(why),
            Err(Refused { reason, message }) => {
                Entry::Malformed(Malformed::new(index, reason, message, raw.as_bytes()))
            }
        });
        Ok(())
    }

    /// Adds the outcomes of the next message: of each of its prices, or its own.
    pub(crate) fn push_content<'a>(
        &mut self,
        message: &RawValue,
        content: Result<Content<'a>, Refused>,
        mut read: impl FnMut(&'a RawValue, Method) -> Result<Outcome, Refused>,
    ) -> Result<(), Unreadable> {
        match content {
            Ok(Content::Prices(method, prices)) => prices
                .into_iter()
                .try_for_each(|raw| self.push_part(raw.get(), message.get(), read(raw, method))),
            Ok(Content::Other(why)) => self.push(message.get(), Ok(Outcome::Ignored(why))),
            Err(refused) => self.push(message.get(), Err(refused)),
        }
    }

    pub(crate) fn into_entries(self) -> Vec<Entry> {
        self.entries
    }
}

/// Refuses the price of a token in itself, which is meaningless.
fn priced_in_another(outcome: Outcome) -> Result<Outcome, Refused> {
    match outcome {
        Outcome::Tick(ref tick) | Outcome::ArrivalStamped(ref tick) if tick.token == tick.quote => {
            Err(Refused {
                reason: Reason::InvalidToken,
                message: format!(
                    "`token` and `quote` are both `{}`: set `quote` to the currency of the price",
                    tick.token
                ),
            })
        }
        Outcome::Tick(_) | Outcome::ArrivalStamped(_) | Outcome::Ignored(_) => Ok(outcome),
    }
}

/// The body as text, without a byte order mark in front of it.
pub(crate) fn text(body: &[u8]) -> Result<&str, Unreadable> {
    domain::utf8_text(body).map_err(|error| {
        let what = match error {
            EncodingError::Other(encoding) => format!("{encoding} text"),
            EncodingError::Invalid(at) => format!("not valid UTF-8 from byte {at} on"),
        };
        Unreadable {
            reason: Reason::InvalidUtf8,
            message: format!("the body is {what}: send JSON in UTF-8"),
        }
    })
}

/// The entries of a JSON array, or the one JSON object.
pub(crate) fn one_or_many(text: &str) -> Result<Vec<&RawValue>, Unreadable> {
    match text.trim_start().bytes().next() {
        Some(b'[') => many(text),
        Some(b'{') | None => Ok(vec![one(text)?]),
        Some(_) => {
            let raw = one(text)?;
            Err(unreadable(format_args!(
                "a delivery must be a JSON object or an array of objects, not {}",
                crate::described::described(raw.get())
            )))
        }
    }
}

/// The elements of a JSON array.
pub(crate) fn many(text: &str) -> Result<Vec<&RawValue>, Unreadable> {
    let elements = split(text, |json| json.deserialize_seq(Elements))?;
    work::spend(elements.len(), work::PART);
    Ok(elements)
}

/// The members of a JSON object in order, with unescaped keys; a key may occur twice.
pub(crate) fn members(text: &str) -> Result<Vec<(String, &RawValue)>, Unreadable> {
    let members = split(text, |json| json.deserialize_map(Members))?;
    work::spend(members.len(), work::PART);
    Ok(members)
}

pub(crate) fn unreadable(message: impl fmt::Display) -> Unreadable {
    Unreadable {
        reason: Reason::UnreadableBody,
        message: message.to_string(),
    }
}

fn one(text: &str) -> Result<&RawValue, Unreadable> {
    work::spend(text.len(), work::BYTE);
    serde_json::from_str(text).map_err(not_json)
}

type JsonReader<'a> = serde_json::Deserializer<serde_json::de::StrRead<'a>>;

fn split<'a, T>(
    text: &'a str,
    read: impl FnOnce(&mut JsonReader<'a>) -> serde_json::Result<T>,
) -> Result<T, Unreadable> {
    work::spend(text.len(), work::BYTE);
    let mut json = serde_json::Deserializer::from_str(text);
    let parts = read(&mut json).map_err(not_json)?;
    json.end().map_err(not_json)?;
    Ok(parts)
}

fn not_json(error: serde_json::Error) -> Unreadable {
    if error.is_data() {
        return unreadable(error);
    }
    unreadable(format_args!("the body is not JSON: {error}"))
}

fn too_many() -> String {
    format!("a delivery may have at most {ENTRIES_MAX} entries: send the rest in another delivery")
}

struct Elements;

impl<'de> Visitor<'de> for Elements {
    type Value = Vec<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON array of entries")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Self::Value, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = array.next_element()? {
            if elements.len() == ENTRIES_MAX {
                return Err(de::Error::custom(too_many()));
            }
            elements.push(element);
        }
        Ok(elements)
    }
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Vec<(String, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = object.next_entry()? {
            if members.len() == ENTRIES_MAX {
                return Err(de::Error::custom(too_many()));
            }
            members.push(member);
        }
        Ok(members)
    }
}
