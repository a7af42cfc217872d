//! Puts ticks where they are missing.

use super::compare::Lacking;
use super::proof::Repaired;
use super::{Repair, VerifyError};

/// The most ticks of a repair that are appended or written at once.
pub(super) const REPAIR_TICKS_MAX: usize = 500;

/// Appends and writes what a part lacks.
pub(super) async fn put_back(
    repair: &dyn Repair,
    lacking: &Lacking,
    repaired: &mut Repaired,
) -> Result<(), VerifyError> {
    let failed = |repaired: &Repaired| {
        let done = repaired.appended + repaired.archived;
        move |source| VerifyError::Repair { done, source }
    };
    for ticks in lacking.in_stream.chunks(REPAIR_TICKS_MAX) {
        let appended = repair.append(ticks).await;
        repaired.appended += appended.map_err(failed(repaired))?;
    }
    if !lacking.in_archive.is_empty() {
        repair
            .archive(&lacking.in_archive)
            .await
            .map_err(failed(repaired))?;
        repaired.archived += lacking.in_archive.len() as u64;
    }
    Ok(())
}
