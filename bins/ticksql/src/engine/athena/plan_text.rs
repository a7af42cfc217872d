//! The rows of EXPLAIN as text.

use arrow::array::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};

use crate::engine::EngineError;

/// The rows as lines of text.
pub(super) fn of(batches: &[RecordBatch]) -> Result<String, EngineError> {
    let mut text = String::new();
    let options = FormatOptions::default();
    for batch in batches {
        let columns = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column, &options))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| EngineError::Service(error.to_string()))?;
        for row in 0..batch.num_rows() {
            let cells: Vec<String> = columns
                .iter()
                .map(|column| column.value(row).to_string())
                .collect();
            text += cells.join("\t").trim_end();
            text.push('\n');
        }
    }
    Ok(text)
}
