//! Determines what the market traded, from what moved in a transaction.
//!
//! The price is the pool's change of the quote over its change of the base. Fees that a pool or a
//! platform pays on, tips, rent and the transfer fees of Token-2022 change what the trader pays or
//! receives, but not what the pool received and gave.
//!
//! - The **trader** is the fee payer, another signer, or whoever pays first; if none of them traded
//!   (a keeper fills somebody else's order), it is the owner whose removal leaves its counterparties.
//! - **Pools** are the other owners that gained one mint and gave up another. They are added up: what passes
//!   from one pool to the next cancels out, and a trade split over several pools is one trade. Some
//!   programs give each vault an owner of its own: then the vaults that took the one mint and gave
//!   the other are the pool.
//! - Trades in both directions, or of different pairs, have no price in common: they are refused.
//!
//! A change of liquidity moves both mints the same way, and a mint or burn has no counterparty, so
//! neither is mistaken for a trade.

use std::borrow::Cow;
use std::collections::BTreeMap;

use domain::aliases::SOL_MINT;
use rust_decimal::Decimal;

use crate::helius::flows::Flows;
use crate::helius::movements::{Change, Movements, Owners};
use crate::helius::quote_side::{Side, Sides};
use crate::refused::Refused;

/// The largest fee in a token between trader and pool: half of the amount, which Token-2022 mints
/// with absurd fees stay below.
const FEE_MAX: Decimal = Decimal::from_parts(5, 0, 0, false, 1);

/// The largest difference between what a trader nobody named and its counterparties moved: a fifth.
const UNNAMED_DIFFERENCE_MAX: Decimal = Decimal::from_parts(2, 0, 0, false, 1);

/// The most that receivers other than the pool's vault get of what the trader paid: a tenth of what
/// the vault gets.
const OTHERS_SHARE_MAX: Decimal = Decimal::from_parts(1, 0, 0, false, 1);

/// The share of a mint that must flow back for it to count as moved both ways: a thousandth.
const BACK_SHARE_MIN: Decimal = Decimal::from_parts(1, 0, 0, false, 3);

/// How much more of its holdings a trader moves than a pool, at least.
const SHARE_RATIO_MIN: Decimal = Decimal::TEN;

/// What was found in a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found<'a> {
    /// One trade, from the trader's view.
    Trade(Sides<'a>),
    /// Trades that have no price in common.
    Several,
    /// Owners gave up one mint for another, but who traded with whom cannot be told.
    Unclear,
    /// No trade.
    Nothing,
}

/// Finds the trade, by the balances, or by the transfers if balances show none.
pub(super) fn find<'a>(moved: &Movements<'a>) -> Result<Found<'a>, Refused> {
    match find_among(&moved.owners, moved)? {
        Found::Nothing => find_among(&moved.by_transfers()?, moved),
        found @ (Found::Trade(_) | Found::Several | Found::Unclear) => Ok(found),
    }
}

fn find_among<'a>(owners: &Owners<'a>, moved: &Movements<'a>) -> Result<Found<'a>, Refused> {
    let first_payer = moved
        .transfers
        .iter()
        .find(|transfer| !transfer.is_native && !transfer.from.is_empty());
    let mut named: Vec<&str> = vec![&moved.fee_payer];
    named.extend(moved.signers.iter().map(AsRef::as_ref));
    named.extend(first_payer.map(|transfer| transfer.from.as_ref()));
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
        None => by_unnamed_trader(owners, moved),
    }
}

/// The trade of a trader with everybody else; `difference_max` bounds how much their amounts differ.
fn against<'a>(
    owners: &Owners<'a>,
    trader: &str,
    moved: &Movements<'a>,
    difference_max: Decimal,
) -> Result<Found<'a>, Refused> {
    let Some(own) = owners.get(trader) else {
        return Ok(Found::Nothing);
    };
    // A fee payer that gains a token and pays rent gave nothing in exchange, so it is no pool.
    let others = || {
        owners
            .iter()
            .filter(|(owner, _)| *owner != trader && **owner != moved.fee_payer)
    };
    let pools: Vec<_> = others()
        .filter_map(|(owner, change)| Some((owner, change.of_pool()?)))
        .collect();
    let own_sides = own.of_trader(moved.tips_of(trader));
    let by_pools = total(pools.iter().map(|(_, flows)| flows), own_sides.as_ref())?;
    let by_pools = by_pools.filter(|sides| agree(own, sides, difference_max));
    if let Some(sides) = by_pools {
        let is_opposite = |pool: &Flows<'_>| {
            let gave = -pool.of(&sides.paid.mint);
            let took = pool.of(&sides.received.mint);
            gave > Decimal::ZERO || took > Decimal::ZERO
        };
        let mut parties = pools.iter().map(|(owner, _)| owner.as_ref());
        let is_several = pools.iter().any(|(_, pool)| is_opposite(pool))
            || moved_both_ways(moved, trader, &sides)
            || parties.any(|party| moved_both_ways(moved, party, &sides));
        return Ok(if is_several {
            Found::Several
        } else {
            Found::Trade(sides)
        });
    }
    let Some(own_sides) = own_sides else {
        return Ok(Found::Nothing);
    };
    let changes: Vec<_> = others().map(|(_, change)| change).collect();
    let found = by_vaults(&changes, &own_sides);
    if let Found::Trade(sides) = &found
        && (!agree(own, sides, difference_max) || moved_both_ways(moved, trader, sides))
    {
        return Ok(Found::Several);
    }
    Ok(found)
}

