//! One JSON value with its field's name, read from its literal text. A number is never converted to
//! a double, and every error names the field, the rule and the value found.

use std::borrow::Cow;
use std::fmt::Display;

use domain::{Price, Reason, Token, Volume};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::described::described;
use crate::refused::Refused;
use crate::work;

/// The longest text or number that is read, in bytes of JSON. The longest known are signatures, of 88
/// characters, which JSON may write in 528 bytes, and doubles, of 324 digits. One value may belong to many
/// entries, such as the time of an envelope, and is read for each.
pub(crate) const SCALAR_BYTES_MAX: usize = 1_024;

/// A value and the name of its field.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Value<'a> {
    field: &'static str,
    raw: &'a str,
}

/// A field that must be present and not null.
pub(crate) fn required<'a>(
    field: &'static str,
    raw: Option<&'a RawValue>,
) -> Result<Value<'a>, Refused> {
    optional(field, raw).ok_or_else(|| Refused::missing(field))
}

/// A field that may be missing or null.
pub(crate) fn optional<'a>(field: &'static str, raw: Option<&'a RawValue>) -> Option<Value<'a>> {
    raw.map(|raw| Value {
        field,
        raw: raw.get(),
    })
    .filter(|value| value.raw != "null")
}

impl<'a> Value<'a> {
    /// An element of an array, or another value without its own field.
    pub(crate) fn new(field: &'static str, raw: &'a RawValue) -> Self {
        Self {
            field,
            raw: raw.get(),
        }
    }

    /// The JSON text, including quotation marks.
    pub(crate) fn raw(self) -> &'a str {
        self.raw
    }

    pub(crate) fn is_array(self) -> bool {
        self.raw.starts_with('[')
    }

    /// A JSON string.
    pub(crate) fn text(self) -> Result<Cow<'a, str>, Refused> {
        if !self.raw.starts_with('"') {
            return Err(self.wrong_type("a text"));
        }
        self.check_length()?;
        let inner = self
            .raw
            .get(1..self.raw.len().saturating_sub(1))
            .unwrap_or_default();
        if !inner.contains('\\') {
            return Ok(Cow::Borrowed(inner));
        }
        // The splitting pass checked the syntax, so only unpaired surrogates can fail here.
        serde_json::from_str::<String>(self.raw)
            .map(Cow::Owned)
            .map_err(|error| self.wrong_type_with("a text", error))
    }

    fn check_length(self) -> Result<(), Refused> {
        let bytes = self.raw.len();
        if bytes > SCALAR_BYTES_MAX {
            return Err(Refused::too_many(
                self.field,
                bytes,
                SCALAR_BYTES_MAX,
                "bytes",
            ));
        }
        work::spend(bytes, work::BYTE);
        Ok(())
    }

    /// The digits of a JSON number, or of a JSON string that contains one.
    pub(crate) fn digits(self) -> Result<Cow<'a, str>, Refused> {
        match self.raw.as_bytes().first() {
            Some(b'"') => self.text(),
            Some(b'-' | b'0'..=b'9') => {
                self.check_length()?;
                Ok(Cow::Borrowed(self.raw))
            }
            _ => Err(self.wrong_type("a number")),
        }
    }

    /// A whole number from 0 to 2^64 - 1, as a number or a string.
    pub(crate) fn unsigned(self) -> Result<u64, Refused> {
        self.digits()?
            .parse()
            .map_err(|_| self.wrong_type("a whole number from 0 to 2^64 - 1"))
    }

    /// The number of a trade, which also fits in the archive's `bigint`.
    pub(crate) fn sequence(self) -> Result<u64, Refused> {
        self.slot()
    }

    /// A slot: a whole number that also fits in the archive's `bigint`.
    pub(crate) fn slot(self) -> Result<u64, Refused> {
        self.unsigned()
            .ok()
            .filter(|slot| i64::try_from(*slot).is_ok())
            .ok_or_else(|| self.wrong_type("a whole number from 0 to 2^63 - 1"))
    }

    /// A whole number of 64 bits, as a number or a string.
    pub(crate) fn signed(self) -> Result<i64, Refused> {
        self.digits()?
            .parse()
            .map_err(|_| self.wrong_type("a whole number of 64 bits"))
    }

    pub(crate) fn price(self) -> Result<Price, Refused> {
        Price::parse(&self.digits()?).map_err(|error| self.refused(Reason::InvalidPrice, error))
    }

    /// A price that the provider computes as a double, which may have more digits than a decimal: see
    /// [`Price::parse_rounded`].
    pub(crate) fn double_price(self) -> Result<Price, Refused> {
        Price::parse_rounded(&self.digits()?)
            .map_err(|error| self.refused(Reason::InvalidPrice, error))
    }

    pub(crate) fn volume(self) -> Result<Volume, Refused> {
        Volume::parse(&self.digits()?).map_err(|error| self.refused(Reason::InvalidVolume, error))
    }

    pub(crate) fn token(self) -> Result<Token, Refused> {
        Token::new(&self.text()?).map_err(|error| self.refused(Reason::InvalidToken, error))
    }

    /// A JSON object with named members. A derived `Deserialize` alone would also accept an array.
    pub(crate) fn object<T: Deserialize<'a>>(self) -> Result<T, Refused> {
        if !self.raw.starts_with('{') {
            return Err(self.wrong_type("an object"));
        }
        work::check()?;
        work::spend(self.raw.len(), work::BYTE);
        serde_json::from_str(self.raw).map_err(|error| self.not_object(&error))
    }

    /// The members of a JSON object in order; a key may occur twice.
    pub(crate) fn members(self) -> Result<Vec<(String, &'a RawValue)>, Refused> {
        if !self.raw.starts_with('{') {
            return Err(self.wrong_type("an object"));
        }
        work::check()?;
        crate::delivery::members(self.raw).map_err(|error| self.wrong_type_with("an object", error))
    }

    /// The elements of a JSON array.
    pub(crate) fn array(self) -> Result<Vec<&'a RawValue>, Refused> {
        if !self.raw.starts_with('[') {
            return Err(self.wrong_type("an array"));
        }
        work::check()?;
        crate::delivery::many(self.raw).map_err(|error| self.wrong_type_with("an array", error))
    }

    /// The elements of a JSON array that has at most `max` wherever it comes from its provider.
    pub(crate) fn array_within(self, max: usize) -> Result<Vec<&'a RawValue>, Refused> {
        let elements = self.array()?;
        if elements.len() > max {
            return Err(Refused::too_many(
                self.field,
                elements.len(),
                max,
                "elements",
            ));
        }
        Ok(elements)
    }

    pub(crate) fn refused(self, reason: Reason, why: impl Display) -> Refused {
        Refused::new(reason, format_args!("`{}`: {why}", self.field))
    }

    pub(crate) fn wrong_type(self, expected: &str) -> Refused {
        Refused::wrong_type(self.field, expected, described(self.raw))
    }

    fn wrong_type_with(self, expected: &str, why: impl Display) -> Refused {
        Refused::wrong_type(
            self.field,
            expected,
            format_args!("{} ({why})", described(self.raw)),
        )
    }

    fn not_object(self, error: &serde_json::Error) -> Refused {
        let message = error.to_string();
        match message
            .strip_prefix("duplicate field `")
            .and_then(|rest| rest.split('`').next())
        {
            Some(field) => Refused::new(
                Reason::DuplicateField,
                format_args!("`{field}` occurs twice in `{}`: send it once", self.field),
            ),
            None => self.wrong_type_with("an object", message),
        }
    }
}
