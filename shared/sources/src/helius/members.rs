//! Objects that are read as far as possible: what is missing or of another type is left out, where
//! an error would refuse the transaction.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::refused::Refused;
use crate::value::{Value, optional};
use crate::work;

/// The members of an object.
pub(super) struct Members<'a>(BTreeMap<Cow<'a, str>, &'a RawValue>);

impl<'a> Members<'a> {
    pub(super) fn read(raw: &'a RawValue) -> Option<Self> {
        work::spend(raw.get().len(), work::BYTE);
        let members: BTreeMap<_, _> = serde_json::from_str(raw.get()).ok()?;
        work::spend(members.len(), 4 * work::PART);
        Some(Self(members))
    }

    pub(super) fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.get(name).copied().filter(|raw| raw.get() != "null")
    }

    pub(super) fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        Value::new("member", self.get(name)?).text().ok()
    }

    pub(super) fn number(&self, name: &str) -> Option<u64> {
        Value::new("member", self.get(name)?).unsigned().ok()
    }
}

/// The elements of an array, of which there may be `max`; none if it is not an array.
pub(super) fn list<'a>(
    field: &'static str,
    raw: Option<&'a RawValue>,
    max: usize,
) -> Result<Vec<&'a RawValue>, Refused> {
    match optional(field, raw).filter(|list| list.is_array()) {
        Some(list) => list.array_within(max),
        None => Ok(Vec::new()),
    }
}