/// What all pools together received and gave, from the trader's view. Transfer fees of Token-2022
/// leave a rest of a mint that passes from one pool to the next.
fn total<'s, 'a: 's>(
    pools: impl Iterator<Item = &'s Flows<'a>>,
    own: Option<&Sides<'a>>,
) -> Result<Option<Sides<'a>>, Refused> {
    let (mut net, mut gave) = (Flows::default(), Flows::default());
    for pool in pools {
        net.add_all(pool)?;
        for (mint, amount) in pool.moved().filter(|(_, amount)| amount.is_sign_negative()) {
            gave.add(mint.clone(), amount.abs())?;
        }
    }
    if let Some(sides) = net.sides() {
        return Ok(Some(sides.reversed()));
    }
    let Some(own) = own else {
        return Ok(None);
    };
    let is_rest = |(mint, amount): (&Cow<'a, str>, Decimal)| {
        **mint == own.paid.mint
            || **mint == own.received.mint
            || gave
                .of(mint)
                .checked_mul(FEE_MAX)
                .is_some_and(|most| amount.is_sign_negative() && amount.abs() < most)
    };
    if !net.moved().all(is_rest) {
        return Ok(None);
    }
    net.retain(|mint| own.paid.mint == mint || own.received.mint == mint);
    Ok(net.sides().map(Sides::reversed))
}

/// The trade with vaults that each have an owner of its own.
fn by_vaults<'a>(others: &[&Change<'a>], own: &Sides<'a>) -> Found<'a> {
    // Native SOL that another account gained may be rent or a fee: a vault holds wrapped SOL.
    let mut took = amounts(others, &own.paid.mint, false, Sol::Wrapped);
    let gave = amounts(others, &own.received.mint, true, Sol::Wrapped);
    let (Some(largest), Some(given)) = (took.pop(), sum(&gave)) else {
        return Found::Nothing;
    };
    // Fees of platforms, tips and rent go to others than the vault.
    let Some(rest) = sum(&took).or(Some(Decimal::ZERO)) else {
        return Found::Unclear;
    };
    let most = largest.checked_mul(OTHERS_SHARE_MAX).unwrap_or_default();
    if rest > most {
        return Found::Unclear;
    }
    Found::Trade(Sides {
        paid: Side {
            mint: own.paid.mint.clone(),
            amount: largest,
        },
        received: Side {
            mint: own.received.mint.clone(),
            amount: given,
        },
    })
}

/// Which SOL is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sol {
    Wrapped,
    /// Native SOL, if no wrapped SOL moved.
    Any,
}

/// The amounts of a mint that others gained or gave up, in ascending order.
fn amounts(others: &[&Change<'_>], mint: &str, gave: bool, sol: Sol) -> Vec<Decimal> {
    let of = |read: &dyn Fn(&Change<'_>) -> Decimal| {
        let amounts = others.iter().map(|change| read(change));
        let amounts = amounts.filter(|amount| !amount.is_zero());
        let mut amounts: Vec<_> = amounts
            .filter(|amount| amount.is_sign_negative() == gave)
            .map(|amount| amount.abs())
            .collect();
        amounts.sort_unstable();
        amounts
    };
    let tokens = of(&|change| change.tokens.of(mint));
    if tokens.is_empty() && mint == SOL_MINT && sol == Sol::Any {
        return of(&|change| change.native);
    }
    tokens
}

/// The sum of amounts; `None` if there are none, or the sum does not fit.
fn sum(amounts: &[Decimal]) -> Option<Decimal> {
    let (first, rest) = amounts.split_first()?;
    rest.iter()
        .try_fold(*first, |sum, amount| sum.checked_add(*amount))
}

/// Whether a trader's own tokens moved as its counterparties say. SOL also pays for fees and rent, so
/// it need not agree.
fn agree(own: &Change<'_>, sides: &Sides<'_>, difference_max: Decimal) -> bool {
    let agrees = |side: &Side<'_>, gained: bool| {
        let amount = own.tokens.of(&side.mint);
        side.mint == SOL_MINT
            || (!amount.is_zero()
                && amount.is_sign_positive() == gained
                && near(amount.abs(), side.amount, difference_max))
    };
    agrees(&sides.paid, false) && agrees(&sides.received, true)
}

