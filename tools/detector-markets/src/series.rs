//! Series of prices, and how they are read.

use std::error::Error;
use std::fs;
use std::path::Path;

/// A price at a time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tick {
    pub ms: i64,
    pub price: f64,
    /// The venue, if the pair is on several.
    pub venue: usize,
}

/// The prices of a pair.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    pub name: String,
    pub ticks: Vec<Tick>,
    /// Whether the ticks come from several venues.
    pub is_split: bool,
}

impl Series {
    /// Reads the CSV files of a folder, in the order of their names.
    ///
    /// # Errors
    /// If the folder or a file cannot be read, or a file is not a series.
    pub fn folder(folder: &Path) -> Result<Vec<Self>, Box<dyn Error>> {
        let mut paths: Vec<_> = fs::read_dir(folder)?
            .map(|entry| entry.map(|it| it.path()))
            .collect::<Result<_, _>>()?;
        paths.retain(|path| path.extension().is_some_and(|it| it == "csv"));
        paths.sort();
        let read = |path: &std::path::PathBuf| {
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            Self::parse(&name, &fs::read_to_string(path)?)
                .map_err(|error| format!("{}: {error}", path.display()).into())
        };
        paths.iter().map(read).collect()
    }

    /// A CSV file: the time in `timestamp` or `time` (milliseconds since the epoch), the price in `value`, `price` or
    /// `close`, and no quoted fields.
    fn parse(name: &str, text: &str) -> Result<Self, Box<dyn Error>> {
        let mut lines = text.lines();
        let header: Vec<&str> = lines.next().unwrap_or_default().split(',').collect();
        let column = |names: &[&str]| {
            let found = header.iter().position(|it| names.contains(&it.trim()));
            found.ok_or_else(|| format!("no column {}", names.join(" or ")))
        };
        let time = column(&["timestamp", "time"])?;
        let price = column(&["value", "price", "close"])?;
        let mut ticks = Vec::new();
        for line in lines.filter(|line| !line.trim().is_empty()) {
            let fields: Vec<&str> = line.split(',').map(str::trim).collect();
            let field = |at: usize| fields.get(at).copied().unwrap_or_default();
            let tick = Tick {
                ms: field(time)
                    .parse()
                    .map_err(|_| format!("not a time: {line}"))?,
                price: field(price)
                    .parse()
                    .map_err(|_| format!("not a price: {line}"))?,
                venue: 0,
            };
            ticks.push(tick);
        }
        Ok(Self {
            name: name.to_owned(),
            ticks,
            is_split: false,
        })
    }

    pub fn days(&self) -> f64 {
        match (self.ticks.first(), self.ticks.last()) {
            (Some(first), Some(last)) => (last.ms - first.ms) as f64 / 86_400_000.0,
            _ => 0.0,
        }
    }

    /// The mean time between ticks, in milliseconds.
    pub fn gap_ms(&self) -> f64 {
        self.days() * 86_400_000.0 / (self.ticks.len().max(2) - 1) as f64
    }
}
