//! The format readers on real files, if they are available.

use std::fs::File;
use std::path::PathBuf;

use proptest::prelude::*;
use tickctl::formats::{About, Format, Row};

/// A real file; if it is missing, prints that and returns `None`.
pub(crate) fn real(name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/data/trades")
        .join(name);
    if path.is_file() {
        return Some(path);
    }
    eprintln!("SKIPPED: the real file {} is missing", path.display());
    None
}

fn rows(format: Format, name: &str) -> Option<Vec<Row>> {
    let input = Box::new(File::open(real(name)?).unwrap());
    Some(
        format
            .rows(
                input,
                About {
                    file_name: name,
                    ..About::default()
                },
            )
            .unwrap()
            .map(Result::unwrap)
            .collect(),
    )
}

#[test]
fn every_binance_trade_is_read_with_its_digits() {
    let name = "binance-BTCUSDT-2021-01-08.csv";
    let Some(rows) = rows(Format::BinanceTrades, name) else {
        return;
    };
    assert_eq!(rows.len(), 2_001);
    assert_eq!(
        rows[2].json,
        r#"{"e":"trade","E":1610064000368,"s":"BTCUSDT","t":553287561,"p":"39439.22","q":"0.00031099999999999997","T":1610064000368}"#
    );
    let last = rows.last().unwrap();
    assert_eq!(
        (last.place.number, last.place.line, last.event_ms),
        (2_001, 2_002, 1_610_064_046_355)
    );
    assert!(rows.is_sorted_by_key(|row| row.place.offset_bytes));
}

#[test]
fn every_kraken_trade_is_read_with_its_digits() {
    let name = "kraken-XBTUSDT-trades.json";
    let Some(rows) = rows(Format::KrakenTrades, name) else {
        return;
    };
    assert_eq!(rows.len(), 1_000);
    assert_eq!(
        rows[0].json,
        r#"{"symbol":"BTC/USDT","price":105433.60000,"qty":0.00027625,"timestamp":"2025-11-10T17:23:53.9717445Z","side":"buy","trade_id":10218208}"#
    );
    assert_eq!(
        (rows[0].place.line, rows[0].event_ms),
        (5, 1_762_795_433_971)
    );
    let last = rows.last().unwrap();
    assert!(
        last.json.ends_with(r#""side":"sell","trade_id":10219207}"#),
        "{}",
        last.json
    );
    assert!(rows.is_sorted_by_key(|row| row.place.offset_bytes));
}

/// Fields of a row: good ones, near misses, and characters that could break out of a JSON text.
fn field() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("1610064000278".to_owned()),
        Just("39432.48".to_owned()),
        Just("BTC".to_owned()),
        r#"[0-9]{1,20}"#,
        r#"-?[0-9.eE+]{0,12}"#,
        r#"[A-Za-z"\\,{}\[\]:\u{0}-\u{20}é]{0,12}"#,
    ]
}

fn csv(rows: &[Vec<String>], header: &str) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new()
        .flexible(true)
        .from_writer(Vec::new());
    for row in rows {
        writer.write_record(row).unwrap();
    }
    [header.as_bytes(), &writer.into_inner().unwrap()].concat()
}

fn json_of_good_rows_is_valid(format: Format, symbol: Option<&str>, file: Vec<u8>) {
    let Ok(rows) = format.rows(
        Box::new(std::io::Cursor::new(file)),
        About {
            symbol,
            ..About::default()
        },
    ) else {
        return;
    };
    let good: Vec<Row> = rows.filter_map(Result::ok).collect();
    let body = format.delivery(&good);
    let value: serde_json::Value =
        serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}"));
    let entries = value
        .as_array()
        .or_else(|| value["data"].as_array())
        .unwrap();
    assert_eq!(entries.len(), good.len());
    assert!(entries.iter().all(serde_json::Value::is_object), "{body}");
}

proptest! {
    #[test]
    fn for_any_file_a_delivery_is_json(
        rows in prop::collection::vec(prop::collection::vec(field(), 1..8), 0..6),
        time in "[0-9]{9,11}(\\.[0-9]{0,10})?",
    ) {
        let header = "id,price,qty,quote_qty,time,is_buyer_maker\n";
        json_of_good_rows_is_valid(Format::BinanceTrades, Some("BTCUSDT"), csv(&rows, header));
        json_of_good_rows_is_valid(Format::BinanceTrades, Some("BTCUSDT"), csv(&rows, ""));
        let header = "token,price,timestamp,id\n";
        json_of_good_rows_is_valid(Format::TicksCsv, None, csv(&rows, header));
        let quoted: Vec<_> = rows
            .iter()
            .map(|row| {
                let text = |at: usize| serde_json::to_string(row.get(at).map_or("1", |t| t)).unwrap();
                format!("[{},{},{time},\"b\",\"l\",\"\",{}]", text(0), text(1), text(2))
            })
            .collect();
        let answer = format!(r#"{{"error":[],"result":{{"XBTUSD":[{}]}}}}"#, quoted.join(","));
        json_of_good_rows_is_valid(Format::KrakenTrades, None, answer.into_bytes());
    }

    #[test]
    fn no_bytes_make_a_reader_panic(file in prop::collection::vec(any::<u8>(), 0..200)) {
        json_of_good_rows_is_valid(Format::BinanceTrades, Some("BTCUSDT"), file.clone());
        json_of_good_rows_is_valid(Format::TicksCsv, None, file.clone());
        json_of_good_rows_is_valid(Format::KrakenTrades, None, file);
    }
}
