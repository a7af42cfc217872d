//! What `--chart` and `--html` gather from the rows of an answer.

mod page;

use std::io::{IsTerminal as _, Write, stdout};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use crate::atomic_file::AtomicFile;
use crate::cli_error::CliError;
use crate::options::Options;
use crate::plot::{self, Plot, Screen};
pub(crate) use page::PageInfo;
use page::PageRows;

/// A chart and a page, each if requested.
pub(crate) struct Renderings {
    chart: Option<Plot>,
    page: Option<PageRows>,
}

impl Renderings {
    pub(crate) fn of(options: &Options, schema: &SchemaRef) -> Result<Self, CliError> {
        let column = options.chart.as_deref();
        let chart = column.map(|column| Plot::of(schema, column)).transpose()?;
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
        info: &PageInfo<'_>,
        file: Option<AtomicFile>,
        output: &mut (dyn Write + Send),
    ) -> Result<(), CliError> {
        if let Some(chart) = self.chart {
            draw(chart, output)?;
        }
        match (self.page, file) {
            (Some(page), Some(file)) => page.write(info, file),
            _ => Ok(()),
        }
    }
}

/// Draws a chart as wide as the terminal.
fn draw(chart: Plot, output: &mut (dyn Write + Send)) -> Result<(), CliError> {
    let terminal = console::Term::stdout();
    let screen = Screen {
        columns: usize::from(terminal.size().1),
        colours: stdout().is_terminal(),
    };
    let cut = chart.cut;
    plot::draw(&chart.sorted(), screen, output)?;
    if cut {
        writeln!(output, "(some lines or points are not drawn)")?;
    }
    Ok(output.flush()?)
}
