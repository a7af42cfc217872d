//! Counts the work of reading a delivery, and ends it at a limit.
//!
//! Everything that a source reads passes through a few functions of this crate (the elements of an array,
//! the members of an object, a text, a number, the outcome of an entry), which count here. So a new source
//! is counted, too; only a loop over what it has already read must call [`spend`] itself. Work is counted
//! and not timed, so that the same delivery always has the same outcome.

use std::cell::Cell;

use domain::Reason;

use crate::refused::Refused;

/// The most work for a delivery, in units of about a nanosecond. An entry that needs more is refused, and so
/// are those after it. The largest delivery of any source takes less than half of it, so that only made-up
/// ones reach it.
pub const WORK_MAX: u64 = 100_000_000;

/// Reading a byte of JSON, which may be the last of a value.
pub(crate) const BYTE: usize = 3;

/// An element of an array, or a member of an object, that is kept.
pub(crate) const PART: usize = 20;

/// The outcome of an entry: its names, its identity, or its message.
pub(crate) const ENTRY: usize = 1_000;

thread_local! {
    static SPENT: Cell<u64> = const { Cell::new(0) };
}

/// Runs `read` with a count of its own, which it returns.
pub(crate) fn counted<T>(read: impl FnOnce() -> T) -> (T, u64) {
    let outer = SPENT.replace(0);
    let result = read();
    (result, SPENT.replace(outer))
}

/// Counts `units` for each of `count` steps.
pub(crate) fn spend(count: usize, units: usize) {
    let work = u64::try_from(count.saturating_mul(units)).unwrap_or(u64::MAX);
    SPENT.set(SPENT.get().saturating_add(work));
}

/// Refuses what is read once the work is used up.
pub(crate) fn check() -> Result<(), Refused> {
    if SPENT.get() <= WORK_MAX {
        return Ok(());
    }
    Err(Refused::new(
        Reason::TooManyParts,
        "the delivery takes too much work to read and compare: send fewer entries, or fewer parts \
         (such as accounts, transfers or members) in each",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_delivery_has_a_count_of_its_own() {
        spend(1, 7);
        let (inner, spent) = counted(|| {
            spend(3, 5);
            counted(|| spend(usize::MAX, 2)).1
        });
        assert_eq!((inner, spent), (u64::MAX, 15));
        assert!(check().is_ok());
    }

    #[test]
    fn work_ends_after_the_limit() {
        let (checked, _) = counted(|| {
            spend(usize::try_from(WORK_MAX).unwrap(), 1);
            let before = check();
            spend(1, 1);
            (before, check().map_err(|refused| refused.reason))
        });
        assert_eq!(checked, (Ok(()), Err(Reason::TooManyParts)));
    }
}
