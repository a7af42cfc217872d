//! The fields of an entry, read in one pass, and unknown ones whose name is a near miss.

use std::fmt;

use domain::Reason;
use serde::Deserialize;
use serde::de::{Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::near_miss::is_near_miss;
use crate::refused::Refused;
use crate::value::optional;

/// Optional fields whose absence nobody would notice, since a default is stored. `id` and `slot`
/// are too short for this: one letter more or less is often another word.
const WATCHED: [&str; 5] = ["quote", "volume", "source", "method", "tick_id"];

/// The known fields of an entry. Unknown ones are ignored, except for near misses.
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
    pub(super) sequence: Option<&'a RawValue>,
    pub(super) quality: Option<&'a RawValue>,
    /// Unknown names that look like a watched one, each with the name that was probably meant.
    near_misses: Vec<(String, &'static str)>,
}

/// The name of a field.
#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Name {
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
    Sequence,
    Quality,
    Unknown(String),
}

impl Fields<'_> {
    /// Refuses a near miss of a field that is absent.
    pub(super) fn check_near_misses(&self) -> Result<(), Refused> {
        for (found, meant) in &self.near_misses {
            let value = match *meant {
                "quote" => self.quote,
                "volume" => self.volume,
                "source" => self.source,
                "method" => self.method,
                _ => self.tick_id,
            };
            if optional(meant, value).is_none() {
                return Err(Refused::new(
                    Reason::MissingField,
                    format_args!(
                        "`{found}` looks like a misspelled `{meant}`, which is missing: rename it \
                         or omit it"
                    ),
                ));
            }
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Fields<'de>, A::Error> {
        let mut fields = Fields::default();
        while let Some(name) = object.next_key()? {
            let (field, name) = match name {
                Name::Token => (&mut fields.token, "token"),
                Name::Quote => (&mut fields.quote, "quote"),
                Name::Price => (&mut fields.price, "price"),
                Name::Volume => (&mut fields.volume, "volume"),
                Name::Timestamp => (&mut fields.timestamp, "timestamp"),
                Name::Source => (&mut fields.source, "source"),
                Name::Slot => (&mut fields.slot, "slot"),
                Name::Method => (&mut fields.method, "method"),
                Name::Id => (&mut fields.id, "id"),
                Name::TickId => (&mut fields.tick_id, "tick_id"),
                Name::Sequence => (&mut fields.sequence, "sequence"),
                Name::Quality => (&mut fields.quality, "quality"),
                Name::Unknown(found) => {
                    let meant = WATCHED.into_iter().find(|name| is_near_miss(&found, name));
                    fields.near_misses.extend(meant.map(|meant| (found, meant)));
                    object.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            if field.is_some() {
                return Err(A::Error::duplicate_field(name));
            }
            *field = Some(object.next_value()?);
        }
        Ok(fields)
    }
}
