//! The members of an entry, read in one pass, with those that look like a slip of another.

use std::fmt;

use domain::Reason;
use serde::Deserialize;
use serde::de::{Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::refused::Refused;
use crate::slip::is_slip;
use crate::value::optional;

/// Optional members that nobody would miss: without one its default is stored. `id` and `slot` are
/// too short for this, since one letter more or less is often another word.
const WATCHED: [&str; 5] = ["quote", "volume", "source", "method", "tick_id"];

/// The members of an entry that mean something.
#[derive(Default)]
pub(super) struct Fields<'a> {
    pub(super) token: Option<&'a RawValue>,
    pub(super) quote: Option<&'a RawValue>,
    pub(super) price: Option<&'a RawValue>,
    pub(super) volume: Option<&'a RawValue>,
    pub(super) timestamp: Option<&'a RawValue>,
    pub(super) source: Option<&'a RawValue>,
    pub(super) slot: Option<&'a RawValue>,
    pub(super) method: Option<&'a RawValue>,
    pub(super) id: Option<&'a RawValue>,
    pub(super) tick_id: Option<&'a RawValue>,
    /// Members that look like a watched one, each with the name that was likely meant.
    slips: Vec<(String, &'static str)>,
}

impl Fields<'_> {
    /// A slip matters where the member that was meant is not there.
    pub(super) fn check_slips(&self) -> Result<(), Refused> {
        for (key, meant) in &self.slips {
            let there = match *meant {
                "quote" => self.quote,
                "volume" => self.volume,
                "source" => self.source,
                "method" => self.method,
                _ => self.tick_id,
            };
            if optional(meant, there).is_none() {
                return Err(Refused::new(
                    Reason::MissingField,
                    format_args!(
                        "`{key}` looks like a slip of `{meant}`, which is missing: rename it, or \
                         leave it out"
                    ),
                ));
            }
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members)
    }
}

/// What a member's name says.
enum Key {
    Token,
    Quote,
    Price,
    Volume,
    Timestamp,
    Source,
    Slot,
    Method,
    Id,
    TickId,
    Slip(String, &'static str),
    Other,
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Name)
    }
}

struct Name;

impl Visitor<'_> for Name {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member's name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Key, E> {
        Ok(match name {
            "token" => Key::Token,
            "quote" => Key::Quote,
            "price" => Key::Price,
            "volume" => Key::Volume,
            "timestamp" => Key::Timestamp,
            "source" => Key::Source,
            "slot" => Key::Slot,
            "method" => Key::Method,
            "id" => Key::Id,
            "tick_id" => Key::TickId,
            other => match WATCHED.iter().copied().find(|meant| is_slip(other, meant)) {
                Some(meant) => Key::Slip(other.to_owned(), meant),
                None => Key::Other,
            },
        })
    }
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Fields<'de>, A::Error> {
        let mut fields = Fields::default();
        while let Some(key) = object.next_key()? {
            let (place, name) = match key {
                Key::Token => (&mut fields.token, "token"),
                Key::Quote => (&mut fields.quote, "quote"),
                Key::Price => (&mut fields.price, "price"),
                Key::Volume => (&mut fields.volume, "volume"),
                Key::Timestamp => (&mut fields.timestamp, "timestamp"),
                Key::Source => (&mut fields.source, "source"),
                Key::Slot => (&mut fields.slot, "slot"),
                Key::Method => (&mut fields.method, "method"),
                Key::Id => (&mut fields.id, "id"),
                Key::TickId => (&mut fields.tick_id, "tick_id"),
                Key::Slip(key, meant) => {
                    fields.slips.push((key, meant));
                    object.next_value::<IgnoredAny>()?;
                    continue;
                }
                Key::Other => {
                    object.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            if place.is_some() {
                return Err(A::Error::duplicate_field(name));
            }
            *place = Some(object.next_value()?);
        }
        Ok(fields)
    }
}
