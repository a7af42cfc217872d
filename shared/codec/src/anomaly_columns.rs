//! The table of columns of anomalies: names, types and meaning.

use crate::tick_columns::{Column, Kind};

/// All columns in order. The files are in folders by the UTC day of the event time
/// ([`crate::tick_columns::PARTITIONS`]), like those of ticks.
pub const COLUMNS: [Column; 14] = [
    Column::required(
        "token",
        Kind::Text,
        "The priced asset: a mint address on Solana, a currency code elsewhere",
    ),
    Column::required("quote", Kind::Text, "The currency of the price"),
    Column::required(
        "source",
        Kind::Text,
        "The venue whose prices depart from their past, as provider:venue; NULL if release 1.0 found it",
    )
    .optional(),
    Column::required(
        "tick_id",
        Kind::Text,
        "Identity of the tick that shows the anomaly",
    ),
    Column::required(
        "ts",
        Kind::EpochMs,
        "Event time of the tick, or when a lasting silence was found, milliseconds since the epoch (UTC)",
    ),
    Column::required(
        "price",
        Kind::Amount,
        "Price of the tick, units of the quote for one unit of the token",
    ),
    Column::required(
        "score",
        Kind::Amount,
        "How anomalous it is, at least 0 and less than 1",
    ),
    Column::required(
        "kind",
        Kind::Text,
        "How the series departs from its past, such as jump or drift",
    ),
    Column::required(
        "direction",
        Kind::Text,
        "up or down: where seen lies from expected",
    ),
    Column::required(
        "quantity",
        Kind::Text,
        "What expected and seen are: value, change, interval_ms or ticks",
    ),
    Column::required(
        "expected",
        Kind::Amount,
        "What the past of the series lets expect",
    ),
    Column::required("seen", Kind::Amount, "What was seen"),
    Column::required(
        "window_ms",
        Kind::Integer,
        "Over which event time, in milliseconds",
    ),
    Column::required(
        "message",
        Kind::Text,
        "The anomaly as a sentence without its subject",
    ),
];
