//! Binance's trade dumps: CSV, with a header (futures, and copies with names) or without (spot, and
//! older futures).
//!
//! Sent as the `trade` messages of Binance's stream, to the webhook of their market: the spot market
//! and USD-M futures share symbols and trade numbers.

use std::io::Read;

use domain::{Price, TIMESTAMP_MS_MIN, Volume};

use super::binance_market::{Signs, market, source};
use super::binance_symbol::{given_symbol, symbol_in};
use super::whole_number::whole_number;
use super::{About, ReadError, Records, Row, RowPosition, Rows};

/// Times from here on are microseconds (spot dumps since 2025): in milliseconds, this would be the
/// year 5138.
const TIME_US_MIN: i64 = 100_000_000_000_000;

/// Times from here on are neither milliseconds nor microseconds.
const TIME_US_MAX: i64 = 100_000_000_000_000_000;

/// Columns of a dump without a header: spot trades have 7, futures trades 6.
const COLUMNS_MIN: usize = 6;
const COLUMNS_MAX: usize = 7;

/// The positions of the fields in a row.
#[derive(Debug, Clone, Copy)]
struct Columns {
    id: usize,
    price: usize,
    quantity: usize,
    time: usize,
    /// Whether the buyer was the maker.
    maker: Option<usize>,
    /// Whether the price was the best match, which only spot trades have.
    best_match: Option<usize>,
    /// The amount of the base, which only COIN-M trades have in place of that of the quote.
    base_quantity: Option<usize>,
    /// Whether they come from a header; then other columns are allowed.
    named: bool,
}

impl Columns {
    /// What the first row shows of its market.
    fn signs<'a>(self, record: &'a csv::StringRecord, symbol: &'a str) -> Signs<'a> {
        let field = |at: Option<usize>| record.get(at?);
        Signs {
            symbol,
            has_base_quantity: self.base_quantity.is_some(),
            maker: field(self.maker),
            has_best_match: field(self.best_match).is_some(),
        }
    }
}

const POSITIONS: Columns = Columns {
    id: 0,
    price: 1,
    quantity: 2,
    time: 4,
    maker: Some(5),
    best_match: Some(6),
    base_quantity: None,
    named: false,
};

/// Opens the rows of a dump.
///
/// # Errors
/// [`ReadError::File`] if neither `--symbol` nor the file's name has a symbol.
pub fn rows(input: Box<dyn Read + Send>, about: About<'_>) -> Result<Rows, ReadError> {
    let symbol = match about.symbol {
        Some(symbol) => given_symbol(symbol)?,
        None => symbol_in(about.file_name)?,
    };
    let given = about.market;
    let mut records = Records::new(input);
    let (mut columns, mut known) = (None, None);
    Ok(Box::new(std::iter::from_fn(move || {
        let (mut place, mut record) = match records.next()? {
            Ok(record) => record,
            Err(error) => return Some(Err(error)),
        };
        if columns.is_none() && record.get(0).is_some_and(|field| !is_number(field)) {
            match header(&record) {
                Ok(named) => columns = Some(named),
                Err(error) => {
                    records.ended = true;
                    return Some(Err(error));
                }
            }
            records.was_header();
            (place, record) = match records.next()? {
                Ok(record) => record,
                Err(error) => return Some(Err(error)),
            };
        }
        let columns = *columns.get_or_insert(POSITIONS);
        let (event_ms, json) = match message(place, &record, columns, &symbol) {
            Ok(read) => read,
            Err(error) => return Some(Err(error)),
        };
        let market = match known {
            Some(market) => market,
            // The first good row shows the market of all.
            None => match market(given, columns.signs(&record, &symbol)) {
                Ok(market) => *known.insert(market),
                Err(error) => {
                    records.ended = true;
                    return Some(Err(error));
                }
            },
        };
        Some(Ok(Row {
            source: source(market),
            place,
            event_ms,
            json,
        }))
    })))
}

