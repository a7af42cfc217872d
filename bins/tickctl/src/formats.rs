//! The formats of replayed files, one per source file. Each converts rows to the provider's own
//! messages, with every number unchanged.

pub mod binance_trades;
mod kraken_pair;
pub mod kraken_trades;
pub mod ticks_csv;
mod whole_number;

use std::io::Read;

use clap::ValueEnum;

/// A row of a file, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
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

/// A file's format, which also determines the webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// CSV with id,price,qty,quote_qty,time,is_buyer_maker, like Binance's published trades (with
    /// or without a header; time in ms or µs). The rows do not contain the symbol: see --symbol.
    BinanceTrades,
    /// JSON like the response of Kraken's REST API to /0/public/Trades.
    KrakenTrades,
    /// Our own CSV with a header: token, price and timestamp (epoch ms or RFC 3339), and optionally
    /// quote, volume, source, id, tick_id, slot and method.
    TicksCsv,
}

impl Format {
    /// The name in `POST /webhooks/{name}`.
    #[must_use]
    pub fn source(self) -> &'static str {
        match self {
            Self::BinanceTrades => "binance",
            Self::KrakenTrades => "kraken",
            Self::TicksCsv => "ticks",
        }
    }

    /// Opens the rows. If the format needs a symbol and `symbol` is not set, it is taken from
    /// `file_name`.
    ///
    /// # Errors
    /// [`ReadError::File`] if the symbol is missing or wrong. Kraken's format is read as a whole,
    /// and refused here if it is invalid.
    pub fn rows(
        self,
        input: Box<dyn Read + Send>,
        file_name: &str,
        symbol: Option<&str>,
    ) -> Result<Rows, ReadError> {
        match self {
            Self::BinanceTrades => binance_trades::rows(input, file_name, symbol),
            Self::KrakenTrades => kraken_trades::rows(input, symbol),
            Self::TicksCsv => match symbol {
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

/// Reads CSV records with their positions. Rows are numbered from 1.
struct Records {
    reader: csv::Reader<Box<dyn Read + Send>>,
    number: u64,
    /// Set after an input error, which ends the reading.
    ended: bool,
}

impl Records {
    fn new(input: Box<dyn Read + Send>) -> Self {
        let reader = csv::ReaderBuilder::new()
            .has_headers(false)
            // Our own check explains a wrong number of fields better than the reader.
            .flexible(true)
            .trim(csv::Trim::All)
            .from_reader(input);
        Self {
            reader,
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
            .map_or((0, 0), |at| (at.line(), at.byte()));
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

    /// Marks the last record as a header: rows are counted from the next.
    fn was_header(&mut self) {
        self.number = 0;
    }
}
