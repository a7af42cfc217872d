//! A step's changes of one pair as transactions: atomic, and refused if somebody else has changed
//! the state since the step began.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use app::ports::{AnalysisCommit, SequenceNumber, StateChange};
use aws_sdk_dynamodb::error::BuildError;
use aws_sdk_dynamodb::types::{AttributeValue, ConditionCheck, Put, TransactWriteItem};
use domain::Pair;
use domain::analytics::{Candle, Interval};

use super::attributes::{
    EXPIRES_AT, Item, ItemError, PK, expires_at, fits, key, number, packed, size_bytes, text,
};
use super::candle_item::{REVISION, candle_item};
use crate::chunk::{Limits, chunks};

/// The most actions of a transaction; DynamoDB's own limit.
pub(crate) const ACTIONS_MAX: usize = 100;

/// The most bytes of items in a transaction; DynamoDB accepts 4 MB. Most candles have less than 1 KB,
/// but a second keeps up to 10 bytes per member, and so 10 KB at the 1,000 ticks a second of one shard.
const BYTES_MAX: usize = 3 * 1_024 * 1_024;

/// The most corrected candles of a pair in a step: they are in one transaction with the state.
pub(crate) const CORRECTED_MAX: usize = ACTIONS_MAX - 1;

/// The attribute with the last record in a state, padded so texts compare like numbers.
pub(crate) const LAST_SEQUENCE: &str = "last_sequence";

/// The attribute with the state, without the members of its open candles, and its sequence number.
pub(crate) const STATE: &str = "state";

/// A candle's identity among those of its pair.
type CandlePlace = (Interval, i64);

fn place(candle: &Candle) -> CandlePlace {
    (candle.interval, candle.start_ms)
}

/// The key of a pair's state. It does not include the shard: a token moves to another shard when
/// the stream is resharded, and its sequence numbers keep growing there.
pub(crate) fn state_key(pair: &Pair) -> Item {
    key(format!("state#{}#{}", pair.token, pair.quote), STATE)
}

/// A step's changes of one pair.
#[derive(Debug, Default)]
pub(crate) struct PairStep {
    /// The pair's state; none if there are only candles.
    change: Option<StateChange>,
    /// They replace the stored candles.
    candles: BTreeMap<CandlePlace, Candle>,
    /// Merged into the stored candles.
    corrections: BTreeMap<CandlePlace, Candle>,
}

/// The steps of all pairs of a commit.
pub(crate) fn by_pair(step: AnalysisCommit) -> BTreeMap<Pair, PairStep> {
    let mut pairs: BTreeMap<Pair, PairStep> = BTreeMap::new();
    for candle in step.candles {
        let steps = pairs.entry(candle.pair()).or_default();
        steps.candles.insert(place(&candle), candle);
    }
    for correction in step.corrections {
        let steps = pairs.entry(correction.pair()).or_default();
        match steps.corrections.entry(place(&correction)) {
            Entry::Vacant(vacant) => {
                vacant.insert(correction);
            }
            Entry::Occupied(mut held) => held.get_mut().merge(&correction),
        }
    }
    for change in step.states {
        let steps = pairs.entry(change.pair.clone()).or_default();
        steps.change = Some(change);
    }
    pairs
}

/// How long written items are kept.
pub(crate) struct Retention {
    /// The time now, epoch milliseconds.
    pub(crate) now_ms: i64,
    /// The number of days from then on.
    pub(crate) days: u32,
}

/// Why a step cannot become transactions.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StepError {
    #[error(transparent)]
    Item(#[from] ItemError),
    #[error("the request cannot be created: {0}")]
    Build(#[from] BuildError),
    #[error(
        "{0} candles of {1} are corrected in one step, but a transaction can correct at most \
         {CORRECTED_MAX}: fold fewer records per step"
    )]
    TooManyCorrections(usize, Pair),
}

impl PairStep {
    /// The corrected candles that are not in this step: their stored versions must be read first.
    pub(crate) fn to_read(&self) -> impl Iterator<Item = &Candle> {
        let held = |place: &CandlePlace| self.candles.contains_key(place);
        self.corrections
            .iter()
            .filter(move |(place, _)| !held(place))
            .map(|(_, correction)| correction)
    }

