//! A tick of one of the three places, as it is sorted on disk and compared.

use app::read_back::{ArchivedTick, StoredTick};
use domain::{Method, Quality, Tick, TickId};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::names::{Names, PairNumbers, SourceNumber};
use super::places::Place;

/// Where a record was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Origin {
    /// The store, with the decision whether the tick belongs to the stream.
    Store(Option<bool>),
    /// The stream.
    Stream,
    /// The archive.
    Archive,
    /// What is on its way to a place.
    Pending(Place),
}

/// What identifies a tick in all places, as [`domain::TickIdentity`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) struct Identity {
    pub(super) tick_id: [u8; 16],
    pub(super) timestamp_ms: i64,
    pub(super) pair: PairNumbers,
}

/// An amount in the form of its place.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) enum Amount {
    /// An exact decimal.
    Exact([u8; 16]),
    /// The archive's double.
    Double(f64),
}

/// The time of receipt of a record that has none.
const NOT_RECEIVED_MS: i64 = i64::MIN;

/// A tick of one place.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) identity: Identity,
    pub(super) origin: Origin,
    /// [`NOT_RECEIVED_MS`] if a row of the archive has none.
    pub(super) ingested_at_ms: i64,
    pub(super) price: Amount,
    pub(super) volume: Option<Amount>,
    pub(super) source: SourceNumber,
    pub(super) slot: Option<u64>,
    pub(super) method: Method,
    pub(super) sequence: Option<u64>,
    pub(super) quality: Option<Quality>,
}

impl Amount {
    fn exact(value: Decimal) -> Self {
        Self::Exact(value.serialize())
    }

    fn to_f64(self) -> f64 {
        match self {
            Self::Exact(bytes) => domain::nearest_double(Decimal::deserialize(bytes)),
            Self::Double(value) => value,
        }
    }

    /// Whether two amounts are the same; one of the archive is the double nearest to the other.
    fn is_same(self, other: Self) -> bool {
        match (self, other) {
            (Self::Exact(one), Self::Exact(other)) => {
                one == other || Decimal::deserialize(one) == Decimal::deserialize(other)
            }
            (one, other) => one.to_f64().to_bits() == other.to_f64().to_bits(),
        }
    }

    fn text(self) -> String {
        match self {
            Self::Exact(bytes) => Decimal::deserialize(bytes).to_string(),
            Self::Double(value) => value.to_string(),
        }
    }
}

/// A field in which two records of a tick differ, with the values of both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldDifference {
    /// The field's name, as in JSON.
    pub field: String,
    /// The value in the store; empty if it has none.
    pub stored: String,
    /// The value in the other place; empty if it has none.
    pub found: String,
}

impl Record {
    pub(super) fn stored(stored: &StoredTick, names: &mut Names) -> Self {
        Self::of_tick(&stored.tick, Origin::Store(stored.in_cohort), names)
    }

    pub(super) fn streamed(tick: &Tick, names: &mut Names) -> Self {
        Self::of_tick(tick, Origin::Stream, names)
    }

    pub(super) fn pending(to: Place, tick: &Tick, names: &mut Names) -> Self {
        Self::of_tick(tick, Origin::Pending(to), names)
    }

    fn of_tick(tick: &Tick, origin: Origin, names: &mut Names) -> Self {
        Self {
            identity: Identity {
                tick_id: *tick.tick_id.as_bytes(),
                timestamp_ms: tick.timestamp_ms,
                pair: names.pair(&tick.token, &tick.quote),
            },
            origin,
            ingested_at_ms: tick.ingested_at_ms,
            price: Amount::exact(tick.price.decimal()),
            volume: tick.volume.map(|volume| Amount::exact(volume.decimal())),
            source: names.source(&tick.source),
            slot: tick.slot,
            method: tick.method,
            sequence: tick.sequence,
            quality: tick.quality,
        }
    }

    pub(super) fn archived(tick: &ArchivedTick, names: &mut Names) -> Self {
        Self {
            identity: Identity {
                tick_id: *tick.tick_id.as_bytes(),
                timestamp_ms: tick.timestamp_ms,
                pair: names.pair(&tick.pair.token, &tick.pair.quote),
            },
            origin: Origin::Archive,
            ingested_at_ms: tick.ingested_at_ms.unwrap_or(NOT_RECEIVED_MS),
            price: Amount::Double(tick.price),
            volume: tick.volume.map(Amount::Double),
            source: names.source(&tick.source),
            slot: tick.slot,
            method: tick.method,
            sequence: tick.sequence,
            quality: tick.quality,
        }
    }

