//! The table of columns: names, types and meaning of the fields of a stored tick.

/// The type of a column, in JSON and in the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A text, in JSON and in the archive.
    Text,
    /// A decimal number: an exact text in JSON, so no reader rounds it; a `double` in the archive.
    Amount,
    /// A whole number of at most 63 bits: a number in JSON, `bigint` in the archive.
    Integer,
    /// Milliseconds since the epoch (UTC): a number in JSON, `bigint` in the archive.
    EpochMs,
}

/// Whether a column may be absent from JSON, and NULL in the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// Every tick or anomaly has it.
    Required,
    /// Some lack it.
    Optional,
}

/// One column of a stored tick or anomaly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// The name in Parquet, Arrow, Glue and SQL.
    pub name: &'static str,
    /// The name in JSON and in DynamoDB items, of a tick.
    pub json: &'static str,
    /// The type.
    pub kind: Kind,
    /// Whether every one has a value.
    pub presence: Presence,
    /// The meaning, in one line without quotation marks.
    pub doc: &'static str,
}

impl Column {
    pub(crate) const fn required(name: &'static str, kind: Kind, doc: &'static str) -> Self {
        Self {
            name,
            json: name,
            kind,
            presence: Presence::Required,
            doc,
        }
    }

    pub(crate) const fn optional(self) -> Self {
        Self {
            presence: Presence::Optional,
            ..self
        }
    }

    const fn in_json(self, json: &'static str) -> Self {
        Self { json, ..self }
    }
}

/// All columns in order. `ts` is `timestamp` in JSON: this word is reserved in Hive and Firehose.
pub const COLUMNS: [Column; 13] = [
    Column::required(
        "tick_id",
        Kind::Text,
        "Identity of the tick: a replayed delivery has the same id",
    ),
    Column::required(
        "token",
        Kind::Text,
        "The priced asset: a mint address on Solana, a currency code elsewhere",
    ),
    Column::required("quote", Kind::Text, "The currency of the price"),
    Column::required(
        "price",
        Kind::Amount,
        "Units of the quote for one unit of the token",
    ),
    Column::required(
        "volume",
        Kind::Amount,
        "Units of the token traded, if the source reports them",
    )
    .optional(),
    Column::required(
        "ts",
        Kind::EpochMs,
        "Event time, milliseconds since the epoch (UTC)",
    )
    .in_json("timestamp"),
    Column::required(
        "ingested_at",
        Kind::EpochMs,
        "When it was received, milliseconds since the epoch (UTC)",
    ),
    Column::required(
        "source",
        Kind::Text,
        "Origin of the price, as provider:venue",
    ),
    Column::required("slot", Kind::Integer, "The Solana slot, if there is one").optional(),
    Column::required("method", Kind::Text, "How the price was derived"),
    Column::required("version", Kind::Text, "Version of the format of the tick"),
    Column::required(
        "sequence",
        Kind::Integer,
        "Number of the trade at the provider, which orders trades of one millisecond",
    )
    .optional(),
    Column::required(
        "quality",
        Kind::Text,
        "Why the price is not used in candles: low_precision or wide_confidence",
    )
    .optional(),
];

/// The partition columns of the archive, all `int`, from the path: the UTC day of the event time.
pub const PARTITIONS: [&str; 3] = ["year", "month", "day"];
