//! Blocks of candles as items. The members beyond those that fit into the item of the block have items of their own.

use app::ports::SequenceNumber;
use app::replay::StoredBlock;
use aws_sdk_dynamodb::types::AttributeValue;
use domain::Pair;
use domain::analytics::{CandleBlock, Member};

use super::attributes::{
    EXPIRES_AT, Item, ItemError, bytes, bytes_of, expires_at, integer_of, key, number, sortable,
    text, text_of,
};
use super::deflated::{deflated, inflated};

/// The attribute with the last record that a block includes, padded so that texts compare like numbers.
pub(crate) const POSITION: &str = "position";

/// The attribute with the candles.
const CANDLES: &str = "candles";

/// The attribute with members, eight bytes each.
const MEMBERS: &str = "members";

/// The attribute with the number of ticks.
const TICKS: &str = "ticks";

/// The most members of an item, 320 KB: DynamoDB accepts 400 KB per item.
pub(crate) const MEMBERS_PER_ITEM_MAX: usize = 40_000;

const MEMBER_BYTES: usize = 8;

/// The partition key of the blocks of a pair.
pub(crate) fn block_partition(pair: &Pair) -> String {
    format!("candles#{}#{}", pair.token, pair.quote)
}

/// The key of a block.
pub(crate) fn block_key(pair: &Pair, start_ms: i64) -> Item {
    key(block_partition(pair), sortable(start_ms))
}

/// The key of a part of a block's members, from 1.
fn part_key(pair: &Pair, start_ms: i64, part: usize) -> Item {
    let partition = format!("members#{}#{}", pair.token, pair.quote);
    key(partition, format!("{}#{part:05}", sortable(start_ms)))
}

/// The items of a block: that of the block is the last one, so that it is only there with all its members.
pub(crate) fn block_items(
    stored: &StoredBlock,
    now_ms: i64,
    days: u32,
) -> Result<Vec<Item>, ItemError> {
    let mut block = stored.block.clone();
    let members = block.take_members();
    let (pair, start_ms) = (block.pair().clone(), block.start_ms());
    let common = || {
        [
            (POSITION.to_owned(), text(stored.position.padded())),
            (EXPIRES_AT.to_owned(), expires_at(now_ms, days)),
        ]
    };
    let mut items = Vec::new();
    for (part, members) in members.chunks(MEMBERS_PER_ITEM_MAX).enumerate().skip(1) {
        let mut item = part_key(&pair, start_ms, part);
        item.extend(common());
        item.insert(MEMBERS.to_owned(), members_value(members));
        items.push(item);
    }
    let first = members.get(..MEMBERS_PER_ITEM_MAX).unwrap_or(&members);
    let mut item = block_key(&pair, start_ms);
    item.extend(common());
    let candles = deflated(&block, &item)?;
    item.insert(CANDLES.to_owned(), candles);
    item.insert(MEMBERS.to_owned(), members_value(first));
    item.insert(TICKS.to_owned(), number(members.len()));
    items.push(item);
    Ok(items)
}

/// The block of an item, with the members that are in the item.
pub(crate) fn block_of(item: &Item) -> Result<StoredBlock, ItemError> {
    let mut block: CandleBlock = inflated(item, CANDLES)?;
    block.restore_members(members_of(item)?);
    Ok(StoredBlock {
        block,
        position: position_of(item)?,
    })
}

/// The keys of the other parts of the members of an item's block.
pub(crate) fn part_keys(item: &Item, block: &CandleBlock) -> Result<Vec<Item>, ItemError> {
    let ticks = usize::try_from(integer_of(item, TICKS)?).unwrap_or_default();
    let parts = 1..ticks.div_ceil(MEMBERS_PER_ITEM_MAX);
    Ok(parts
        .map(|part| part_key(block.pair(), block.start_ms(), part))
        .collect())
}

/// The members in an item.
pub(crate) fn members_of(item: &Item) -> Result<Vec<Member>, ItemError> {
    let bytes = bytes_of(item, MEMBERS)?;
    let (members, rest) = bytes.as_chunks::<MEMBER_BYTES>();
    if rest.is_empty() {
        Ok(members
            .iter()
            .map(|it| Member(u64::from_be_bytes(*it)))
            .collect())
    } else {
        Err(ItemError::Unreadable {
            name: MEMBERS,
            cause: format!("{} bytes are not a multiple of {MEMBER_BYTES}", bytes.len()),
        })
    }
}

fn members_value(members: &[Member]) -> AttributeValue {
    bytes(
        members
            .iter()
            .flat_map(|member| member.0.to_be_bytes())
            .collect(),
    )
}

fn position_of(item: &Item) -> Result<SequenceNumber, ItemError> {
    text_of(item, POSITION)?
        .parse()
        .map_err(
            |error: app::ports::SequenceNumberError| ItemError::Unreadable {
                name: POSITION,
                cause: error.to_string(),
            },
        )
}

#[cfg(test)]
mod tests {
    use domain::analytics::Interval;
    use testkit::ticks::tick;

    use super::super::attributes::{PK, SK, fits};
    use super::*;

    fn stored(ticks: u32) -> StoredBlock {
        let first = tick("BTC", 0);
        let start_ms = CandleBlock::start_of(first.timestamp_ms);
        let mut block = CandleBlock::new(Pair::of(&first), Interval::OneSecond, start_ms);
        for n in 0..ticks {
            block.add(&tick("BTC", n), false);
        }
        StoredBlock {
            block,
            position: SequenceNumber::from(7),
        }
    }

    #[test]
    fn a_block_is_one_item() {
        let stored = stored(500);
        let items = block_items(&stored, 1_767_225_600_000, 30).unwrap();
        let [item] = items.as_slice() else {
            panic!("{} items", items.len())
        };
        assert_eq!(block_of(item).unwrap(), stored);
        assert!(part_keys(item, &stored.block).unwrap().is_empty());
        assert_eq!(item[PK], text("candles#BTC#USD"));
        assert_eq!(item[SK], text("1767225600000"));
        assert_eq!(item[EXPIRES_AT], number(1_769_817_600));
    }

    #[test]
    fn members_that_do_not_fit_have_items_of_their_own() {
        let mut stored = stored(3);
        let count = 2 * MEMBERS_PER_ITEM_MAX as u64 + 5;
        stored
            .block
            .restore_members((0..count).map(Member).collect());
        let items = block_items(&stored, 0, 30).unwrap();
        let items: Vec<Item> = items.into_iter().map(|item| fits(item).unwrap()).collect();
        assert_eq!(items.len(), 3);
        let main = items.last().unwrap();
        let mut read = block_of(main).unwrap();
        let keys = part_keys(main, &read.block).unwrap();
        assert_eq!(keys.len(), 2);
        let mut members = read.block.take_members();
        for (key, item) in keys.iter().zip(&items) {
            assert_eq!((&item[PK], &item[SK]), (&key[PK], &key[SK]));
            members.extend(members_of(item).unwrap());
        }
        read.block.restore_members(members);
        assert_eq!(read, stored);
    }
}
