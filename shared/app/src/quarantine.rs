//! The quarantine as JSON lines, which SQL reads from files in a data folder or objects in a bucket.

use std::borrow::Cow;

use domain::Malformed;
use serde::{Deserialize, Serialize};

use crate::ports::Quarantined;

/// One line. The names are the columns of the table `quarantine` (`sql/tables/quarantine.sql`).
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Line<'a> {
    /// Epoch milliseconds.
    received_at: i64,
    source: Cow<'a, str>,
    reason: domain::Reason,
    severity: domain::Severity,
    message: Cow<'a, str>,
    /// The raw entry, truncated.
    raw: Cow<'a, str>,
    /// The entry's full size.
    raw_bytes: usize,
    /// Its position in its delivery.
    index: usize,
}

impl From<Quarantined> for Line<'static> {
    fn from(kept: Quarantined) -> Self {
        Self {
            received_at: kept.received_at_ms,
            source: kept.source.into(),
            reason: kept.entry.reason,
            severity: kept.entry.reason.severity(),
            message: kept.entry.message.into(),
            raw: kept.entry.raw.into(),
            raw_bytes: kept.entry.raw_bytes,
            index: kept.entry.index,
        }
    }
}

impl From<Line<'_>> for Quarantined {
    fn from(line: Line<'_>) -> Self {
        Self {
            received_at_ms: line.received_at,
            source: line.source.into_owned(),
            entry: Malformed {
                index: line.index,
                reason: line.reason,
                message: line.message.into_owned(),
                raw: line.raw.into_owned(),
                raw_bytes: line.raw_bytes,
            },
        }
    }
}

impl Quarantined {
    /// Appends the entry to a file's content as one line of JSON.
    ///
    /// # Errors
    /// If the entry cannot be written as JSON; no entry is known that cannot.
    pub fn append_line(&self, content: &mut Vec<u8>) -> Result<(), serde_json::Error> {
        let Self {
            received_at_ms,
            source,
            entry,
        } = self;
        let line = Line {
            received_at: *received_at_ms,
            source: Cow::from(source),
            reason: entry.reason,
            severity: entry.reason.severity(),
            message: Cow::from(&entry.message),
            raw: Cow::from(&entry.raw),
            raw_bytes: entry.raw_bytes,
            index: entry.index,
        };
        serde_json::to_writer(&mut *content, &line)?;
        content.push(b'\n');
        Ok(())
    }

    /// Reads a line that [`Quarantined::append_line`] wrote.
    ///
    /// # Errors
    /// If it is not such a line.
    pub fn from_line(line: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice::<Line<'_>>(line).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use domain::Reason;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_line_has_the_columns_of_the_quarantine() {
        let entry = |index| Quarantined {
            received_at_ms: 1_767_312_000_000,
            source: "helius".to_owned(),
            entry: Malformed::new(index, Reason::InvalidPrice, "price -1", b"{\"price\":-1}\n"),
        };
        let mut content = Vec::new();
        for index in [0, 3] {
            entry(index).append_line(&mut content).unwrap();
        }
        let text = String::from_utf8(content).unwrap();
        assert!(text.ends_with("}\n"));
        assert_eq!(text.lines().count(), 2);
        let last = text.lines().last().unwrap();
        assert_eq!(Quarantined::from_line(last.as_bytes()).unwrap(), entry(3));
        let line: Value = serde_json::from_str(last).unwrap();
        assert_eq!(
            line,
            json!({
                "received_at": 1_767_312_000_000_i64,
                "source": "helius",
                "reason": "invalid_price",
                "severity": "error",
                "message": "price -1",
                "raw": "{\"price\":-1}\n",
                "raw_bytes": 13,
                "index": 3,
            })
        );
    }
}