/// The event time and the message of a row.
fn message(
    place: RowPosition,
    record: &csv::StringRecord,
    columns: Columns,
    symbol: &str,
) -> Result<(i64, String), ReadError> {
    let broken = |rule: String| ReadError::Row { place, rule };
    if !columns.named && !(COLUMNS_MIN..=COLUMNS_MAX).contains(&record.len()) {
        return Err(broken(format!(
            "a row of a file without a header must have {COLUMNS_MIN} or {COLUMNS_MAX} fields \
             (id, price, qty, quote_qty, time, …), not {}",
            record.len()
        )));
    }
    let field = |name: &str, at: usize| {
        record
            .get(at)
            .filter(|text| !text.is_empty())
            .ok_or_else(|| broken(format!("{name} is missing")))
    };
    let (id, price) = (field("id", columns.id)?, field("price", columns.price)?);
    let (quantity, time) = (
        field("qty", columns.quantity)?,
        field("time", columns.time)?,
    );
    let id = whole_number(id).ok_or_else(|| broken(format!("id `{id}` is not a whole number")))?;
    // Sent as text with the same digits, including float artifacts.
    Price::parse(price).map_err(|error| broken(format!("price: {error}")))?;
    Volume::parse(quantity).map_err(|error| broken(format!("qty: {error}")))?;
    let event_ms = time_ms(time).map_err(broken)?;
    let json = format!(
        r#"{{"e":"trade","E":{event_ms},"s":"{symbol}","t":{id},"p":"{price}","q":"{quantity}","T":{event_ms}}}"#
    );
    Ok((event_ms, json))
}

/// Distinguishes milliseconds from microseconds by their size.
fn time_ms(text: &str) -> Result<i64, String> {
    let wrong =
        || format!("time `{text}` is not a time in milliseconds or microseconds since the epoch");
    if !is_number(text) {
        return Err(wrong());
    }
    let time: i64 = text.parse().map_err(|_| wrong())?;
    let time_ms = match time {
        TIME_US_MIN..TIME_US_MAX => time / 1_000,
        TIMESTAMP_MS_MIN..TIME_US_MIN => time,
        _ => return Err(wrong()),
    };
    if time_ms < TIMESTAMP_MS_MIN {
        Err(wrong())
    } else {
        Ok(time_ms)
    }
}

