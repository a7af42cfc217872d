//! A statement ready to run, and the values of its parameters.

use query::{ArchiveScan, Position, SqlError, Value, archive_scans};

use crate::named::{BoundPlaceholder, BoundQuery, SourceMap};

/// A statement ready to run: text with `?` for each parameter, values in that order.
#[derive(Debug, Clone)]
pub(crate) struct Statement {
    pub(crate) sql: String,
    pub(crate) parameters: Vec<Value>,
    /// The `?` of the text, in their order.
    pub(crate) placeholders: Vec<BoundPlaceholder>,
    /// Its scans of the archive, each with its conditions on year, month and day; empty if it reads
    /// none (SHOW, DESCRIBE, VALUES).
    pub(crate) scans: Vec<ArchiveScan>,
    /// The names of everything else that it reads; `None` if only the engine can parse the statement.
    pub(crate) others: Option<Vec<String>>,
    /// Whether it reads these when it runs: EXPLAIN does not.
    pub(crate) runs: bool,
    source_map: SourceMap,
}

impl Statement {
    /// Parses a statement.
    ///
    /// # Errors
    /// [`SqlError`] if it is not SQL or does more than read, with positions in the text that it was
    /// generated from.
    pub(crate) fn of(bound: &BoundQuery) -> Result<Self, SqlError> {
        let reads = archive_scans(&bound.sql, &bound.values).map_err(|error| {
            error.with_position(|position| bound.source_map.source_position(position))
        })?;
        Ok(Self {
            scans: reads.scans,
            others: Some(reads.others),
            runs: reads.runs,
            ..Self::unparsed(bound)
        })
    }

    /// A statement whose dialect only its engine can parse: nothing is known of what it reads.
    pub(crate) fn unparsed(bound: &BoundQuery) -> Self {
        Self {
            sql: bound.sql.clone(),
            parameters: bound.values.clone(),
            placeholders: bound.placeholders.clone(),
            scans: Vec::new(),
            others: None,
            runs: true,
            source_map: bound.source_map.clone(),
        }
    }

    /// The position in the text that it was generated from.
    pub(crate) fn source_position(&self, position: Position) -> Position {
        self.source_map.source_position(position)
    }

    /// The values, each with its `?`.
    pub(crate) fn values(&self) -> impl Iterator<Item = (BoundPlaceholder, &Value)> {
        self.placeholders.iter().copied().zip(&self.parameters)
    }

    /// The statement with its values in place as literals.
    pub(crate) fn rendered(&self) -> String {
        let (mut rendered, mut copied) = (String::with_capacity(self.sql.len()), 0);
        for (placeholder, value) in self.values() {
            rendered += self.sql.get(copied..placeholder.offset).unwrap_or_default();
            rendered += &placeholder.literal(value);
            copied = placeholder.offset + 1;
        }
        rendered + self.sql.get(copied..).unwrap_or_default()
    }
}
