//! Our own CSV: a header, then one tick per row, with columns in any order.
//!
//! Sent as the JSON of the `ticks` webhook, prices as decimal strings.

use std::io::Read;

use chrono::DateTime;
use domain::{
    Method, Price, Quality, SEQUENCE_MAX, SourceName, TIMESTAMP_MS_MIN, TickId, Token, Volume,
};

use super::whole_number::whole_number;
use super::{ReadError, Records, Row, RowPosition, Rows};

/// The webhook of the rows.
pub(super) const SOURCE: &str = "ticks";

const REQUIRED: [&str; 3] = ["token", "price", "timestamp"];
const OPTIONAL: [&str; 9] = [
    "quote", "volume", "source", "id", "tick_id", "slot", "method", "sequence", "quality",
];

/// Further columns in exports of the archive or the API; the server sets them itself.
const DERIVED: [&str; 6] = ["ingested_at", "version", "year", "month", "day", "salt"];

/// The archive's name for `timestamp`, which is a keyword there.
const TIMESTAMP_IN_ARCHIVE: &str = "ts";

/// Opens the rows. A header with a missing or unknown column is an error before the first row.
#[must_use]
pub fn rows(input: Box<dyn Read + Send>) -> Rows {
    let mut records = Records::new(input);
    let mut header: Option<Vec<String>> = None;
    Box::new(std::iter::from_fn(move || {
        if header.is_none() {
            let names = match records.next()? {
                Ok((place, names)) => check_header(place.line, &names),
                // A file whose header cannot be read has no rows that could be skipped.
                Err(error) => Err(ReadError::File(format!(
                    "the header cannot be read: {error}"
                ))),
            };
            match names {
                Ok(names) => header = Some(names),
                Err(error) => {
                    records.ended = true;
                    return Some(Err(error));
                }
            }
            records.was_header();
        }
        let header = header.as_deref().unwrap_or_default();
        Some(
            records
                .next()?
                .and_then(|(place, record)| row(place, &record, header)),
        )
    }))
}

fn check_header(line: u64, record: &csv::StringRecord) -> Result<Vec<String>, ReadError> {
    let names: Vec<String> = record
        .iter()
        .map(|name| {
            if name == TIMESTAMP_IN_ARCHIVE {
                "timestamp"
            } else {
                name
            }
        })
        .map(str::to_owned)
        .collect();
    let wrong = |rule: String| {
        Err(ReadError::File(format!(
            "line {line}: {rule}; the columns are {}, and optionally {}",
            REQUIRED.join(", "),
            OPTIONAL.join(", "),
        )))
    };
    if let Some(missing) = REQUIRED
        .iter()
        .find(|name| !names.iter().any(|seen| seen == *name))
    {
        return wrong(format!("the header has no column {missing}"));
    }
    for (position, name) in names.iter().enumerate() {
        let known = |set: &[&str]| set.contains(&name.as_str());
        if !known(&REQUIRED) && !known(&OPTIONAL) && !known(&DERIVED) {
            // A column with a misspelled name must not be ignored silently.
            return wrong(format!("the header has an unknown column `{name}`"));
        }
        if names.iter().take(position).any(|earlier| earlier == name) {
            return wrong(format!("the header has the column {name} twice"));
        }
    }
    Ok(names)
}

