//! Objects that are read as far as possible: what is missing or of another type is left out, where
//! an error would refuse the transaction.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::value::{Value, optional};

/// The members of an object.
pub(super) struct Members<'a>(BTreeMap<Cow<'a, str>, &'a RawValue>);

impl<'a> Members<'a> {
    pub(super) fn read(raw: &'a RawValue) -> Option<Self> {
        serde_json::from_str(raw.get()).map(Self).ok()
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

/// The elements of an array; none if it is not one.
pub(super) fn list(raw: Option<&RawValue>) -> Vec<&RawValue> {
    let list = optional("member", raw).and_then(|list| list.array().ok());
    list.unwrap_or_default()
}
