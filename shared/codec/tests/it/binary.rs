use codec::binary::{decode, decode_block, encode, encode_block};
use codec::error::CodecError;
use codec::json::from_json;
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

/// What release 1.0 wrote, before ticks had `sequence` and `quality`: records, their JSON, and a block.
#[test]
fn what_release_1_0_wrote_is_read_without_the_later_fields() {
    let bytes = |hex: &str| -> Vec<u8> {
        let pairs = (0..hex.len()).step_by(2);
        let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        pairs.map(byte).collect()
    };
    let mut of_records = Vec::new();
    for (record, json) in RELEASE_1_0 {
        let record = bytes(record);
        let tick = decode(&record).unwrap();
        assert_eq!((tick.sequence, tick.quality), (None, None));
        assert_eq!(encoded(&tick), record, "such a tick has the same bytes now");
        assert!(json.contains(r#""version":"1.0""#));
        assert_eq!(from_json(json.as_bytes()).unwrap(), tick);
        of_records.push(tick);
    }
    let block = bytes(RELEASE_1_0_BLOCK);
    let ticks = decode_block(&block).unwrap();
    assert_eq!(ticks.len(), 4);
    assert_eq!(ticks[..2], of_records);
    assert!(
        ticks
            .iter()
            .all(|tick| tick.sequence.is_none() && tick.quality.is_none())
    );
    assert_eq!(encode_block(&ticks), block);
}

const RELEASE_1_0: [(&str, &str); 2] = [
    (
        "01412bf5799088350a0925c581fc2d6c24ce8090c0d99867f40301ed862a021904008b6b72616b656e3a73706f74",
        r#"{"tick_id":"2bf5799088350a0925c581fc2d6c24ce","token":"BTC","quote":"USD","price":"68900.5","volume":"0.25","timestamp":1772841600000,"ingested_at":1772841600250,"source":"kraken:spot","method":"trade","version":"1.0"}"#,
    ),
    (
        "0185857befbf66f22999814927f6b3e6afc98290c0d99867f403029c738088debe0109008e68656c6975733a7261796469756d",
        r#"{"tick_id":"857befbf66f22999814927f6b3e6afc9","token":"So11111111111111111111111111111111111111112","quote":"USD","price":"147.48","timestamp":1772841600001,"ingested_at":1772841600251,"source":"helius:raydium","slot":400000000,"method":"swap_event","version":"1.0"}"#,
    ),
];
const RELEASE_1_0_BLOCK: &str = "0203040009028b6b72616b656e3a73706f748e68656c6975733a7261796469756d04412bf5799088350a0925c581fc2d6c24ce8090c0d99867f40301ed862a021900010085857befbf66f22999814927f6b3e6afc98290c0d99867f403029c738088debe01020101410ab3e295841f6ac9b9f0a11f92dcb1fc8490c0d99867f40301ed862a021900010085392c67254537919704f58109a28c352c8690c0d99867f403029c738088debe01020101";

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
