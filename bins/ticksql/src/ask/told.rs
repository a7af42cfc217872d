//! What is told of a query that was answered.

use std::fmt;
use std::time::Duration;

use crate::engine::{EngineName, Figures};
use crate::money::Bill;
use crate::size::Size;

/// What is left of an answer once it is written.
pub(super) struct Told {
    pub(super) engine: EngineName,
    pub(super) rows: usize,
    pub(super) truncated: bool,
    pub(super) elapsed: Duration,
    pub(super) figures: Figures,
}

/// `3 rows in 12 ms, 1 file, 4.2 kB read`, with what it cost, and whether rows are missing.
impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Figures {
            query_id,
            scanned_bytes,
            files,
            reused,
            queued,
            ..
        } = &self.figures;
        let took = seconds(self.elapsed);
        write!(f, "{} in {took}", counted(self.rows, "row"))?;
        if !queued.is_zero() {
            write!(f, " (queued {})", seconds(*queued))?;
        }
        if let Some(files) = files {
            write!(f, ", {}", counted(*files, "file"))?;
        }
        let scanned = Size(*scanned_bytes);
        match self.engine {
            EngineName::Local => write!(f, ", {scanned} read")?,
            EngineName::Athena if *reused => {
                let bill = Bill::NOTHING;
                write!(
                    f,
                    ", {scanned} scanned, {bill}: the answer of an earlier run"
                )?;
            }
            EngineName::Athena => {
                let bill = Bill::of_scanned(*scanned_bytes);
                write!(f, ", {scanned} scanned, {bill}")?;
            }
        }
        if let Some(id) = query_id {
            write!(f, ", query {id}")?;
        }
        if self.truncated {
            write!(
                f,
                "; there are more rows: give --max-rows above {}, or a LIMIT",
                self.rows
            )?;
        }
        Ok(())
    }
}

pub(crate) fn counted(number: usize, name: &str) -> String {
    format!("{number} {name}{}", if number == 1 { "" } else { "s" })
}

fn seconds(time: Duration) -> String {
    if time < Duration::from_secs(10) {
        format!("{:.0} ms", time.as_secs_f64() * 1_000.0)
    } else {
        format!("{:.1} s", time.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_told_with_its_cost() {
        let told = |engine, scanned_bytes, reused| {
            let told = Told {
                engine,
                rows: 1,
                truncated: false,
                elapsed: Duration::from_millis(12),
                figures: Figures {
                    scanned_bytes,
                    reused,
                    ..Figures::default()
                },
            };
            told.to_string()
        };
        assert_eq!(
            told(EngineName::Local, 4_200, false),
            "1 row in 12 ms, 4.2 kB read"
        );
        assert_eq!(
            told(EngineName::Athena, 20_000_000, false),
            "1 row in 12 ms, 20.0 MB scanned, 20.0 MB billed, $0.000100"
        );
        assert_eq!(
            told(EngineName::Athena, 0, false),
            "1 row in 12 ms, 0 B scanned, nothing billed"
        );
        let reused = told(EngineName::Athena, 0, true);
        assert!(reused.ends_with("nothing billed: the answer of an earlier run"));
    }
}
