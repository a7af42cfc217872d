//! Whether the transfers of a transaction show more than one trade.
//!
//! The net amounts of several trades are not a price at which anybody traded, so a transaction that
//! holds them is refused. Balances alone do not show it if all went through the same pool.

use std::collections::BTreeMap;

use domain::aliases::SOL_MINT;
use rust_decimal::Decimal;

use crate::helius::movements::Movements;
use crate::helius::quote_side::Sides;
use crate::helius::transfers::Transfer;

/// The share of a mint that must flow back for it to count as moved both ways: a thousandth.
const BACK_SHARE_MIN: Decimal = Decimal::from_parts(1, 0, 0, false, 3);

/// The share of a vault's largest transfer that is more than a fee: a twentieth.
const PART_SHARE_MIN: Decimal = Decimal::from_parts(5, 0, 0, false, 2);

/// Whether a trader and its counterparties made more than one trade of the same two mints.
pub(super) fn in_transfers(
    moved: &Movements<'_>,
    trader: &str,
    parties: &[&str],
    sides: &Sides<'_>,
) -> bool {
    moved_both_ways(moved, trader, sides)
        || parties.iter().any(|party| {
            let came_back = moves_back(moved, party, &sides.received.mint);
            came_back || is_repeated(moved, party, sides)
        })
}

/// Whether both mints of a trade moved to and from a party. (If the mint that was paid comes back
/// alone, it is the change.)
pub(super) fn moved_both_ways(moved: &Movements<'_>, party: &str, sides: &Sides<'_>) -> bool {
    moves_back(moved, party, &sides.paid.mint) && moves_back(moved, party, &sides.received.mint)
}

fn moves_back(moved: &Movements<'_>, party: &str, mint: &str) -> bool {
    is_both_ways(moved.gross(party, mint))
}

/// Whether a mint moved to and from one of some parties, among these alone: so fees do not count.
pub(super) fn moves_back_among(moved: &Movements<'_>, parties: &[&str], mint: &str) -> bool {
    let mut gross: BTreeMap<&str, (Decimal, Decimal)> = BTreeMap::new();
    for transfer in moved
        .transfers
        .iter()
        .filter(|transfer| transfer.mint == mint)
    {
        let (from, to) = (transfer.from.as_ref(), transfer.to.as_ref());
        if !transfer.is_native && parties.contains(&from) && parties.contains(&to) {
            let gained = &mut gross.entry(to).or_default().0;
            *gained = gained.checked_add(transfer.amount).unwrap_or(*gained);
            let gave = &mut gross.entry(from).or_default().1;
            *gave = gave.checked_add(transfer.amount).unwrap_or(*gave);
        }
    }
    gross.into_values().any(is_both_ways)
}

fn is_both_ways((gained, gave): (Decimal, Decimal)) -> bool {
    let most = gained.max(gave).checked_mul(BACK_SHARE_MIN);
    gained.min(gave) > most.unwrap_or_default()
}

/// Whether a pool was paid more than once and paid out more than once: two trades in the same
/// direction, for one person or for several.
fn is_repeated(moved: &Movements<'_>, pool: &str, sides: &Sides<'_>) -> bool {
    let paid = |transfer: &Transfer<'_>| transfer.to == pool;
    let received = |transfer: &Transfer<'_>| transfer.from == pool;
    parts(moved, pool, &sides.paid.mint, paid, |transfer| {
        &transfer.to_account
    }) > 1
        && parts(moved, pool, &sides.received.mint, received, |transfer| {
            &transfer.from_account
        }) > 1
}

/// The most transfers of a mint, without fees, that one of a pool's vaults took part in. A program
/// may have one owner for all of its pools, so each vault counts for itself.
fn parts(
    moved: &Movements<'_>,
    pool: &str,
    mint: &str,
    is_own: impl Fn(&Transfer<'_>) -> bool,
    vault: impl for<'t> Fn(&'t Transfer<'_>) -> &'t str,
) -> usize {
    let own = |is_native: bool| {
        let mut by_vault: BTreeMap<&str, Vec<Decimal>> = BTreeMap::new();
        for (transfer, _) in moved.transfers.of(pool) {
            if transfer.mint == mint && transfer.is_native == is_native && is_own(transfer) {
                let amounts = by_vault.entry(vault(transfer)).or_default();
                amounts.push(transfer.amount);
            }
        }
        by_vault
    };
    let mut by_vault = own(false);
    if by_vault.is_empty() && mint == SOL_MINT {
        by_vault = own(true);
    }
    let parts = by_vault.values().map(|amounts| {
        let most = amounts.iter().max().copied().unwrap_or_default();
        let least = most.checked_mul(PART_SHARE_MIN).unwrap_or_default();
        amounts.iter().filter(|amount| **amount > least).count()
    });
    parts.max().unwrap_or_default()
}
