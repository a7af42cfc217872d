//! A page with a plot: one file that loads nothing from other hosts.

use std::fmt::Write as _;

use super::axis;
use super::series::{Bounds, Plot};

/// The plot's size and the room around it.
const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 84.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 16.0;
const BOTTOM: f64 = 32.0;

/// The most points of a line that are drawn; of a longer line, the lowest and the highest of each
/// stretch.
const POINTS_DRAWN_MAX: usize = 2_000;

/// Lines with at most this many points mark each, with its time and value.
const POINTS_MARKED_MAX: usize = 300;

/// Colours of the lines, distinct for colour-blind readers.
const COLOURS: [&str; 8] = [
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f", "#b8a300",
];

const STYLE: &str = "\
:root { color-scheme: light dark; --line: #8886; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1000px; margin: 2rem auto; padding: 0 1rem; }
svg { width: 100%; height: auto; } svg text { fill: currentColor; font-size: 12px; }
.grid { stroke: var(--line); } .line { fill: none; stroke-width: 1.5; }
pre { overflow-x: auto; padding: .75rem; border: 1px solid var(--line); }
.rows { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .6rem; border-bottom: 1px solid var(--line); text-align: left; white-space: nowrap; }
.null { opacity: .5; }";

/// What a page shows.
pub(crate) struct Page<'a> {
    /// The query's name, or a replacement.
    pub(crate) title: &'a str,
    /// What the query answers.
    pub(crate) subtitle: &'a str,
    /// The query as it was written.
    pub(crate) sql: &'a str,
    /// Its parameters by name.
    pub(crate) parameters: &'a [(String, String)],
    /// What running it took.
    pub(crate) figures: &'a str,
    pub(crate) columns: &'a [String],
    /// The first rows; `None` is NULL.
    pub(crate) rows: &'a [Vec<Option<String>>],
    /// All rows, shown or not.
    pub(crate) row_count: usize,
    pub(crate) plot: Option<&'a Plot>,
}

impl Page<'_> {
    /// The page as HTML.
    pub(crate) fn html(&self) -> String {
        let mut html = format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
             <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n\
             <style>\n{STYLE}\n</style>\n</head>\n<body>\n<h1>{title}</h1>\n",
            title = escaped(self.title)
        );
        if !self.subtitle.is_empty() {
            html += &format!("<p>{}</p>\n", escaped(self.subtitle));
        }
        if !self.parameters.is_empty() {
            let parameters = self.parameters.iter();
            let parameters: Vec<String> = parameters
                .map(|(name, value)| format!("<b>{}</b> {}", escaped(name), escaped(value)))
                .collect();
            html += &format!("<p>{}</p>\n", parameters.join(" · "));
        }
        if let Some(plot) = self.plot {
            html += &drawing(plot);
        }
        html += &format!("<p>{}</p>\n", escaped(self.figures));
        html += &self.table();
        html += &format!(
            "<details>\n<summary>The query</summary>\n<pre>{}</pre>\n</details>\n</body>\n</html>\n",
            escaped(self.sql)
        );
        html
    }

    fn table(&self) -> String {
        let mut html = "<div class=\"rows\">\n<table>\n<tr>".to_owned();
        for column in self.columns {
            html += &format!("<th>{}</th>", escaped(column));
        }
        html += "</tr>\n";
        for row in self.rows {
            html += "<tr>";
            for cell in row {
                html += &match cell {
                    Some(text) => format!("<td>{}</td>", escaped(text)),
                    None => "<td class=\"null\">NULL</td>".to_owned(),
                };
            }
            html += "</tr>\n";
        }
        html += "</table>\n</div>\n";
        if self.rows.len() < self.row_count {
            html += &format!(
                "<p>The first {} of {} rows.</p>\n",
                self.rows.len(),
                self.row_count
            );
        }
        html
    }
}

/// The plot as SVG.
fn drawing(plot: &Plot) -> String {
    let Some(bounds) = plot.bounds() else {
        return "<p>There is nothing to draw.</p>\n".to_owned();
    };
    let span = bounds.high - bounds.low;
    let time_span = bounds.to_ms.saturating_sub(bounds.from_ms);
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">\n",
        escaped(&plot.value_name)
    );
    for value in axis::values(bounds.low, bounds.high, 6) {
        let y = bounds.y(value);
        let text = axis::value(value, span);
        svg += &format!(
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>\n",
            WIDTH - RIGHT,
            LEFT - 8.0,
            y + 4.0
        );
    }
    for time in axis::times(bounds.from_ms, bounds.to_ms, 8) {
        let x = bounds.x(time);
        let text = axis::time(time, time_span);
        svg += &format!(
            "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{:.1}\"/>\
             <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{text}</text>\n",
            HEIGHT - BOTTOM,
            HEIGHT - 10.0
        );
    }
    for (line, colour) in plot.lines.iter().zip(COLOURS) {
        svg += &line_of(line.0, line.1, colour, bounds);
    }
    svg += "</svg>\n";
    if plot.lines.len() > 1 {
        let names = plot.lines.keys().zip(COLOURS).map(|(name, colour)| {
            format!("<span style=\"color:{colour}\">■</span> {}", escaped(name))
        });
        svg += &format!("<p>{}</p>\n", names.collect::<Vec<_>>().join(" "));
    }
    format!("<p>{}</p>\n{svg}", escaped(&plot.value_name))
}