    /// Whether a record of another place says the same about the tick.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.price.is_same(other.price)
            && is_same_volume(self.volume, other.volume)
            && self.slot_in(other.origin) == other.slot
            && self.ingested_at_ms == other.ingested_at_ms
            && self.source == other.source
            && self.method == other.method
            && self.sequence == other.sequence
            && self.quality == other.quality
    }

    /// The slot as another place has it: the archive's column is a `bigint`, so it leaves out larger ones.
    fn slot_in(&self, origin: Origin) -> Option<u64> {
        self.slot
            .filter(|slot| origin != Origin::Archive || i64::try_from(*slot).is_ok())
    }

    /// The fields in which another place's record differs.
    pub(super) fn differences(&self, other: &Self, names: &Names) -> Vec<FieldDifference> {
        let number = |value: Option<u64>| value.map(|value| value.to_string());
        let quality = |value: Option<Quality>| value.map(|value| value.as_str().to_owned());
        let received = |it: &Self| {
            (it.ingested_at_ms != NOT_RECEIVED_MS).then(|| it.ingested_at_ms.to_string())
        };
        let source = |value| names.source_name(value).map(ToString::to_string);
        let mut found = Vec::new();
        let mut compare =
            |field: &str, is_same: bool, stored: Option<String>, other: Option<String>| {
                if !is_same {
                    found.push(FieldDifference {
                        field: field.to_owned(),
                        stored: stored.unwrap_or_default(),
                        found: other.unwrap_or_default(),
                    });
                }
            };
        let amounts = (self.price.text(), other.price.text());
        compare(
            "price",
            self.price.is_same(other.price),
            Some(amounts.0),
            Some(amounts.1),
        );
        compare(
            "volume",
            is_same_volume(self.volume, other.volume),
            self.volume.map(Amount::text),
            other.volume.map(Amount::text),
        );
        let slot = self.slot_in(other.origin);
        compare("slot", slot == other.slot, number(slot), number(other.slot));
        compare(
            "ingested_at",
            self.ingested_at_ms == other.ingested_at_ms,
            received(self),
            received(other),
        );
        compare(
            "source",
            self.source == other.source,
            source(self.source),
            source(other.source),
        );
        compare(
            "method",
            self.method == other.method,
            Some(self.method.to_string()),
            Some(other.method.to_string()),
        );
        compare(
            "sequence",
            self.sequence == other.sequence,
            number(self.sequence),
            number(other.sequence),
        );
        compare(
            "quality",
            self.quality == other.quality,
            quality(self.quality),
            quality(other.quality),
        );
        found
    }

    pub(super) fn tick_id(&self) -> TickId {
        TickId::from_bytes(self.identity.tick_id)
    }

    /// The tick of a record of the store or the stream; `None` for one of the archive, which has only doubles.
    pub(super) fn tick(&self, names: &Names) -> Option<Tick> {
        let decimal = |amount| match amount {
            Amount::Exact(bytes) => Some(Decimal::deserialize(bytes)),
            Amount::Double(_) => None,
        };
        let PairNumbers { token, quote } = self.identity.pair;
        let volume = match self.volume {
            Some(volume) => Some(domain::Volume::new(decimal(volume)?).ok()?),
            None => None,
        };
        Some(Tick {
            tick_id: self.tick_id(),
            token: names.token_name(token)?.clone(),
            quote: names.token_name(quote)?.clone(),
            price: domain::Price::new(decimal(self.price)?).ok()?,
            volume,
            timestamp_ms: self.identity.timestamp_ms,
            ingested_at_ms: self.ingested_at_ms,
            source: names.source_name(self.source)?.clone(),
            slot: self.slot,
            method: self.method,
            sequence: self.sequence,
            quality: self.quality,
        })
    }
}

fn is_same_volume(one: Option<Amount>, other: Option<Amount>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one.is_same(other),
        (one, other) => one.is_none() && other.is_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archived_amount_is_the_double_that_its_text_is() {
        // Of a trades file. Firehose and every reader of the text make the nearest double of it.
        for text in ["0.0011099999999999999", "0.012648999999999999", "39467.63"] {
            let (exact, nearest) = (Amount::exact(text.parse().unwrap()), text.parse().unwrap());
            assert!(exact.is_same(Amount::Double(nearest)), "{text}");
            let next = f64::from_bits(f64::to_bits(nearest) + 1);
            assert!(!exact.is_same(Amount::Double(next)), "{text}");
        }
    }
}
