//! The formats of replayed files, one per source file. Each converts rows to the provider's own
//! messages, with every number unchanged.

mod binance_market;
mod binance_symbol;
pub mod binance_trades;
mod kraken_pair;
pub mod kraken_trades;
pub mod ticks_csv;
mod whole_number;

use std::collections::VecDeque;
use std::fmt;
use std::io::Read;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use clap::ValueEnum;

/// A row of a file, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The name in `POST /webhooks/{name}`: the same for all rows of a file.
    pub source: &'static str,
    /// Its position in the file.
    pub place: RowPosition,
    /// Event time, milliseconds since the epoch.
    pub event_ms: i64,
    /// One entry of a delivery.
    pub json: String,
}

/// The position of a row in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RowPosition {
    /// The row's number among the rows of data, from 1.
    pub number: u64,
    /// The line it starts on, from 1.
    pub line: u64,
    /// The number of bytes before it, to show progress.
    pub offset_bytes: u64,
}

/// Why a row or a file cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// One row breaks a rule; the rows after it may be good.
    #[error("line {}: {rule}", place.line)]
    Row {
        /// The position of the row.
        place: RowPosition,
        /// The rule, with the value.
        rule: String,
    },
    /// The file as a whole, or its rest, cannot be read.
    #[error("{0}")]
    File(String),
}

/// The rows of a file, in order.
pub type Rows = Box<dyn Iterator<Item = Result<Row, ReadError>> + Send>;

/// A market of Binance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Market {
    /// The spot market.
    Spot,
    /// USD-M futures.
    Usdm,
    /// COIN-M futures.
    Coinm,
}

impl fmt::Display for Market {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Spot => "spot",
            Self::Usdm => "usdm",
            Self::Coinm => "coinm",
        })
    }
}

/// What the user says about a file.
#[derive(Debug, Clone, Copy, Default)]
pub struct About<'a> {
    /// The file's name, which may contain the symbol.
    pub file_name: &'a str,
    /// `--symbol`.
    pub symbol: Option<&'a str>,
    /// `--market`.
    pub market: Option<Market>,
}

/// A file's format, which also determines the webhooks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// CSV with id,price,qty,quote_qty,time,is_buyer_maker, like Binance's published trades of the
    /// spot market, USD-M futures and COIN-M futures (with or without a header; time in ms or µs). The
    /// rows contain neither the symbol nor the market: see --symbol and --market.
    BinanceTrades,
    /// JSON like the response of Kraken's REST API to /0/public/Trades.
    KrakenTrades,
    /// Our own CSV with a header: token, price and timestamp (epoch ms or RFC 3339), and optionally
    /// quote, volume, source, id, tick_id, slot, method, sequence and quality.
    TicksCsv,
}

impl Format {
    /// The sources that its rows may have.
    #[must_use]
    pub fn sources(self) -> &'static [&'static str] {
        match self {
            Self::BinanceTrades => &binance_market::SOURCES,
            Self::KrakenTrades => &[kraken_trades::SOURCE],
            Self::TicksCsv => &[ticks_csv::SOURCE],
        }
    }

    /// Opens the rows. If the format needs a symbol and none is given, it is taken from the file's
    /// name; a market that is not given is recognized in the symbol and the first row.
    ///
    /// # Errors
    /// [`ReadError::File`] if the symbol is missing or wrong. Kraken's format is read as a whole,
    /// and refused here if it is invalid.
    pub fn rows(self, input: Box<dyn Read + Send>, about: About<'_>) -> Result<Rows, ReadError> {
        if self != Self::BinanceTrades && about.market.is_some() {
            let rule = "--market can only be used with binance-trades";
            return Err(ReadError::File(rule.to_owned()));
        }
        match self {
            Self::BinanceTrades => binance_trades::rows(input, about),
            Self::KrakenTrades => kraken_trades::rows(input, about.symbol),
            Self::TicksCsv => match about.symbol {
                None => Ok(ticks_csv::rows(input)),
                Some(_) => Err(ReadError::File(
                    "--symbol cannot be used with ticks-csv, whose rows contain their \
                     token"
                        .to_owned(),
                )),
            },
        }
    }

    /// The body of a delivery of such rows.
    #[must_use]
    pub fn delivery(self, rows: &[Row]) -> String {
        let (head, tail) = match self {
            Self::BinanceTrades | Self::TicksCsv => ("[", "]"),
            Self::KrakenTrades => (r#"{"channel":"trade","type":"update","data":["#, "]}"),
        };
        let length = rows.iter().map(|row| row.json.len() + 1).sum::<usize>();
        let mut body = String::with_capacity(head.len() + length + tail.len());
        body.push_str(head);
        for (position, row) in rows.iter().enumerate() {
            if position > 0 {
                body.push(',');
            }
            body.push_str(&row.json);
        }
        body.push_str(tail);
        body
    }
}

