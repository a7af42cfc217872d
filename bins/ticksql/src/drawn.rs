//! What is drawn of an answer while its rows go by: a chart, a page.

use std::io::{IsTerminal as _, Write, stdout};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use crate::cli::Options;
use crate::destination::Aside;
use crate::format::for_each_row;
use crate::plot::{self, Page, Plot, Screen};
use crate::problem::Problem;
use crate::source::Source;

/// Rows that a page shows below its plot.
const PAGE_ROWS_MAX: usize = 500;

/// What is gathered for `--chart` and `--html`.
pub(crate) struct Drawn {
    chart: Option<Plot>,
    page: Option<Shown>,
}

/// What a page will show of the rows.
struct Shown {
    /// Not every answer can be drawn; its rows can be shown all the same.
    plot: Option<Plot>,
    columns: Vec<String>,
    rows: Vec<Vec<Option<String>>>,
}

/// What a page tells besides the rows.
pub(crate) struct About<'a> {
    pub(crate) source: &'a Source,
    /// The parameters by name.
    pub(crate) given: &'a [(String, String)],
    /// What running the query took.
    pub(crate) figures: &'a str,
    /// All rows, shown or not.
    pub(crate) rows: usize,
}

impl Drawn {
    pub(crate) fn of(options: &Options, schema: &SchemaRef) -> Result<Self, Problem> {
        let wanted = options.chart.as_deref();
        let chart = wanted.map(|wanted| Plot::of(schema, wanted)).transpose()?;
        let page = options.html.as_ref().map(|_| {
            let columns = schema.fields().iter().map(|field| field.name().clone());
            Shown {
                plot: Plot::of(schema, wanted.unwrap_or_default()).ok(),
                columns: columns.collect(),
                rows: Vec::new(),
            }
        });
        Ok(Self { chart, page })
    }

    pub(crate) fn add(&mut self, batch: &RecordBatch) -> Result<(), Problem> {
        if let Some(chart) = &mut self.chart {
            chart.add(batch)?;
        }
        if let Some(Shown { plot, rows, .. }) = &mut self.page {
            if let Some(plot) = plot {
                plot.add(batch)?;
            }
            let left = PAGE_ROWS_MAX.saturating_sub(rows.len());
            for_each_row(&batch.slice(0, batch.num_rows().min(left)), |cells| {
                rows.push(cells);
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Draws the chart, and writes the page to its file.
    pub(crate) fn finish(
        self,
        about: &About<'_>,
        page: Option<Aside>,
        output: &mut (dyn Write + Send),
    ) -> Result<(), Problem> {
        if let Some(chart) = self.chart {
            let screen = Screen::of_stdout();
            let cut = chart.cut;
            plot::draw(&chart.sorted(), screen, output)?;
            if cut {
                writeln!(output, "(not all lines or points are drawn)")?;
            }
            output.flush()?;
        }
        let (Some(shown), Some(mut file)) = (self.page, page) else {
            return Ok(());
        };
        let plot = shown.plot.map(Plot::sorted);
        let page = Page {
            title: about.source.name.as_deref().unwrap_or("ticksql"),
            subtitle: &about.source.query.title,
            sql: &about.source.text,
            parameters: about.given,
            figures: about.figures,
            columns: &shown.columns,
            rows: &shown.rows,
            row_count: about.rows,
            plot: plot.as_ref(),
        };
        let written = file.writer().write_all(page.html().as_bytes());
        written.map_err(Problem::Output)?;
        file.finish()
    }
}

impl Screen {
    fn of_stdout() -> Self {
        let terminal = console::Term::stdout();
        Self {
            columns: usize::from(terminal.size().1),
            colours: stdout().is_terminal(),
        }
    }
}
