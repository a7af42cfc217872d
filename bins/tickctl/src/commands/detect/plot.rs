//! A page with a series and its anomalies: one SVG, no script, nothing from elsewhere.

use domain::detection::Assessment;

/// The picture, in CSS pixels.
const WIDTH: f64 = 1_600.0;
const HEIGHT: f64 = 420.0;
const MARGIN: f64 = 20.0;

/// A line has at most two points for each of so many columns: the lowest and the highest value.
const COLUMNS: usize = 1_600;

/// A series and its anomalies.
#[derive(Debug, Default)]
pub(super) struct Plot {
    points: Vec<(i64, f64)>,
    marks: Vec<Mark>,
}

#[derive(Debug)]
struct Mark {
    timestamp_ms: i64,
    value: f64,
    text: String,
}

impl Plot {
    pub(super) fn add(&mut self, timestamp_ms: i64, value: f64, assessment: &Assessment) {
        self.points.push((timestamp_ms, value));
        if let Some(detection) = assessment.detection.filter(|_| assessment.is_reported) {
            let (time, score, kind) = (time_text(timestamp_ms), assessment.score, detection.kind);
            self.marks.push(Mark {
                timestamp_ms,
                value,
                text: format!("{time} {kind} {score:.3}: {}", detection.message()),
            });
        }
    }

    /// The page.
    pub(super) fn html(&self) -> String {
        let scale = Scales::of(&self.points);
        let mut path = String::new();
        for (ms, value) in self.thinned() {
            let (x, y) = scale.place(ms, value);
            let command = if path.is_empty() { 'M' } else { 'L' };
            path.push_str(&format!("{command}{x:.1} {y:.1}"));
        }
        let (mut circles, mut rows) = (String::new(), String::new());
        for mark in &self.marks {
            let (x, y) = scale.place(mark.timestamp_ms, mark.value);
            let text = escaped(&mark.text);
            circles.push_str(&format!(
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"5\"><title>{text}</title></circle>\n"
            ));
            rows.push_str(&format!("<li>{text}</li>\n"));
        }
        format!(
            "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>Anomalies</title>\n\
             <style>body{{font:14px system-ui,sans-serif;margin:2rem}}svg{{width:100%;border:1px solid #ccc}}\
             path{{fill:none;stroke:#357;stroke-width:1}}circle{{fill:#d33;fill-opacity:.7}}</style>\n\
             <h1>{} anomalies in {} values</h1>\n\
             <p>From {} to {}; the lowest value is {}, the highest {}.</p>\n\
             <svg viewBox=\"0 0 {WIDTH} {HEIGHT}\"><path d=\"{path}\"/>\n{circles}</svg>\n<ol>\n{rows}</ol>\n</html>\n",
            self.marks.len(),
            self.points.len(),
            time_text(scale.first_ms),
            time_text(scale.last_ms),
            scale.low,
            scale.high,
        )
    }

    /// The points that are visibly different at the size of the plot.
    fn thinned(&self) -> Vec<(i64, f64)> {
        let per_column = self.points.len().div_ceil(COLUMNS).max(1);
        let columns = self.points.chunks(per_column);
        let ends = columns.flat_map(|column| {
            let by_value = |a: &&(i64, f64), b: &&(i64, f64)| a.1.total_cmp(&b.1);
            let mut ends: Vec<(i64, f64)> = [
                column.iter().min_by(by_value),
                column.iter().max_by(by_value),
            ]
            .into_iter()
            .flatten()
            .copied()
            .collect();
            ends.sort_by_key(|(ms, _)| *ms);
            ends.dedup();
            ends
        });
        ends.collect()
    }
}

/// From time and value to the picture.
struct Scales {
    first_ms: i64,
    last_ms: i64,
    low: f64,
    high: f64,
}

impl Scales {
    fn of(points: &[(i64, f64)]) -> Self {
        let times = points.iter().map(|(ms, _)| *ms);
        let values = points.iter().map(|(_, value)| *value);
        Self {
            first_ms: times.clone().min().unwrap_or_default(),
            last_ms: times.max().unwrap_or_default(),
            low: values.clone().min_by(f64::total_cmp).unwrap_or_default(),
            high: values.max_by(f64::total_cmp).unwrap_or_default(),
        }
    }

    fn place(&self, ms: i64, value: f64) -> (f64, f64) {
        let elapsed = as_f64(ms.saturating_sub(self.first_ms));
        let duration = as_f64(self.last_ms.saturating_sub(self.first_ms)).max(1.0);
        let height = self.high - self.low;
        let share = if height > 0.0 {
            (value - self.low) / height
        } else {
            0.5
        };
        let x = MARGIN + (WIDTH - 2.0 * MARGIN) * elapsed / duration;
        (x, HEIGHT - MARGIN - (HEIGHT - 2.0 * MARGIN) * share)
    }
}

fn time_text(ms: i64) -> String {
    let time = chrono::DateTime::from_timestamp_millis(ms);
    time.map_or_else(
        || ms.to_string(),
        |time| time.format("%Y-%m-%d %H:%M:%S%.f UTC").to_string(),
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[expect(clippy::cast_precision_loss, reason = "a span of time")]
fn as_f64(ms: i64) -> f64 {
    ms as f64
}
