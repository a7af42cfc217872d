//! What `--chart` and `--html` gather from the rows of an answer.

mod chart;
mod page;

use std::io::Write;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use crate::atomic_file::AtomicFile;
use crate::cli_error::CliError;
use crate::options::Options;
use chart::Chart;
pub(crate) use page::About;
use page::PageRows;

/// A chart and a page, each if asked for.
pub(crate) struct Renderings {
    chart: Option<Chart>,
    page: Option<PageRows>,
}

impl Renderings {
    pub(crate) fn of(options: &Options, schema: &SchemaRef) -> Result<Self, CliError> {
        let column = options.chart.as_deref();
        let chart = column.map(|column| Chart::of(schema, column)).transpose()?;
        let page = options.html.as_ref();
        Ok(Self {
            chart,
            page: page.map(|_| PageRows::of(schema, column.unwrap_or_default())),
        })
    }

    pub(crate) fn add(&mut self, batch: &RecordBatch) -> Result<(), CliError> {
        if let Some(chart) = &mut self.chart {
            chart.add(batch)?;
        }
        if let Some(page) = &mut self.page {
            page.add(batch)?;
        }
        Ok(())
    }

    /// Draws the chart, and writes the page to its file.
    pub(crate) fn finish(
        self,
        about: &About<'_>,
        file: Option<AtomicFile>,
        output: &mut (dyn Write + Send),
    ) -> Result<(), CliError> {
        if let Some(chart) = self.chart {
            chart.draw(output)?;
        }
        match (self.page, file) {
            (Some(page), Some(file)) => page.write(about, file),
            _ => Ok(()),
        }
    }
}
