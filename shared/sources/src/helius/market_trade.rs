//! Finds the trade in a transaction: who the trader is, and what the market gave it.
//!
//! The trader is the fee payer or another signer; if none of them traded (a keeper fills somebody
//! else's order), it is searched for (`unnamed_trader`). What it traded is what its counterparties
//! moved (`counterparties`).

use crate::helius::counterparties::{FEE_MAX, Found, against};
use crate::helius::movements::{Movements, Owners};
use crate::helius::{no_price, unnamed_trader};
use crate::refused::Refused;

/// The most owners, transfers and signers: a transaction has at most 256 accounts, and 19 signatures
/// fit in it. More of them are made up, and would take long to compare.
const OWNERS_MAX: usize = 512;
const TRANSFERS_MAX: usize = 1_024;
pub(super) const SIGNERS_MAX: usize = 32;

/// Finds the trade, by the balances, or by the transfers if balances show none.
pub(super) fn find<'a>(moved: &Movements<'a>) -> Result<Found<'a>, Refused> {
    if moved.owners.len() > OWNERS_MAX || moved.transfers.len() > TRANSFERS_MAX {
        return Ok(Found::Unclear);
    }
    let found = match find_among(&moved.owners, moved)? {
        Found::Nothing => find_among(&moved.by_transfers()?, moved)?,
        found @ (Found::Trade(_) | Found::Several | Found::Unclear) => found,
    };
    if moved.programs.lends && found != Found::Nothing {
        return Err(no_price::loan());
    }
    Ok(found)
}

fn find_among<'a>(owners: &Owners<'a>, moved: &Movements<'a>) -> Result<Found<'a>, Refused> {
    let mut named: Vec<&str> = vec![&moved.fee_payer];
    named.extend(moved.signers.iter().map(AsRef::as_ref));
    let mut refused = None;
    for trader in named {
        match against(owners, trader, moved, FEE_MAX)? {
            Found::Nothing => {}
            trade @ Found::Trade(_) => return Ok(trade),
            other @ (Found::Several | Found::Unclear) => refused = Some(other),
        }
    }
    match refused {
        Some(refused) => Ok(refused),
        None => unnamed_trader::find(owners, moved),
    }
}