fn near(left: Decimal, right: Decimal, difference_max: Decimal) -> bool {
    let (small, large) = (left.min(right), left.max(right));
    let most = large.checked_mul(difference_max);
    let apart = large.checked_sub(small);
    apart.zip(most).is_some_and(|(apart, most)| apart <= most)
}

/// Whether both mints of a trade moved to and from a party: it traded in both directions. (One mint
/// alone that comes back is the change of what was paid in.)
fn moved_both_ways(moved: &Movements<'_>, party: &str, sides: &Sides<'_>) -> bool {
    let both_ways = |mint: &str| {
        let (gained, gave) = moved.gross(party, mint);
        let least = gained
            .max(gave)
            .checked_mul(BACK_SHARE_MIN)
            .unwrap_or_default();
        gained.min(gave) > least
    };
    both_ways(&sides.paid.mint) && both_ways(&sides.received.mint)
}

/// The trade of somebody who neither signed nor is known to have paid first.
fn by_unnamed_trader<'a>(owners: &Owners<'a>, moved: &Movements<'a>) -> Result<Found<'a>, Refused> {
    let swapped: Vec<_> = owners
        .iter()
        .filter(|(owner, _)| **owner != moved.fee_payer)
        .filter_map(|(owner, change)| Some((owner, change.of_pool()?)))
        .collect();
    match swapped.as_slice() {
        [] => return Ok(Found::Nothing),
        [(pool, flows)] => {
            return Ok(match flows.sides() {
                Some(sides) => by_single_pool(owners, pool, sides),
                None => Found::Nothing,
            });
        }
        _ => {}
    }
    // By what is traded, whoever's view it is.
    let mut trades: BTreeMap<_, (&str, Sides<'a>)> = BTreeMap::new();
    let mut is_several = false;
    for (trader, flows) in &swapped {
        let Some(own) = flows.sides() else { continue };
        match against(owners, trader, moved, UNNAMED_DIFFERENCE_MAX)? {
            Found::Trade(sides) if same_amounts(&own, &sides) => {
                let mut key = [
                    (sides.paid.mint.clone(), sides.paid.amount),
                    (sides.received.mint.clone(), sides.received.amount),
                ];
                key.sort();
                trades.entry(key).or_insert((trader, sides));
            }
            Found::Several => is_several = true,
            Found::Trade(_) | Found::Unclear | Found::Nothing => {}
        }
    }
    let mut by_share: Vec<_> = trades
        .into_values()
        .map(|(trader, sides)| (moved.share_moved.get(trader).copied(), sides))
        .collect();
    by_share.sort_by_key(|(share, _)| *share);
    let found = match (by_share.pop(), by_share.pop()) {
        (None, _) if is_several => Found::Several,
        (None, _) => Found::Unclear,
        (Some((_, sides)), None) => Found::Trade(sides),
        (Some((Some(most), sides)), Some((Some(next), _)))
            if next
                .checked_mul(SHARE_RATIO_MIN)
                .is_some_and(|least| most >= least) =>
        {
            Found::Trade(sides)
        }
        _ => Found::Unclear,
    };
    Ok(found)
}

/// Whether an owner that nobody named moved about what its counterparties moved, SOL included.
fn same_amounts(own: &Sides<'_>, sides: &Sides<'_>) -> bool {
    let same = |own: &Side<'_>, other: &Side<'_>| {
        own.mint == other.mint && near(own.amount, other.amount, UNNAMED_DIFFERENCE_MAX)
    };
    same(&own.paid, &sides.paid) && same(&own.received, &sides.received)
}

/// The trade of the only owner that gave up one mint for another: somebody paid it what it received,
/// and what it gave went to one receiver. With more receivers, it may be the pool or the trader.
fn by_single_pool<'a>(owners: &Owners<'a>, pool: &str, sides: Sides<'a>) -> Found<'a> {
    let others: Vec<_> = owners
        .iter()
        .filter(|(owner, _)| *owner != pool)
        .map(|(_, change)| change)
        .collect();
    let paid = sum(&amounts(&others, &sides.received.mint, true, Sol::Any));
    if !paid.is_some_and(|paid| near(paid, sides.received.amount, FEE_MAX)) {
        return Found::Nothing;
    }
    match amounts(&others, &sides.paid.mint, false, Sol::Any).as_slice() {
        [] => Found::Nothing,
        [_] => Found::Trade(sides.reversed()),
        _ => Found::Unclear,
    }
}
