//! The HTML page of an answer: its plot, its first rows, and its query.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use crate::atomic_file::AtomicFile;
use crate::cli_error::CliError;
use crate::format::for_each_row;
use crate::plot::{Page, Plot};
use crate::source::Source;

/// Rows that a page shows below its plot.
const PAGE_ROWS_MAX: usize = 500;

/// What a page shows of the rows.
pub(super) struct PageRows {
    /// `None` if the answer cannot be drawn; its rows are shown anyway.
    plot: Option<Plot>,
    columns: Vec<String>,
    rows: Vec<Vec<Option<String>>>,
}

/// What a page shows besides the rows.
pub(crate) struct PageInfo<'a> {
    pub(crate) source: &'a Source,
    /// The parameters by name.
    pub(crate) given: &'a [(String, String)],
    /// What running the query took.
    pub(crate) figures: &'a str,
    /// All rows, shown or not.
    pub(crate) rows: usize,
}

impl PageRows {
    pub(super) fn of(schema: &SchemaRef, column: &str) -> Self {
        let columns = schema.fields().iter().map(|field| field.name().clone());
        Self {
            plot: Plot::of(schema, column).ok(),
            columns: columns.collect(),
            rows: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, batch: &RecordBatch) -> Result<(), CliError> {
        if let Some(plot) = &mut self.plot {
            plot.add(batch)?;
        }
        let left = PAGE_ROWS_MAX.saturating_sub(self.rows.len());
        for_each_row(&batch.slice(0, batch.num_rows().min(left)), |cells| {
            self.rows.push(cells);
            Ok(())
        })
    }

    pub(super) fn write(self, info: &PageInfo<'_>, mut file: AtomicFile) -> Result<(), CliError> {
        let plot = self.plot.map(Plot::sorted);
        let page = Page {
            title: info.source.name.as_deref().unwrap_or("ticksql"),
            subtitle: &info.source.query.title,
            sql: &info.source.text,
            parameters: info.given,
            figures: info.figures,
            columns: &self.columns,
            rows: &self.rows,
            row_count: info.rows,
            plot: plot.as_ref(),
        };
        let written = file.writer().write_all(page.html().as_bytes());
        written.map_err(CliError::Output)?;
        file.finish()
    }
}