fn line_of(name: &str, points: &[(i64, f64)], colour: &str, bounds: Bounds) -> String {
    let mut coordinates = String::new();
    for (time, value) in thinned(points) {
        let (x, y) = (bounds.x(time), bounds.y(value));
        _ = write!(coordinates, "{x:.1},{y:.1} ");
    }
    let mut svg = format!(
        "<polyline class=\"line\" stroke=\"{colour}\" points=\"{}\"/>\n",
        coordinates.trim_end()
    );
    if points.len() <= POINTS_MARKED_MAX {
        for (time, value) in points {
            let moment = chrono::DateTime::from_timestamp_millis(*time)
                .map(|time| time.to_rfc3339())
                .unwrap_or_default();
            svg += &format!(
                "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"2.5\" fill=\"{colour}\"><title>{} {moment}: {value}</title></circle>\n",
                bounds.x(*time),
                bounds.y(*value),
                escaped(name)
            );
        }
    }
    svg
}

/// Fewer points that look the same when drawn.
fn thinned(points: &[(i64, f64)]) -> Vec<(i64, f64)> {
    if points.len() <= POINTS_DRAWN_MAX {
        return points.to_vec();
    }
    let stretch = points.len().div_ceil(POINTS_DRAWN_MAX / 2);
    let mut kept = Vec::with_capacity(POINTS_DRAWN_MAX);
    for stretch in points.chunks(stretch) {
        let by_value = |a: &&(i64, f64), b: &&(i64, f64)| a.1.total_cmp(&b.1);
        let extremes = [
            stretch.iter().min_by(by_value),
            stretch.iter().max_by(by_value),
        ];
        let mut extremes: Vec<_> = extremes.into_iter().flatten().copied().collect();
        extremes.sort_by_key(|(time, _)| *time);
        kept.extend(extremes);
    }
    kept
}

impl Bounds {
    fn x(&self, time_ms: i64) -> f64 {
        LEFT + self.across(time_ms) * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - self.up(value) * (HEIGHT - TOP - BOTTOM)
    }
}

fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};

    use super::*;

    #[test]
    fn a_page_is_self_contained_and_runs_no_script() {
        let evil = "</script><img src=x onerror=alert(1)>\"&";
        let batch = RecordBatch::try_from_iter([
            (
                "token",
                Arc::new(StringArray::from(vec![evil, "B"])) as ArrayRef,
            ),
            (
                "ts",
                Arc::new(Int64Array::from(vec![0, 60_000])) as ArrayRef,
            ),
            (
                "price",
                Arc::new(Float64Array::from(vec![1.0, 2.0])) as ArrayRef,
            ),
        ])
        .unwrap();
        let mut plot = Plot::of(&batch.schema(), "").unwrap();
        plot.add(&batch).unwrap();
        let page = Page {
            title: evil,
            subtitle: evil,
            sql: evil,
            parameters: &[(evil.to_owned(), evil.to_owned())],
            figures: evil,
            columns: &[evil.to_owned()],
            rows: &[vec![Some(evil.to_owned())], vec![None]],
            row_count: 3,
            plot: Some(&plot.sorted()),
        };
        let html = page.html();
        assert!(
            !html.contains("<img") && !html.contains("</script"),
            "{html}"
        );
        for part in [
            "<polyline",
            "<circle",
            "default-src 'none'",
            "NULL",
            "The first 2 of 3 rows",
        ] {
            assert!(html.contains(part), "{part}: {html}");
        }
        assert!(
            !html.contains("http://") && !html.contains("https://"),
            "{html}"
        );
    }

    #[test]
    fn many_points_are_thinned_to_their_extremes() {
        let points: Vec<(i64, f64)> = (0..100_000)
            .map(|time| (time, if time == 55_555 { 9.0 } else { 1.0 }))
            .collect();
        let kept = thinned(&points);
        assert!(kept.len() <= POINTS_DRAWN_MAX, "{}", kept.len());
        assert!(kept.contains(&(55_555, 9.0)));
        assert!(kept.is_sorted_by_key(|(time, _)| *time));
    }
}
