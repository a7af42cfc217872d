//! Anomalies as Arrow columns, for Parquet and SQL.

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{Int64Type, SchemaRef};
use domain::analytics::Anomaly;
use domain::{Pair, TickId, TickIdentity};

use crate::anomaly_columns::COLUMNS;
use crate::columnar::{
    column, doubles, integers, optional_texts, required, schema_of, text, texts, token,
};
use crate::error::CodecError;
use crate::tick_columns::Column;

/// The schema of the files: the table of columns. The partition columns are in the path.
#[must_use]
pub fn schema() -> SchemaRef {
    schema_of(&COLUMNS)
}

/// Anomalies as one batch, in the given order. The price becomes the nearest double.
///
/// # Errors
/// [`CodecError`] if they do not fit into columns; none are known that do not.
pub fn record_batch(anomalies: &[&Anomaly]) -> Result<RecordBatch, CodecError> {
    let array = |column| array(column, anomalies);
    let arrays = COLUMNS.iter().map(array).collect::<Result<Vec<_>, _>>()?;
    Ok(RecordBatch::try_new(schema(), arrays)?)
}

/// Every column of the table needs a line here; a missing one is an error at the first batch, which
/// the tests would notice.
fn array(column: &Column, anomalies: &[&Anomaly]) -> Result<ArrayRef, CodecError> {
    let rows = anomalies.iter().copied();
    let detections = rows.clone().map(|anomaly| anomaly.detection);
    Ok(match column.name {
        "token" => texts(rows.map(|anomaly| anomaly.token.as_str())),
        "quote" => texts(rows.map(|anomaly| anomaly.quote.as_str())),
        "source" => optional_texts(rows.map(|anomaly| Some(anomaly.source.as_ref()?.as_str()))),
        "tick_id" => texts(rows.map(|anomaly| anomaly.tick_id.to_string())),
        "ts" => integers(rows.map(|anomaly| Some(anomaly.timestamp_ms))),
        "price" => doubles(rows.map(|anomaly| Some(anomaly.price.to_f64()))),
        "score" => doubles(rows.map(|anomaly| Some(anomaly.score))),
        "kind" => texts(detections.map(|detection| detection.kind.as_str())),
        "direction" => texts(detections.map(|detection| detection.direction.as_str())),
        "quantity" => texts(detections.map(|detection| detection.quantity.as_str())),
        "expected" => doubles(detections.map(|detection| Some(detection.expected))),
        "seen" => doubles(detections.map(|detection| Some(detection.seen))),
        "window_ms" => integers(detections.map(|detection| Some(detection.window_ms))),
        "message" => texts(rows.map(Anomaly::message)),
        _ => return Err(CodecError::Column(column.name)),
    })
}

/// The ticks that show the anomalies of a batch, which identify these.
///
/// # Errors
/// [`CodecError`] names the column that is missing, NULL or breaks a rule.
pub fn identities(batch: &RecordBatch) -> Result<Vec<TickIdentity>, CodecError> {
    let (tokens, quotes): (&StringArray, &StringArray) =
        (column(batch, "token")?, column(batch, "quote")?);
    let (ids, times): (&StringArray, &Int64Array) =
        (column(batch, "tick_id")?, column(batch, "ts")?);
    let identity = |row| {
        Ok(TickIdentity {
            pair: Pair {
                token: token(tokens, "token", row)?,
                quote: token(quotes, "quote", row)?,
            },
            timestamp_ms: required::<Int64Type>(times, "ts", row)?,
            tick_id: TickId::parse(text(ids, "tick_id", row)?)?,
        })
    };
    (0..batch.num_rows()).map(identity).collect()
}
