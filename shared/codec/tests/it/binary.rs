use codec::binary::{decode, decode_block, encode, encode_block};
use codec::error::CodecError;
use domain::Tick;
use proptest::prelude::*;

use crate::arbitrary::{swap, tick, ticker};

fn encoded(tick: &Tick) -> Vec<u8> {
    let mut record = Vec::new();
    encode(tick, &mut record);
    record
}

proptest! {
    #[test]
    fn a_tick_round_trips(tick in tick()) {
        prop_assert_eq!(decode(&encoded(&tick)).unwrap(), tick);
    }

    #[test]
    fn a_block_round_trips(ticks in proptest::collection::vec(tick(), 0..20)) {
        prop_assert_eq!(decode_block(&encode_block(&ticks)).unwrap(), ticks);
    }

    #[test]
    fn a_truncated_or_longer_record_is_refused(tick in tick(), cut in any::<proptest::sample::Index>()) {
        let mut record = encoded(&tick);
        let cut = cut.index(record.len());
        prop_assert!(decode(&record[..cut]).is_err());
        record.push(0);
        prop_assert!(matches!(decode(&record), Err(CodecError::Trailing(1))));
        let mut block = encode_block(&[tick]);
        let cut = cut.min(block.len() - 1);
        prop_assert!(decode_block(&block[..cut]).is_err());
        block.push(0);
        prop_assert!(matches!(decode_block(&block), Err(CodecError::Trailing(1))));
    }

    #[test]
    fn any_bytes_are_a_tick_or_an_error(
        format in 0_u8..4,
        rest in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        // Whatever can be read satisfies the domain's rules, so it can be written again.
        let record = [&[format], &rest[..]].concat();
        if let Ok(tick) = decode(&record) {
            prop_assert_eq!(decode(&encoded(&tick)).unwrap(), tick);
        }
        if let Ok(ticks) = decode_block(&record) {
            prop_assert_eq!(decode_block(&encode_block(&ticks)).unwrap(), ticks);
        }
    }

    #[test]
    fn a_flipped_bit_never_panics(tick in tick(), at in any::<proptest::sample::Index>(), bit in 0..8_u8) {
        let mut block = encode_block(&[tick.clone(), tick.clone()]);
        let at_block = at.index(block.len());
        block[at_block] ^= 1_u8 << bit;
        _ = decode_block(&block);
        let mut record = encoded(&tick);
        let at_record = at.index(record.len());
        record[at_record] ^= 1_u8 << bit;
        _ = decode(&record);
    }
}

#[test]
fn records_are_small() {
    assert!(
        encoded(&swap()).len() <= 120,
        "{} bytes",
        encoded(&swap()).len()
    );
    assert!(
        encoded(&ticker()).len() <= 60,
        "{} bytes",
        encoded(&ticker()).len()
    );
    let block = encode_block(&vec![swap(); 500]);
    assert!(
        block.len() < 500 * 55,
        "{} bytes for 500 swaps",
        block.len()
    );
}

/// Records of published releases must stay readable: these bytes never change.
#[test]
fn the_first_format_stays_readable() {
    let check = |record: &[u8], expected: &str| {
        let hex: String = record.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, expected);
    };
    check(&encoded(&ticker()), TICKER_HEX);
    check(&encode_block(&[swap(), ticker()]), BLOCK_HEX);
}

const TICKER_HEX: &str = "0102736ac2972cd7807006c7c4cc4c7f757780b083c59868900702d0d6f001040091636f696e626173653a65786368616e6765";
const BLOCK_HEX: &str = "0204ac44657a58415a387a37506e726e524a6a7a337758426f52676978436136786a6e423759614231705042323633070400028e68656c6975733a7261796469756d91636f696e626173653a65786368616e676502c5736ac2972cd7807006c7c4cc4c7f757780b083c5986890070e84dcb5900705ff82eeec2cc0c3ebbd0100010002736ac2972cd7807006c7c4cc4c7f757780b083c59868900702d0d6f001020301";

#[test]
fn a_later_format_is_named() {
    let error = decode(&[9, 0, 0]).unwrap_err();
    assert!(
        matches!(error, CodecError::Version { ref found, .. } if found == "9"),
        "{error}"
    );
    assert!(
        decode_block(&encoded(&swap())).is_err(),
        "a tick is not a block"
    );
    assert!(
        decode(&encode_block(&[swap()])).is_err(),
        "a block is not a tick"
    );
}

#[test]
fn a_block_with_a_wrong_tick_count_is_refused_before_memory_is_allocated() {
    let record = [&[2, 0, 0][..], &[0xff; 9], &[0x01]].concat();
    assert!(matches!(
        decode_block(&record),
        Err(CodecError::Code { field: "ticks", .. })
    ));
}