fn header(record: &csv::StringRecord) -> Result<Columns, ReadError> {
    let at = |names: &[&str]| record.iter().position(|name| names.contains(&name));
    let columns = (
        at(&["id", "trade_id"]),
        at(&["price"]),
        at(&["qty", "quantity"]),
        at(&["time"]),
    );
    let (Some(id), Some(price), Some(quantity), Some(time)) = columns else {
        let seen = record.iter().collect::<Vec<_>>().join(",");
        return Err(ReadError::File(format!(
            "line 1: a header of Binance trades must name id, price, qty and time, but this one \
             is `{}`",
            seen.chars().take(200).collect::<String>()
        )));
    };
    Ok(Columns {
        id,
        price,
        quantity,
        time,
        maker: at(&["is_buyer_maker", "isBuyerMaker"]),
        best_match: at(&["is_best_match", "isBestMatch", "best_match"]),
        base_quantity: at(&["base_qty", "baseQty"]),
        named: true,
    })
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::super::Market;
    use super::*;

    const HEADER: &str = "id,price,qty,quote_qty,time,is_buyer_maker\n";

    fn read(text: &str) -> Vec<Result<Row, ReadError>> {
        let input = Box::new(std::io::Cursor::new(text.as_bytes().to_vec()));
        let about = About {
            market: Some(Market::Spot),
            ..of("BTCUSDT.csv")
        };
        rows(input, about).unwrap().collect()
    }

    fn of(file_name: &str) -> About<'_> {
        About {
            file_name,
            ..About::default()
        }
    }

    fn check(text: &str, expected: Result<&str, &str>) {
        let seen = read(text).pop().unwrap();
        match (seen, expected) {
            (Ok(row), Ok(json)) => assert_eq!(row.json, json),
            (Err(error), Err(part)) => {
                assert!(error.to_string().contains(part), "{text}: {error}");
            }
            (seen, _) => panic!("{text}: {seen:?}"),
        }
    }

    #[test]
    fn trades_become_messages_with_their_digits() {
        check(
            &format!(
                "{HEADER}553287561,39439.22,0.00031099999999999997,12.26,1610064000368,False\n"
            ),
            Ok(
                r#"{"e":"trade","E":1610064000368,"s":"BTCUSDT","t":553287561,"p":"39439.22","q":"0.00031099999999999997","T":1610064000368}"#,
            ),
        );
        check(
            "5,1e-05,3.0,0.1,1736294400368123,true,true\n",
            Ok(
                r#"{"e":"trade","E":1736294400368,"s":"BTCUSDT","t":5,"p":"1e-05","q":"3.0","T":1736294400368}"#,
            ),
        );
        check(
            "\u{feff}time,qty,extra,price,id\r\n1610064000368, 2 ,x,10,007\r\n",
            Ok(
                r#"{"e":"trade","E":1610064000368,"s":"BTCUSDT","t":7,"p":"10","q":"2","T":1610064000368}"#,
            ),
        );
    }

    #[test]
    fn broken_rows_name_their_line_and_rule() {
        let after_header = |row: &str| format!("{HEADER}1,1,1,1,1610064000278,True\n{row}\n");
        check(
            &after_header("x,1,1,1,1610064000278,True"),
            Err("line 3: id `x`"),
        );
        check(
            &after_header("2,0,1,1,1610064000278,True"),
            Err("line 3: price: a price must be"),
        );
        check(
            &after_header("2,1,-1,1,1610064000278,True"),
            Err("line 3: qty: a volume must"),
        );
        check(
            &after_header("2,1,1,1,1610064000,True"),
            Err("line 3: time `1610064000`"),
        );
        check(
            &after_header("2,1,1,1,1610064000278000000,True"),
            Err("line 3: time"),
        );
        check(&after_header("2,1,1"), Err("line 3: time is missing"));
        check(
            &after_header("2,,1,1,1610064000278,True"),
            Err("line 3: price is missing"),
        );
        check("1,1,1,5,6,1610064000278,true,true\n", Err("6 or 7 fields"));
        check(
            "name,value\na,1\n",
            Err("must name id, price, qty and time"),
        );
    }

    #[test]
    fn bytes_that_are_not_text_are_one_bad_row() {
        let input =
            b"1,1,1,1,1610064000278,True\n2,\xff,1,1,1610064000278,True\n3,1,1,1,1610064000278,True\n";
        let seen: Vec<_> = rows(Box::new(std::io::Cursor::new(input)), of("BTCUSDT"))
            .unwrap()
            .collect();
        assert_eq!(
            seen.iter().map(Result::is_ok).collect::<Vec<_>>(),
            [true, false, true]
        );
        assert_eq!(seen[2].as_ref().unwrap().place.number, 3);
    }

    #[test]
    fn the_market_is_recognized_in_the_first_row_or_given() {
        let sources = |text: &str, symbol: &str, market: Option<Market>| {
            let input = Box::new(std::io::Cursor::new(text.as_bytes().to_vec()));
            let about = About {
                market,
                symbol: Some(symbol),
                ..About::default()
            };
            let rows = rows(input, about).unwrap();
            rows.map(|row| row.map_or_else(|error| error.to_string(), |row| row.source.to_owned()))
                .collect::<Vec<_>>()
        };
        let spot =
            "7,30.1,1.5,45.15,1598918400000,True,True\n8,30.2,1,30.2,1598918400000,False,True\n";
        let futures = "7,29.9,0.5,14.95,1598918400000,true\n8,29.8,1,29.8,1598918400000,false\n";
        for (text, symbol, market, expected) in [
            (spot.to_owned(), "BTCUSDT", None, "binance"),
            (futures.to_owned(), "BTCUSDT", None, "binance-usdm"),
            (
                format!("{HEADER}{futures}"),
                "BTCUSDT",
                None,
                "binance-usdm",
            ),
            (futures.to_owned(), "BTCUSD_PERP", None, "binance-coinm"),
            (
                format!("id,price,qty,base_qty,time,is_buyer_maker\n{futures}"),
                "BTCUSD_240628",
                None,
                "binance-coinm",
            ),
            (futures.to_owned(), "BTCUSDT", Some(Market::Spot), "binance"),
            (
                spot.to_owned(),
                "BTCUSDT",
                Some(Market::Usdm),
                "binance-usdm",
            ),
        ] {
            assert_eq!(sources(&text, symbol, market), [expected; 2], "{text}");
        }
        for text in [
            // Spot dumps since 2025, a copy without the last column, one with other names.
            "7,30.1,1.5,45.15,1736294400368123,true,true\n".to_owned(),
            format!("{HEADER}7,30.1,1.5,45.15,1598918400000,True\n"),
            "id,price,qty,quoteQty,time,isBuyerMaker,isBestMatch\n7,30.1,1.5,45.15,1598918400000,true,true\n"
                .to_owned(),
        ] {
            assert_eq!(sources(&text, "BTCUSDT", None), ["binance"], "{text}");
        }
        // Nothing is read of a file that may be of any market.
        let unclear = "id,price,qty,time\n7,30.1,1.5,1598918400000\n8,30.1,1.5,1598918400000\n";
        let seen = sources(unclear, "BTCUSDT", None);
        assert!(seen.len() == 1 && seen[0].contains("--market"), "{seen:?}");
        let seen = sources(unclear, "BTCUSDT", Some(Market::Spot));
        assert_eq!(seen, ["binance"; 2]);
    }

    #[test]
    fn rows_count_from_one_after_the_header() {
        let seen = read(&format!("{HEADER}1,1,1,1,1610064000278,True\n"));
        let place = RowPosition {
            number: 1,
            line: 2,
            offset_bytes: HEADER.len() as u64,
        };
        assert_eq!(seen[0].as_ref().unwrap().place, place);
    }
}