/// Notes where `\r\n` ends a line. The CSV reader ends a record at the `\r`, so that the next one
/// begins, for it, with the `\n` of the line before.
struct LineEnds {
    input: Box<dyn Read + Send>,
    /// The offsets of such a `\n`, in order, until a record begins behind them.
    seen: Arc<Mutex<VecDeque<u64>>>,
    offset_bytes: u64,
    after_return: bool,
}

impl Read for LineEnds {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let length = self.input.read(buffer)?;
        let mut seen = lock(&self.seen);
        for byte in buffer.iter().take(length) {
            if self.after_return && *byte == b'\n' {
                seen.push_back(self.offset_bytes);
            }
            self.after_return = *byte == b'\r';
            self.offset_bytes += 1;
        }
        Ok(length)
    }
}

/// A list of offsets is valid whatever a panicked thread did.
fn lock(seen: &Mutex<VecDeque<u64>>) -> MutexGuard<'_, VecDeque<u64>> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads CSV records with their positions. Rows are numbered from 1.
struct Records {
    reader: csv::Reader<LineEnds>,
    line_ends: Arc<Mutex<VecDeque<u64>>>,
    number: u64,
    /// Set after an input error, which ends the reading.
    ended: bool,
}

impl Records {
    fn new(input: Box<dyn Read + Send>) -> Self {
        let line_ends = Arc::default();
        let input = LineEnds {
            input,
            seen: Arc::clone(&line_ends),
            offset_bytes: 0,
            after_return: false,
        };
        let reader = csv::ReaderBuilder::new()
            .has_headers(false)
            // Our own check explains a wrong number of fields better than the reader.
            .flexible(true)
            .trim(csv::Trim::All)
            .from_reader(input);
        Self {
            reader,
            line_ends,
            number: 0,
            ended: false,
        }
    }

    /// The next record as text, not counted as a row yet. Its position has the number of the row it
    /// would be.
    fn next(&mut self) -> Option<Result<(RowPosition, csv::StringRecord), ReadError>> {
        if self.ended {
            return None;
        }
        let mut record = csv::ByteRecord::new();
        match self.reader.read_byte_record(&mut record) {
            Ok(true) => {}
            Ok(false) => return None,
            Err(error) => {
                self.ended = true;
                let line = self.reader.position().line();
                return Some(Err(ReadError::File(format!(
                    "reading the input failed at line {line}: {error}"
                ))));
            }
        }
        self.number += 1;
        let (line, offset_bytes) = record
            .position()
            .map_or((0, 0), |at| self.start_of_line(at.line(), at.byte()));
        let place = RowPosition {
            number: self.number,
            line,
            offset_bytes,
        };
        Some(match csv::StringRecord::from_byte_record(record) {
            Ok(text) => Ok((place, text)),
            Err(_) => Err(ReadError::Row {
                place,
                rule: "it is not UTF-8 text".to_owned(),
            }),
        })
    }

    /// Skips the end of the line before, if a record begins with it for the reader.
    fn start_of_line(&self, line: u64, offset_bytes: u64) -> (u64, u64) {
        let mut ends = lock(&self.line_ends);
        while ends.front().is_some_and(|end| *end < offset_bytes) {
            ends.pop_front();
        }
        match ends.front() {
            Some(end) if *end == offset_bytes => (line + 1, offset_bytes + 1),
            _ => (line, offset_bytes),
        }
    }

    /// Marks the last record as a header: rows are counted from the next.
    fn was_header(&mut self) {
        self.number = 0;
    }
}
