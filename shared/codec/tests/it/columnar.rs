use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Float64Type, Int64Type};
use codec::columnar::{record_batch, schema, ticks};
use codec::error::CodecError;
use domain::{Price, Quality, Tick, Volume};
use proptest::prelude::*;

use crate::arbitrary::{swap, tick, ticker};

proptest! {
    #[test]
    fn ticks_round_trip_except_for_digits_beyond_a_double(
        given in proptest::collection::vec(tick(), 0..20),
    ) {
        let back = ticks(&record_batch(&given).unwrap()).unwrap();
        let same = |a: f64, b: f64| (a - b).abs() <= a.abs() * 1e-15 + 1e-28;
        prop_assert_eq!(back.len(), given.len());
        for (back, given) in back.iter().zip(&given) {
            prop_assert!(same(back.price.to_f64(), given.price.to_f64()), "{} {}", back.price, given.price);
            let volumes = (back.volume.map(Volume::to_f64), given.volume.map(Volume::to_f64));
            prop_assert!(matches!(volumes, (None, None)) || matches!(volumes, (Some(a), Some(b)) if same(a, b)));
            let slot = given.slot.filter(|slot| i64::try_from(*slot).is_ok());
            let rest = Tick { price: given.price, volume: given.volume, ..back.clone() };
            prop_assert_eq!(rest, Tick { slot, ..given.clone() });
        }
    }
}

#[test]
fn prices_of_up_to_fifteen_digits_round_trip_exactly() {
    for price in [
        "39432.48",
        "0.00001913482756",
        "999999999999999",
        "0.0000000000000000000000000001",
    ] {
        let given = Tick {
            price: Price::parse(price).unwrap(),
            ..swap()
        };
        let back = ticks(&record_batch(std::slice::from_ref(&given)).unwrap()).unwrap();
        assert_eq!(back, [given]);
    }
}

#[test]
fn values_are_in_their_columns() {
    let batch = record_batch(&[swap(), ticker()]).unwrap();
    let column = |name: &str| batch.column_by_name(name).unwrap();
    assert_eq!(
        column("ts").as_primitive::<Int64Type>().value(0),
        1_790_000_000_000
    );
    assert_eq!(
        column("ingested_at").as_primitive::<Int64Type>().value(0),
        1_790_000_000_456
    );
    assert_eq!(
        column("price").as_primitive::<Float64Type>().value(1),
        39_432.48
    );
    assert_eq!(column("volume").is_null(1), ticker().volume.is_none());
    assert_eq!(column("method").as_string::<i32>().value(1), "ticker");
    assert_eq!(column("version").as_string::<i32>().value(1), "1.1");
}

#[test]
fn the_columns_of_version_1_1_may_be_missing_or_null() {
    let given = [swap(), ticker()].map(|tick| Tick {
        sequence: Some(7),
        quality: Some(Quality::LowPrecision),
        ..tick
    });
    let batch = record_batch(&given).unwrap();
    assert_eq!(ticks(&batch).unwrap(), given);
    let count = schema().fields().len();
    let of_1_0: Vec<usize> = (0..count - 2).collect();
    let without = given.clone().map(|tick| Tick {
        sequence: None,
        quality: None,
        ..tick
    });
    assert_eq!(ticks(&batch.project(&of_1_0).unwrap()).unwrap(), without);
    assert_eq!(ticks(&record_batch(&without).unwrap()).unwrap(), without);
    let sequence = batch.column(count - 2).as_primitive::<Int64Type>();
    let quality = batch.column(count - 1).as_string::<i32>();
    assert_eq!((sequence.value(0), quality.value(1)), (7, "low_precision"));
}

#[test]
fn a_batch_without_a_column_names_it() {
    let batch = record_batch(&[swap()]).unwrap();
    let without: Vec<usize> = (0..schema().fields().len()).filter(|i| *i != 5).collect();
    let error = ticks(&batch.project(&without).unwrap()).unwrap_err();
    assert!(matches!(error, CodecError::Column("ts")), "{error}");
}

#[test]
fn a_null_in_a_required_column_is_named_with_its_row() {
    let batch = record_batch(&[swap(), ticker()]).unwrap();
    let nullable: Vec<_> = schema()
        .fields()
        .iter()
        .map(|f| f.as_ref().clone().with_nullable(true))
        .collect();
    let mut columns = batch.columns().to_vec();
    columns[3] = std::sync::Arc::new(arrow::array::Float64Array::from(vec![Some(1.0), None]));
    let schema = std::sync::Arc::new(arrow::datatypes::Schema::new(nullable));
    let error = ticks(&RecordBatch::try_new(schema, columns).unwrap()).unwrap_err();
    assert!(
        matches!(
            error,
            CodecError::Null {
                column: "price",
                row: 1
            }
        ),
        "{error}"
    );
}
