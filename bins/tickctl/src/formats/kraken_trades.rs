//! Kraken's REST response to `/0/public/Trades`: `result.{pair}` is a list of `[price, volume,
//! time, side, order type, miscellaneous, trade_id]`.
//!
//! Sent as the `trade` updates of Kraken's WebSocket v2, which uses BTC instead of XBT. Older
//! responses have no trade_id; such a trade gets a number from its time, see [`Numbering`].

use std::collections::BTreeMap;
use std::io::Read;

use chrono::{DateTime, SecondsFormat};
use domain::{Price, TIMESTAMP_MS_MIN, Volume};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::kraken_pair::{given_symbol, symbol_of};
use super::whole_number::whole_number;
use super::{ReadError, Row, RowPosition, Rows};

/// The webhook of the rows.
pub(super) const SOURCE: &str = "kraken";

/// The largest file accepted. It is one JSON text, so it is read as a whole. One response of the
/// API has 1,000 trades, about 200 KiB.
const FILE_BYTES_MAX: u64 = 512 * 1_024 * 1_024;

/// The position of a trade's number.
const TRADE_ID_AT: usize = 6;

/// The most digits after the point of a time: nanoseconds.
const FRACTION_DIGITS_MAX: usize = 9;

#[derive(Deserialize)]
struct RestAnswer<'a> {
    #[serde(default)]
    error: Vec<String>,
    #[serde(borrow, default)]
    result: BTreeMap<String, &'a RawValue>,
}

/// Reads the whole response; `symbol` (`BASE/QUOTE`) overrides the pair's name.
///
/// # Errors
/// [`ReadError::File`] if it is not such a response, or reports errors, or has a pair that cannot
/// be split.
pub fn rows(input: Box<dyn Read + Send>, symbol: Option<&str>) -> Result<Rows, ReadError> {
    let mut text = String::new();
    input
        .take(FILE_BYTES_MAX + 1)
        .read_to_string(&mut text)
        .map_err(|error| ReadError::File(format!("the input cannot be read as text: {error}")))?;
    if text.len() as u64 > FILE_BYTES_MAX {
        let rule = format!("the file is larger than {FILE_BYTES_MAX} bytes: split it");
        return Err(ReadError::File(rule));
    }
    let text = text.as_str();
    let unreadable = |error: serde_json::Error| {
        ReadError::File(format!(
            "the file is not a response of Kraken's Trades ({error})"
        ))
    };
    let answer: RestAnswer<'_> = serde_json::from_str(text).map_err(unreadable)?;
    if !answer.error.is_empty() {
        let errors = answer.error.join(", ");
        return Err(ReadError::File(format!(
            "the file has errors from Kraken instead of trades: {errors}"
        )));
    }
    let mut rows = Vec::new();
    let mut cursor = Cursor {
        text,
        offset: 0,
        line: 1,
    };
    let mut pairs = 0;
    for (pair, trades) in answer.result.iter().filter(|(name, _)| *name != "last") {
        pairs += 1;
        let symbol = match symbol {
            Some(symbol) => given_symbol(symbol)?,
            None => symbol_of(pair)?,
        };
        let trades: Vec<&RawValue> = serde_json::from_str(trades.get()).map_err(|error| {
            ReadError::File(format!("result.{pair} is not a list of trades ({error})"))
        })?;
        rows.reserve(trades.len());
        let mut numbering = Numbering::default();
        for trade in trades {
            let (line, offset_bytes) = cursor.find(trade.get());
            let place = RowPosition {
                number: rows.len() as u64 + 1,
                line,
                offset_bytes,
            };
            rows.push(row(place, trade, &symbol, &mut numbering));
        }
    }
    if pairs == 0 {
        return Err(ReadError::File(
            "the file has no `result` with a pair's trades".to_owned(),
        ));
    }
    Ok(Box::new(rows.into_iter()))
}

/// Finds the positions of values in a text by their addresses, and counts lines.
struct Cursor<'a> {
    text: &'a str,
    offset: usize,
    line: u64,
}

impl Cursor<'_> {
    fn find(&mut self, value: &str) -> (u64, u64) {
        let offset = (value.as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize);
        if offset < self.offset {
            (self.offset, self.line) = (0, 1);
        }
        let between = self
            .text
            .as_bytes()
            .get(self.offset..offset)
            .unwrap_or_default();
        self.line += between.iter().filter(|byte| **byte == b'\n').count() as u64;
        self.offset = offset;
        (self.line, offset as u64)
    }
}