    /// Merges the corrections into the candles of the step and `stored`, with one more revision.
    /// Returns the transactions in order, and the corrected candles.
    ///
    /// The last transaction updates the state. The earlier ones have the candles that do not fit in
    /// the last, and check that the state is unchanged since the step began: after a crash between
    /// them, the step is folded again and writes the same candles.
    pub(crate) fn transactions(
        mut self,
        table: &str,
        pair: &Pair,
        stored: &[Candle],
        retention: &Retention,
    ) -> Result<(Vec<Vec<TransactWriteItem>>, Vec<Candle>), StepError> {
        let stored: BTreeMap<CandlePlace, &Candle> = stored
            .iter()
            .map(|candle| (place(candle), candle))
            .collect();
        let (mut last, mut corrected) = (Vec::new(), Vec::new());
        if self.corrections.len() > CORRECTED_MAX {
            return Err(StepError::TooManyCorrections(
                self.corrections.len(),
                pair.clone(),
            ));
        }
        for (place, correction) in std::mem::take(&mut self.corrections) {
            let put = Put::builder().table_name(table);
            let held = self.candles.remove(&place);
            // A candle must not have changed since it was read.
            let put = match (&held, stored.get(&place)) {
                (Some(_), _) => put,
                (None, Some(read)) => put
                    .condition_expression("#revision = :read")
                    .expression_attribute_names("#revision", REVISION)
                    .expression_attribute_values(":read", number(read.revision)),
                (None, None) => put
                    .condition_expression("attribute_not_exists(#pk)")
                    .expression_attribute_names("#pk", PK),
            };
            let merged = match held.or_else(|| stored.get(&place).map(|it| (*it).clone())) {
                Some(mut held) => {
                    held.merge(&correction);
                    held.revision += 1;
                    held
                }
                None => correction,
            };
            let item = candle_item(&merged, retention.now_ms, retention.days)?;
            last.push(put_action(put.set_item(Some(item)))?);
            corrected.push(merged);
        }
        if let Some(change) = &self.change {
            last.push(state_put(table, change, retention)?);
        }
        let puts = self.candles.values().map(|candle| {
            let item = candle_item(candle, retention.now_ms, retention.days)?;
            let bytes = size_bytes(&item);
            let action = put_action(Put::builder().table_name(table).set_item(Some(item)))?;
            Ok((action, bytes))
        });
        let mut puts = puts.collect::<Result<Vec<_>, StepError>>()?;
        let size = |action: &TransactWriteItem| action.put().map_or(0, |it| size_bytes(it.item()));
        let mut bytes: usize = last.iter().map(size).sum();
        let room = ACTIONS_MAX.saturating_sub(last.len());
        let fitting = puts.iter().take(room).take_while(|(_, more)| {
            bytes += more;
            bytes <= BYTES_MAX
        });
        let fitting = fitting.count();
        last.extend(puts.drain(..fitting).map(|(action, _)| action));
        let limits = Limits {
            entries_max: CORRECTED_MAX,
            bytes_max: BYTES_MAX,
        };
        let chunks = chunks(puts, |(_, bytes)| *bytes, &limits);
        let check = self.change.as_ref().map(|change| {
            let check = ConditionCheck::builder()
                .table_name(table)
                .set_key(Some(state_key(pair)));
            let (condition, names, values) = base_unchanged(change.base);
            check
                .condition_expression(condition)
                .set_expression_attribute_names(Some(names))
                .set_expression_attribute_values(values)
                .build()
        });
        let check = check.transpose()?;
        let mut transactions = Vec::new();
        for chunk in chunks {
            let check = check.iter().cloned();
            let check = check.map(|it| TransactWriteItem::builder().condition_check(it).build());
            transactions.push(
                check
                    .chain(chunk.into_iter().map(|(action, _)| action))
                    .collect(),
            );
        }
        if !last.is_empty() {
            transactions.push(last);
        }
        Ok((transactions, corrected))
    }
}

fn put_action(
    put: aws_sdk_dynamodb::types::builders::PutBuilder,
) -> Result<TransactWriteItem, StepError> {
    Ok(TransactWriteItem::builder().put(put.build()?).build())
}

fn state_put(
    table: &str,
    change: &StateChange,
    retention: &Retention,
) -> Result<TransactWriteItem, StepError> {
    let mut stored = change.stored.clone();
    // They are in the items of the candles, which would otherwise be in the state once more.
    stored.state.strip_members();
    let mut item = state_key(&change.pair);
    item.extend(
        [
            (LAST_SEQUENCE, text(change.stored.last_sequence.padded())),
            (STATE, packed(&stored)?),
            (EXPIRES_AT, expires_at(retention.now_ms, retention.days)),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    let (condition, names, values) = base_unchanged(change.base);
    let put = Put::builder()
        .table_name(table)
        .set_item(Some(fits(item)?))
        .condition_expression(condition)
        .set_expression_attribute_names(Some(names))
        .set_expression_attribute_values(values);
    put_action(put)
}

type Names = std::collections::HashMap<String, String>;
type Values = std::collections::HashMap<String, AttributeValue>;

/// The condition that the state's last record is `base`; before the first record, that there is no
/// state.
fn base_unchanged(base: SequenceNumber) -> (&'static str, Names, Option<Values>) {
    let name = |of: &str| Names::from([("#last".to_owned(), of.to_owned())]);
    if base == SequenceNumber::START {
        return ("attribute_not_exists(#last)", name(LAST_SEQUENCE), None);
    }
    let values = Values::from([(":base".to_owned(), text(base.padded()))]);
    ("#last = :base", name(LAST_SEQUENCE), Some(values))
}

#[cfg(test)]
mod tests;
