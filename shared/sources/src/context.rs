//! What a source needs besides a delivery's bytes.

use crate::settings::SourceSettings;

/// The settings of a process that changes none.
static DEFAULT: SourceSettings = SourceSettings::DEFAULT;

/// The circumstances in which a delivery is read.
#[derive(Debug, Clone, Copy)]
pub struct ParseContext<'a> {
    /// Our clock, in milliseconds since the epoch: it becomes the ticks' ingestion time and bounds their
    /// event time.
    pub now_ms: i64,
    /// For a store that has ticks of release 1.0: events before this time (epoch milliseconds) get the
    /// id that 1.0 gave them, so that a delivery that is repeated after the upgrade gives the ticks that
    /// are stored. 0 for a new store.
    pub new_ids_from_ms: i64,
    /// What the operator configured.
    pub settings: &'a SourceSettings,
}

impl ParseContext<'static> {
    /// A new store at this time, in milliseconds since the epoch, with the default settings.
    #[must_use]
    pub fn at(now_ms: i64) -> Self {
        Self {
            now_ms,
            new_ids_from_ms: 0,
            settings: &DEFAULT,
        }
    }
}