fn row(
    place: RowPosition,
    trade: &RawValue,
    symbol: &str,
    numbering: &mut Numbering,
) -> Result<Row, ReadError> {
    let broken = |rule: String| ReadError::Row { place, rule };
    let fields: Vec<&RawValue> = serde_json::from_str(trade.get())
        .map_err(|_| broken("a trade must be a list: price, volume, time, …".to_owned()))?;
    let field = |name: &str, at: usize| {
        let raw = fields
            .get(at)
            .ok_or_else(|| broken(format!("{name} is missing")))?;
        literal(raw.get()).ok_or_else(|| broken(format!("{name} is neither a number nor text")))
    };
    let (price, volume, time) = (field("price", 0)?, field("volume", 1)?, field("time", 2)?);
    Price::parse(price).map_err(|error| broken(format!("price: {error}")))?;
    Volume::parse(volume).map_err(|error| broken(format!("volume: {error}")))?;
    for (name, number) in [("price", price), ("volume", volume)] {
        // Text such as `.5` is a decimal, but not as JSON writes it.
        if serde_json::from_str::<serde_json::Number>(number).is_err() {
            return Err(broken(format!(
                "{name} `{number}` is not written as a JSON number"
            )));
        }
    }
    let time = Time::read(time).ok_or_else(|| {
        broken(format!(
            "time `{time}` is not a time in seconds since the epoch, such as 1762795433.9717445"
        ))
    })?;
    let mut json = format!(
        r#"{{"symbol":"{symbol}","price":{price},"qty":{volume},"timestamp":"{}""#,
        time.rfc3339
    );
    if let Some(side) = side_of(&fields) {
        json.push_str(&format!(r#","side":"{side}""#));
    }
    let trade_id = if fields.len() > TRADE_ID_AT {
        let id = field("trade_id", TRADE_ID_AT)?;
        // Written as a number: a text may have leading zeros, but a JSON number may not.
        whole_number(id).ok_or_else(|| broken(format!("trade_id `{id}` is not a whole number")))?
    } else {
        numbering.next(time.nanos)
    };
    json.push_str(&format!(r#","trade_id":{trade_id}"#));
    json.push('}');
    Ok(Row {
        source: SOURCE,
        place,
        event_ms: time.ms,
        json,
    })
}

/// Numbers trades without a trade_id, the same way for the same file: the time in nanoseconds, plus
/// the number of earlier trades of the same time. Kraken's own numbers are far smaller, and its
/// times are equal or at least 100 ns apart, so two trades never share a number.
#[derive(Debug, Default)]
struct Numbering {
    nanos: u64,
    same: u64,
}

impl Numbering {
    fn next(&mut self, nanos: u64) -> u64 {
        self.same = if nanos == self.nanos {
            self.same + 1
        } else {
            0
        };
        self.nanos = nanos;
        nanos.saturating_add(self.same)
    }
}

fn side_of(fields: &[&RawValue]) -> Option<&'static str> {
    match literal(fields.get(3)?.get())? {
        "b" => Some("buy"),
        "s" => Some("sell"),
        _ => None,
    }
}

/// The literal digits of a number, or the characters of a text without escapes.
fn literal(raw: &str) -> Option<&str> {
    if raw.starts_with('"') {
        return serde_json::from_str(raw).ok();
    }
    raw.starts_with(|c: char| c == '-' || c.is_ascii_digit())
        .then_some(raw)
}

/// Seconds with a fraction, read from the literal digits, so none are rounded to a double.
#[derive(Debug, PartialEq, Eq)]
struct Time {
    ms: i64,
    nanos: u64,
    /// With the complete fraction.
    rfc3339: String,
}

impl Time {
    fn read(text: &str) -> Option<Self> {
        let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if seconds.is_empty() || !digits(seconds) || !digits(fraction) {
            return None;
        }
        if text.ends_with('.') || fraction.len() > FRACTION_DIGITS_MAX {
            return None;
        }
        let seconds: i64 = seconds.parse().ok()?;
        let below: u32 = format!("{fraction:0<FRACTION_DIGITS_MAX$}").parse().ok()?;
        let ms = seconds
            .checked_mul(1_000)?
            .checked_add(i64::from(below / 1_000_000))?;
        if ms < TIMESTAMP_MS_MIN {
            return None;
        }
        let nanos = u64::try_from(seconds).ok()?.checked_mul(1_000_000_000)?;
        let moment = DateTime::from_timestamp(seconds, 0)?;
        let moment = moment.to_rfc3339_opts(SecondsFormat::Secs, true);
        let moment = moment.strip_suffix('Z')?;
        let point = if fraction.is_empty() { "" } else { "." };
        let rfc3339 = format!("{moment}{point}{fraction}Z");
        Some(Self {
            ms,
            nanos: nanos.checked_add(u64::from(below))?,
            rfc3339,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Result<Row, ReadError>>, ReadError> {
        Ok(rows(
            Box::new(std::io::Cursor::new(text.as_bytes().to_vec())),
            None,
        )?
        .collect())
    }

    fn check(trade: &str, expected: Result<&str, &str>) {
        let text =
            format!("{{\"error\":[],\n\"result\":{{\"XBTUSDT\":[\n{trade}],\"last\":\"1\"}}}}");
        match (read(&text).unwrap().pop().unwrap(), expected) {
            (Ok(row), Ok(json)) => assert_eq!(row.json, json),
            (Err(error), Err(part)) => {
                assert!(error.to_string().contains(part), "{trade}: {error}");
            }
            (seen, _) => panic!("{trade}: {seen:?}"),
        }
    }

    #[test]
    fn trades_become_updates_with_their_digits() {
        check(
            r#"["105433.60000","0.00027625",1762795433.9717445,"b","l","",10218208]"#,
            Ok(
                r#"{"symbol":"BTC/USDT","price":105433.60000,"qty":0.00027625,"timestamp":"2025-11-10T17:23:53.9717445Z","side":"buy","trade_id":10218208}"#,
            ),
        );
        check(
            r#"["1","2",1762795433,"s","l","","007"]"#,
            Ok(
                r#"{"symbol":"BTC/USDT","price":1,"qty":2,"timestamp":"2025-11-10T17:23:53Z","side":"sell","trade_id":7}"#,
            ),
        );
        check(
            r#"["5541.2","0.1",1534614057.321597,"s","l",""]"#,
            Ok(
                r#"{"symbol":"BTC/USDT","price":5541.2,"qty":0.1,"timestamp":"2018-08-18T17:40:57.321597Z","side":"sell","trade_id":1534614057321597000}"#,
            ),
        );
    }

    #[test]
    fn broken_trades_name_their_line_and_rule() {
        check("{}", Err("line 3: a trade must be a list"));
        check(r#"["1"]"#, Err("line 3: volume is missing"));
        check(
            r#"["0","1",1534614057,"b","l",""]"#,
            Err("line 3: price: a price must be"),
        );
        check(r#"["1","1",1.5e9,"b","l",""]"#, Err("line 3: time `1.5e9`"));
        check(
            r#"["1","1",15346140,"b","l",""]"#,
            Err("line 3: time `15346140`"),
        );
        check(
            r#"["1",null,1534614057,"b","l",""]"#,
            Err("line 3: volume is neither"),
        );
        check(r#"[".5","1",1534614057,"b","l",""]"#, Err("JSON number"));
        check(
            r#"["1","1",1534614057,"b","l","",-3]"#,
            Err("line 3: trade_id `-3`"),
        );
    }

    #[test]
    fn trades_without_a_number_get_the_same_one_each_time() {
        let text = r#"{"error":[],"result":{"XBTUSD":[
            ["1","1",1534614057.3215,"b","l",""], ["1","1",1534614057.3215,"b","l",""],
            ["1","1",1534614057.3216,"b","l",""], ["1","1",1534614058,"b","l",""]]}}"#;
        let ids = || {
            let rows = read(text).unwrap().into_iter().map(|row| row.unwrap().json);
            rows.map(|json| json.split_once("trade_id\":").unwrap().1.to_owned())
                .collect::<Vec<_>>()
        };
        let expected = [
            "1534614057321500000}",
            "1534614057321500001}",
            "1534614057321600000}",
            "1534614058000000000}",
        ];
        assert_eq!(ids(), expected);
        assert_eq!(ids(), expected);
    }

    #[test]
    fn times_keep_every_digit() {
        for (text, expected) in [
            (
                "1762795433.9717445",
                Some((1_762_795_433_971, "2025-11-10T17:23:53.9717445Z")),
            ),
            (
                "1762795433.999999999",
                Some((1_762_795_433_999, "2025-11-10T17:23:53.999999999Z")),
            ),
            (
                "1762795433.5",
                Some((1_762_795_433_500, "2025-11-10T17:23:53.5Z")),
            ),
            (
                "1762795433",
                Some((1_762_795_433_000, "2025-11-10T17:23:53Z")),
            ),
            ("1762795433.", None),
            ("1762795433.1234567890", None),
            ("99999999999999999999", None),
            ("-1", None),
            ("", None),
        ] {
            let seen = Time::read(text);
            assert_eq!(
                seen.as_ref().map(|time| (time.ms, time.rfc3339.as_str())),
                expected,
                "{text}"
            );
        }
    }

    #[test]
    fn files_that_are_not_trades_are_refused_with_the_reason() {
        for (text, part) in [
            (
                r#"{"error":["EQuery:Unknown asset pair"]}"#,
                "EQuery:Unknown asset pair",
            ),
            (r#"{"error":[],"result":{"last":"1"}}"#, "no `result`"),
            (
                r#"{"error":[],"result":{"XBTUSD":{}}}"#,
                "result.XBTUSD is not a list",
            ),
            ("[1,2]", "not a response of Kraken"),
            ("", "not a response of Kraken"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
