//! A plot of characters: each is a grid of two by four dots.

use std::io::Write;

use super::axis;
use super::series::{Bounds, Plot};
use crate::cli_error::CliError;
use runtime::printable::printable;

/// Rows of characters that the plot has.
const ROWS: usize = 16;

/// Characters beside the plot, for values.
const LABEL_CHARS: usize = 12;

/// The narrowest and the widest plot in characters.
const COLUMNS: std::ops::RangeInclusive<usize> = 20..=200;

/// Dots of a character, across and down.
const DOTS: (usize, usize) = (2, 4);

/// The bits of a character's dots in Unicode's braille patterns, by row and column.
const BITS: [[u32; 2]; 4] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]];

/// ANSI colours of the lines.
const COLOURS: [u8; 8] = [36, 33, 32, 35, 34, 31, 96, 93];

/// How a plot is drawn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Screen {
    /// Characters in a row of the terminal.
    pub(crate) columns: usize,
    /// Whether colours are shown.
    pub(crate) colours: bool,
}

/// Draws a plot.
pub(crate) fn draw(plot: &Plot, screen: Screen, output: &mut dyn Write) -> Result<(), CliError> {
    let Some(bounds) = plot.bounds() else {
        writeln!(output, "(nothing to draw)")?;
        return Ok(());
    };
    let columns = screen.columns.saturating_sub(LABEL_CHARS + 3);
    let columns = columns.clamp(*COLUMNS.start(), *COLUMNS.end());
    let mut canvas = Canvas::new(columns);
    for (number, line) in plot.lines.values().enumerate() {
        let mut before: Option<(usize, usize)> = None;
        for (time, value) in line {
            let dot = canvas.dot(bounds, *time, *value);
            canvas.line(before.unwrap_or(dot), dot, number);
            before = Some(dot);
        }
    }
    let paint = |text: String, number: usize| {
        let colour = COLOURS.get(number % COLOURS.len()).copied().unwrap_or(39);
        if screen.colours {
            format!("\x1b[{colour}m{text}\x1b[0m")
        } else {
            text
        }
    };
    writeln!(output, "{}", printable(&plot.value_name))?;
    let span = bounds.high - bounds.low;
    for (row, cells) in canvas.cells.chunks(columns).enumerate() {
        let label = match row {
            0 => axis::value(bounds.high, span),
            row if row == ROWS / 2 => axis::value(bounds.low + span / 2.0, span),
            row if row == ROWS - 1 => axis::value(bounds.low, span),
            _ => String::new(),
        };
        let shown = |cell: &Cell| match (char::from_u32(0x2800 + cell.bits), cell.line) {
            (Some(char), Some(line)) => paint(char.to_string(), line),
            _ => " ".to_owned(),
        };
        let cells: String = cells.iter().map(shown).collect();
        let cells = cells.trim_end();
        writeln!(output, "{label:>LABEL_CHARS$} ┤{cells}")?;
    }
    let time_span = bounds.to_ms.saturating_sub(bounds.from_ms);
    let (from, to) = (
        axis::time(bounds.from_ms, time_span),
        axis::time(bounds.to_ms, time_span),
    );
    let between = (columns + 1).saturating_sub(from.len() + to.len());
    writeln!(output, "{:>LABEL_CHARS$} └{}", "", "─".repeat(columns))?;
    writeln!(
        output,
        "{:>LABEL_CHARS$} {from}{}{to}",
        "",
        " ".repeat(between)
    )?;
    for (number, name) in plot.lines.keys().enumerate() {
        if plot.lines.len() > 1 || !name.is_empty() {
            let mark = paint("⣿⣿".to_owned(), number);
            writeln!(output, "{:>LABEL_CHARS$} {mark} {}", "", printable(name))?;
        }
    }
    Ok(())
}

#[derive(Debug, Clone, Copy, Default)]
struct Cell {
    bits: u32,
    /// The line that was drawn here last.
    line: Option<usize>,
}

struct Canvas {
    columns: usize,
    cells: Vec<Cell>,
}

impl Canvas {
    fn new(columns: usize) -> Self {
        Self {
            columns,
            cells: vec![Cell::default(); columns * ROWS],
        }
    }

    /// The dot of a point, from the left and from the top.
    fn dot(&self, bounds: Bounds, time_ms: i64, value: f64) -> (usize, usize) {
        let (across, down) = (self.columns * DOTS.0 - 1, ROWS * DOTS.1 - 1);
        let (x, y) = (bounds.across(time_ms), bounds.up(value));
        (scaled(x, across), down - scaled(y, down))
    }

    fn line(&mut self, from: (usize, usize), to: (usize, usize), number: usize) {
        let (across, down) = (to.0.abs_diff(from.0), to.1.abs_diff(from.1));
        let steps = across.max(down).max(1);
        let between = |from: usize, to: usize, step: usize| {
            let way = from.abs_diff(to) * step / steps;
            if to >= from { from + way } else { from - way }
        };
        for step in 0..=steps {
            let (x, y) = (between(from.0, to.0, step), between(from.1, to.1, step));
            let cell = (y / DOTS.1) * self.columns + x / DOTS.0;
            let bit = BITS.get(y % DOTS.1).and_then(|row| row.get(x % DOTS.0));
            if let (Some(cell), Some(bit)) = (self.cells.get_mut(cell), bit) {
                cell.bits |= bit;
                cell.line = Some(number);
            }
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a share of a small number of dots is one of them"
)]
fn scaled(share: f64, dots: usize) -> usize {
    ((share * dots as f64).round() as usize).min(dots)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch};

    use super::*;

    fn render(times: Vec<i64>, prices: Vec<f64>, columns: usize) -> String {
        let batch = RecordBatch::try_from_iter([
            ("ts", Arc::new(Int64Array::from(times)) as ArrayRef),
            ("price", Arc::new(Float64Array::from(prices)) as ArrayRef),
        ])
        .unwrap();
        let mut plot = Plot::of(&batch.schema(), "").unwrap();
        plot.add(&batch).unwrap();
        let mut output = Vec::new();
        let colours = false;
        draw(&plot.sorted(), Screen { columns, colours }, &mut output).unwrap();
        String::from_utf8(output).unwrap()
    }

    #[test]
    fn a_rise_goes_from_the_lower_left_to_the_upper_right() {
        let start = 1_772_841_600_000;
        let text = render(vec![start, start + 3_600_000], vec![10.0, 20.0], 60);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "price");
        assert!(
            lines[1].starts_with("          20 ┤") && lines[1].ends_with('⠊'),
            "{text}"
        );
        assert!(lines[16].starts_with("          10 ┤⣀"), "{text}");
        assert!(
            lines[18].contains("00:00:00") && lines[18].ends_with("01:00:00"),
            "{text}"
        );
        assert_eq!(lines.len(), 19);
    }

    #[test]
    fn one_point_and_none_are_drawn_too() {
        assert!(render(vec![5], vec![7.0], 1_000).contains(" ┤"));
        assert_eq!(render(Vec::new(), Vec::new(), 80), "(nothing to draw)\n");
        assert!(render(vec![i64::MIN, i64::MAX], vec![f64::MIN, f64::MAX], 5).contains(" ┤"));
    }
}
