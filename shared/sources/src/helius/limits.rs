//! The most parts of a transaction that are read and compared. Solana's own limits are lower, so a transaction
//! with more is made up: its parts would have to be compared with each other, which takes long.

use crate::refused::Refused;

/// The most accounts: an index of an account is one byte.
pub(super) const ACCOUNTS_MAX: usize = 256;

/// The most signers: each takes a signature of 64 bytes and an account of 32, of the 1,232 bytes of a
/// transaction.
pub(super) const SIGNERS_MAX: usize = 12;

/// The most instructions, with those that they cause: Solana executes at most 64.
pub(super) const INSTRUCTIONS_MAX: usize = 512;

/// The most accounts of an instruction that are looked at; no transfer names more.
pub(super) const INSTRUCTION_ACCOUNTS_MAX: usize = 4;

/// The most transfers of each kind: one for each instruction.
pub(super) const TRANSFERS_MAX: usize = INSTRUCTIONS_MAX;

/// The most changes of balances, and the most amounts in a list of `events.swap`: one before and one after for
/// each account.
pub(super) const BALANCES_MAX: usize = 2 * ACCOUNTS_MAX;

/// The most parties of a trade, which are compared with each other. A pool has at least three accounts of its
/// own, two of them its vaults, and a transaction locks at most 64.
pub(super) const PARTIES_MAX: usize = 24;

/// Refuses `found` parts if they are more than `max`.
pub(super) fn check(found: usize, max: usize, field: &str, of: &str) -> Result<(), Refused> {
    if found > max {
        return Err(Refused::too_many(field, found, max, of));
    }
    Ok(())
}
