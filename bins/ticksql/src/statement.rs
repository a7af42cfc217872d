//! A statement ready to run, and the values of its parameters.

use query::{ArchiveScan, Place, SqlError, Value, scans};

use crate::named::{Bound, Origins, in_place_of_marks};

/// A statement ready to run: text with `?` for each parameter, values in that order.
#[derive(Debug, Clone)]
pub(crate) struct Statement {
    pub(crate) sql: String,
    pub(crate) parameters: Vec<Value>,
    /// Where it reads the archive, with the conditions on year, month and day of each place; empty
    /// where it reads none (SHOW, DESCRIBE, VALUES).
    pub(crate) scans: Vec<ArchiveScan>,
    /// The names of all else that it reads; `None` where only the engine can read the statement.
    pub(crate) others: Option<Vec<String>>,
    /// Whether it reads these when it runs: EXPLAIN does not.
    pub(crate) runs: bool,
    origins: Origins,
}

impl Statement {
    /// Looks a statement over.
    ///
    /// # Errors
    /// [`SqlError`] where it is no SQL or does more than read, with places in the text that it was
    /// made from.
    pub(crate) fn of(bound: &Bound) -> Result<Self, SqlError> {
        let reading = scans(&bound.sql, &bound.values)
            .map_err(|error| error.placed(|place| bound.origins.of(place)))?;
        Ok(Self {
            scans: reading.scans,
            others: Some(reading.others),
            runs: reading.runs,
            ..Self::unread(bound)
        })
    }

    /// A statement whose dialect only its engine reads: nothing is known of what it reads.
    pub(crate) fn unread(bound: &Bound) -> Self {
        Self {
            sql: bound.sql.clone(),
            parameters: bound.values.clone(),
            scans: Vec::new(),
            others: None,
            runs: true,
            origins: bound.origins.clone(),
        }
    }

    /// The place in the text that it was made from.
    pub(crate) fn origin_of(&self, place: Place) -> Place {
        self.origins.of(place)
    }

    /// The statement with its values in place as literals, for services that take no parameters.
    pub(crate) fn rendered(&self) -> String {
        in_place_of_marks(&self.sql, &self.parameters)
    }
}
