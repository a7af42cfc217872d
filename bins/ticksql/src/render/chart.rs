//! The chart of an answer, drawn on a terminal.

use std::io::{IsTerminal as _, Write, stdout};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use crate::cli_error::CliError;
use crate::plot::{self, Plot, Screen};

/// The points of a chart.
pub(super) struct Chart(Plot);

impl Chart {
    pub(super) fn of(schema: &SchemaRef, column: &str) -> Result<Self, CliError> {
        Ok(Self(Plot::of(schema, column)?))
    }

    pub(super) fn add(&mut self, batch: &RecordBatch) -> Result<(), CliError> {
        self.0.add(batch)
    }

    pub(super) fn draw(self, output: &mut (dyn Write + Send)) -> Result<(), CliError> {
        let terminal = console::Term::stdout();
        let screen = Screen {
            columns: usize::from(terminal.size().1),
            colours: stdout().is_terminal(),
        };
        let cut = self.0.cut;
        plot::draw(&self.0.sorted(), screen, output)?;
        if cut {
            writeln!(output, "(some lines or points are not drawn)")?;
        }
        Ok(output.flush()?)
    }
}