fn row(
    place: RowPosition,
    record: &csv::StringRecord,
    header: &[String],
) -> Result<Row, ReadError> {
    let broken = |rule: String| ReadError::Row { place, rule };
    if record.len() != header.len() {
        return Err(broken(format!(
            "it has {} fields, but the header has {}",
            record.len(),
            header.len()
        )));
    }
    let field = |name: &str| {
        let at = header.iter().position(|seen| seen == name)?;
        record.get(at).filter(|text| !text.is_empty())
    };
    let required = |name: &str| field(name).ok_or_else(|| broken(format!("{name} is missing")));
    let (token, price) = (required("token")?, required("price")?);
    let event_ms = time_ms(required("timestamp")?).map_err(broken)?;
    Token::new(token).map_err(|error| broken(format!("token: {error}")))?;
    Price::parse(price).map_err(|error| broken(format!("price: {error}")))?;
    // Names and numbers were checked, so none needs escaping.
    let mut json = format!(r#"{{"token":"{token}","price":"{price}","timestamp":{event_ms}"#);
    if let Some(quote) = field("quote") {
        Token::new(quote).map_err(|error| broken(format!("quote: {error}")))?;
        json.push_str(&format!(r#","quote":"{quote}""#));
    }
    if let Some(volume) = field("volume") {
        Volume::parse(volume).map_err(|error| broken(format!("volume: {error}")))?;
        json.push_str(&format!(r#","volume":"{volume}""#));
    }
    if let Some(source) = field("source") {
        SourceName::new(source).map_err(|error| broken(format!("source: {error}")))?;
        json.push_str(&format!(r#","source":"{source}""#));
    }
    if let Some(id) = field("id") {
        let id = serde_json::to_string(id).map_err(|error| broken(format!("id: {error}")))?;
        json.push_str(&format!(r#","id":{id}"#));
    }
    if let Some(tick_id) = field("tick_id") {
        TickId::parse(tick_id).map_err(|error| broken(format!("tick_id: {error}")))?;
        json.push_str(&format!(r#","tick_id":"{tick_id}""#));
    }
    if let Some(slot) = field("slot") {
        let slot: u64 = slot
            .parse()
            .map_err(|error| broken(format!("slot: {error}")))?;
        json.push_str(&format!(r#","slot":{slot}"#));
    }
    if let Some(method) = field("method") {
        let method: Method = method
            .parse()
            .map_err(|error| broken(format!("method: {error}")))?;
        json.push_str(&format!(r#","method":"{method}""#));
    }
    if let Some(sequence) = field("sequence") {
        let sequence = whole_number(sequence)
            .filter(|number| *number <= SEQUENCE_MAX)
            .ok_or_else(|| {
                broken(format!(
                    "sequence `{sequence}` is not a whole number from 0 to {SEQUENCE_MAX}"
                ))
            })?;
        json.push_str(&format!(r#","sequence":{sequence}"#));
    }
    if let Some(quality) = field("quality") {
        let quality: Quality = quality
            .parse()
            .map_err(|error| broken(format!("quality: {error}")))?;
        json.push_str(&format!(r#","quality":"{}""#, quality.as_str()));
    }
    json.push('}');
    Ok(Row {
        source: SOURCE,
        place,
        event_ms,
        json,
    })
}

fn time_ms(text: &str) -> Result<i64, String> {
    let time_ms = match text.parse::<i64>() {
        Ok(time_ms) => time_ms,
        Err(_) => DateTime::parse_from_rfc3339(text)
            .map_err(|_| {
                format!(
                    "timestamp `{text}` is neither milliseconds since the epoch nor RFC 3339, \
                     such as 2021-01-08T00:00:00.278Z"
                )
            })?
            .timestamp_millis(),
    };
    if time_ms < TIMESTAMP_MS_MIN {
        return Err(format!(
            "timestamp `{text}` is before the year 2000: use milliseconds, not seconds"
        ));
    }
    Ok(time_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&str, &str>) {
        let seen = rows(Box::new(std::io::Cursor::new(text.as_bytes().to_vec())))
            .last()
            .unwrap();
        match (seen, expected) {
            (Ok(row), Ok(json)) => assert_eq!(row.json, json),
            (Err(error), Err(part)) => {
                assert!(error.to_string().contains(part), "{text}: {error}");
            }
            (seen, _) => panic!("{text}: {seen:?}"),
        }
    }

    #[test]
    fn ticks_keep_their_digits_and_omit_empty_fields() {
        check(
            "token,price,timestamp\nBTC,39432.4800,1610064000278\n",
            Ok(r#"{"token":"BTC","price":"39432.4800","timestamp":1610064000278}"#),
        );
        check(
            "id,source,volume,quote,timestamp,price,token\n\"a\"\"b\",me:x,0.10,USD,2021-01-08T00:00:00.278Z,1.9e-5,BTC\n",
            Ok(
                r#"{"token":"BTC","price":"1.9e-5","timestamp":1610064000278,"quote":"USD","volume":"0.10","source":"me:x","id":"a\"b"}"#,
            ),
        );
        check(
            "tick_id,token,price,ts,volume,ingested_at,slot,method\n\
             000102030405060708090a0b0c0d0e0f,BTC,1,2021-01-08T01:00:00+01:00,,1,250,swap_event\n",
            Ok(
                r#"{"token":"BTC","price":"1","timestamp":1610064000000,"tick_id":"000102030405060708090a0b0c0d0e0f","slot":250,"method":"swap_event"}"#,
            ),
        );
    }

    #[test]
    fn invalid_headers_and_rows_are_refused_with_the_rule() {
        check("token,price\nBTC,1\n", Err("no column timestamp"));
        check("token,price,timestamp,vol\n", Err("unknown column `vol`"));
        check("token,price,timestamp,token\n", Err("token twice"));
        check("token,price,timestamp,ts\n", Err("timestamp twice"));
        let utf_16: Vec<u8> = "\u{feff}token,price,timestamp\nA,1,1610064000278\n"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        let seen: Vec<_> = rows(Box::new(std::io::Cursor::new(utf_16))).collect();
        let [Err(ReadError::File(rule))] = seen.as_slice() else {
            panic!("an unreadable header is not a bad row: {seen:?}");
        };
        assert!(
            rule.contains("header") && rule.contains("not UTF-8"),
            "{rule}"
        );
        let derived =
            |column: &str| format!("token,price,timestamp,{column}\nBTC,1,1610064000278,x\n");
        check(&derived("tick_id"), Err("line 2: tick_id:"));
        check(&derived("slot"), Err("line 2: slot:"));
        check(&derived("method"), Err("line 2: method:"));
        check(&derived("sequence"), Err("line 2: sequence `x` is not"));
        check(&derived("quality"), Err("line 2: quality:"));
        let row = |row: &str| format!("token,price,timestamp,volume\n{row}\n");
        check(
            &row("B C,1,1610064000278,"),
            Err("line 2: token: a name has"),
        );
        check(&row("BTC,NaN,1610064000278,"), Err("line 2: price:"));
        check(
            &row("BTC,1,1610064000,"),
            Err("line 2: timestamp `1610064000` is before"),
        );
        check(&row("BTC,1,yesterday,"), Err("RFC 3339"));
        check(&row("BTC,1,1610064000278,x"), Err("line 2: volume:"));
        check(
            &row("BTC,1"),
            Err("line 2: it has 2 fields, but the header has 4"),
        );
        check(&row(",1,1610064000278,"), Err("line 2: token is missing"));
    }

    #[test]
    fn a_sequence_and_a_quality_are_sent() {
        check(
            "token,price,timestamp,sequence,quality\nBTC,1,1610064000278,17,low_precision\n",
            Ok(
                r#"{"token":"BTC","price":"1","timestamp":1610064000278,"sequence":17,"quality":"low_precision"}"#,
            ),
        );
        check(
            "token,price,timestamp,sequence,quality\nBTC,1,1610064000278,,\n",
            Ok(r#"{"token":"BTC","price":"1","timestamp":1610064000278}"#),
        );
    }

    #[test]
    fn lines_are_counted_alike_whatever_ends_them() {
        let rows_of = |end: &str| {
            let text = [
                "token,price,timestamp",
                "A,1,1610064000278",
                "A,2,1610064000279",
                "",
            ];
            let input = Box::new(std::io::Cursor::new(text.join(end).into_bytes()));
            rows(input).map(Result::unwrap).collect::<Vec<_>>()
        };
        for end in ["\n", "\r\n", "\r"] {
            let places: Vec<_> = rows_of(end)
                .iter()
                .map(|row| (row.place.number, row.place.line))
                .collect();
            assert_eq!(places, [(1, 2), (2, 3)], "{end:?}");
        }
        check(
            "token,price,timestamp\r\nA,1,1610064000278\r\nA,2,1610064000279\r\nA,x,1610064000280\r\n",
            Err("line 4: price"),
        );
    }

    #[test]
    fn lines_without_a_row_of_their_own_are_counted() {
        for end in ["\n", "\r\n", "\r"] {
            let lines = [
                "",
                "token,price,timestamp,id",
                "",
                "",
                "A,1,1610064000278,\"a quoted",
                "",
                "id\"",
                "\"A\",2,1610064000279,",
                "",
                "A,x,1610064000280,",
            ];
            let text = lines.join(end).into_bytes();
            let seen: Vec<_> = rows(Box::new(std::io::Cursor::new(text))).collect();
            let places: Vec<_> = seen
                .iter()
                .map(|row| match row {
                    Ok(row) => (row.place.number, row.place.line),
                    Err(ReadError::Row { place, .. }) => (place.number, place.line),
                    Err(ReadError::File(rule)) => panic!("{rule}"),
                })
                .collect();
            assert_eq!(places, [(1, 5), (2, 8), (3, 10)], "{end:?}");
            let offset = lines[..7].join(end).len() + end.len();
            assert_eq!(seen[1].as_ref().unwrap().place.offset_bytes, offset as u64);
        }
        check(
            "\n\r\ntoken,price\n",
            Err("line 3: the header has no column"),
        );
    }

    #[test]
    fn an_empty_file_has_no_rows() {
        assert_eq!(rows(Box::new(std::io::empty())).count(), 0);
    }
}
