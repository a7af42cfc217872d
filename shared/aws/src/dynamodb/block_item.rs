//! Blocks of candles as items. The members beyond those that fit into the item of the block have items of their own.

use app::ports::SequenceNumber;
use app::replay::StoredBlock;
use aws_sdk_dynamodb::types::AttributeValue;
use domain::Pair;
use domain::analytics::{CandleBlock, CompactBlock, Member};

use super::attributes::{
    EXPIRES_AT, Item, ItemError, bytes, bytes_of, expires_at, integer_of, key, number, packed,
    sortable, unpacked,
};

/// The attribute with the last record that a block includes, as bytes that compare like the numbers.
pub(crate) const POSITION: &str = "position";

/// The attribute with the candles.
const CANDLES: &str = "series";

/// The attribute with the members that the candles do not tell, eight bytes each.
const MEMBERS: &str = "members";

/// The attribute with the number of these, of blocks that have parts.
const COUNT: &str = "member_count";

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
    let mut compact = stored.block.compact();
    let members = compact.take_members();
    let (pair, start_ms) = (stored.block.pair(), stored.block.start_ms());
    let common = || {
        [
            (
                POSITION.to_owned(),
                bytes(stored.position.to_bytes().to_vec()),
            ),
            (EXPIRES_AT.to_owned(), expires_at(now_ms, days)),
        ]
    };
    let mut items = Vec::new();
    for (part, members) in members.chunks(MEMBERS_PER_ITEM_MAX).enumerate().skip(1) {
        let mut item = part_key(pair, start_ms, part);
        item.extend(common());
        item.insert(MEMBERS.to_owned(), members_value(members));
        items.push(item);
    }
    let first = members.get(..MEMBERS_PER_ITEM_MAX).unwrap_or(&members);
    let mut item = block_key(pair, start_ms);
    item.extend(common());
    item.insert(CANDLES.to_owned(), packed(&compact)?);
    item.insert(MEMBERS.to_owned(), members_value(first));
    if !items.is_empty() {
        item.insert(COUNT.to_owned(), number(members.len()));
    }
    items.push(item);
    Ok(items)
}

/// The block of an item of a pair, with the members that are in the item.
pub(crate) fn block_of(item: &Item, pair: &Pair) -> Result<StoredBlock, ItemError> {
    let compact: CompactBlock = unpacked(item, CANDLES)?;
    let mut block = compact.into_block(pair.clone());
    block.add_members(members_of(item)?);
    Ok(StoredBlock {
        block,
        position: position_of(item)?,
    })
}

/// The keys of the other parts of the members of an item's block.
pub(crate) fn part_keys(item: &Item, block: &CandleBlock) -> Result<Vec<Item>, ItemError> {
    if !item.contains_key(COUNT) {
        return Ok(Vec::new());
    }
    let count = usize::try_from(integer_of(item, COUNT)?).unwrap_or_default();
    let parts = 1..count.div_ceil(MEMBERS_PER_ITEM_MAX);
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
    let bytes = bytes_of(item, POSITION)?;
    SequenceNumber::from_bytes(bytes).ok_or_else(|| ItemError::Unreadable {
        name: POSITION,
        cause: format!("{} bytes are not the 24 of a position", bytes.len()),
    })
}

#[cfg(test)]
mod tests {
    use domain::analytics::{Added, Interval};

    use domain::{Price, Tick, Token};
    use testkit::ticks::{START_MS, tick};

    use super::super::attributes::{PK, SK, fits, size_bytes, text};
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
        assert_eq!(block_of(item, stored.block.pair()).unwrap(), stored);
        assert!(part_keys(item, &stored.block).unwrap().is_empty());
        assert_eq!(item[PK], text("candles#BTC#USD"));
        assert_eq!(item[SK], text("1767225600000"));
        assert_eq!(item[EXPIRES_AT], number(1_769_817_600));
    }

    /// The goal for a pair that trades 1.4 times a minute: its ten minutes cost one write unit.
    #[test]
    fn the_item_of_a_quiet_pair_fits_into_1_kb() {
        let mint = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v";
        let made = |n: u32| Tick {
            token: Token::new(mint).unwrap(),
            quote: Token::new(mint).unwrap(),
            price: Price::parse(&format!("152.3847{:02}", n * 37 % 100)).unwrap(),
            timestamp_ms: START_MS + i64::from(n) * 43_000,
            ..tick("BTC", n)
        };
        let start_ms = CandleBlock::start_of(START_MS);
        let mut block = CandleBlock::new(Pair::of(&made(0)), Interval::OneMinute, start_ms);
        (0..14)
            .map(made)
            .filter(|it| CandleBlock::start_of(it.timestamp_ms) == start_ms)
            .for_each(|tick| assert_eq!(block.add(&tick, false), Added::New));
        let position = SequenceNumber::from(u64::MAX);
        let items = block_items(&StoredBlock { block, position }, START_MS, 30).unwrap();
        let sizes: Vec<usize> = items.iter().map(size_bytes).collect();
        assert!(matches!(sizes[..], [700..1_024]), "{sizes:?}");
    }

    #[test]
    fn members_that_do_not_fit_have_items_of_their_own() {
        let mut stored = stored(3);
        let count = 2 * MEMBERS_PER_ITEM_MAX as u64 + 5;
        stored.block.add_members((0..count).map(Member));
        let items = block_items(&stored, 0, 30).unwrap();
        let items: Vec<Item> = items.into_iter().map(|item| fits(item).unwrap()).collect();
        assert_eq!(items.len(), 3);
        let main = items.last().unwrap();
        let mut read = block_of(main, stored.block.pair()).unwrap();
        let keys = part_keys(main, &read.block).unwrap();
        assert_eq!(keys.len(), 2);
        for (key, item) in keys.iter().zip(&items) {
            assert_eq!((&item[PK], &item[SK]), (&key[PK], &key[SK]));
            read.block.add_members(members_of(item).unwrap());
        }
        assert_eq!(read, stored);
    }
}
