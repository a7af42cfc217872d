//! Determines what a trader's counterparties moved: what the market traded.
//!
//! The price is the pool's change of the quote over its change of the base. Fees that a pool or a
//! platform pays on, tips, rent and the transfer fees of Token-2022 change what the trader pays or
//! receives, but not what the pool received and gave.
//!
//! - **Pools** are the other owners that gained one mint and gave up another. They are added up: what passes
//!   from one pool to the next cancels out, and a trade split over several pools is one trade. Some
//!   programs give each vault an owner of its own: then the vaults that took the one mint and gave
//!   the other are the pool.
//! - Trades in both directions, of different pairs, or one after the other have no price in common:
//!   they are refused (`several_trades`).
//! - What the pools do not explain, such as a third mint or a larger amount, is not a trade with them.
//!
//! A change of liquidity moves both mints the same way, and a mint or burn has no counterparty, so
//! neither is mistaken for a trade.

use std::collections::{BTreeMap, BTreeSet};

use domain::aliases::SOL_MINT;
use rust_decimal::Decimal;

use crate::helius::flows::Flows;
use crate::helius::limits::PARTIES_MAX;
use crate::helius::movements::{Change, Movements, Owners};
use crate::helius::quote_side::{Side, Sides};
use crate::helius::several_trades;
use crate::refused::Refused;
use crate::work;

/// The largest fee in a token between trader and pool: half of the amount, which Token-2022 mints
/// with absurd fees stay below.
pub(super) const FEE_MAX: Decimal = Decimal::from_parts(5, 0, 0, false, 1);

/// The most that receivers other than the pool's vault get of what the trader paid: a tenth of what
/// the vault gets.
const OTHERS_SHARE_MAX: Decimal = Decimal::from_parts(1, 0, 0, false, 1);

/// The most of a mint that stays between two pools of a route, if nobody says what was traded: a
/// thousandth of what the one gave.
const REST_MAX: Decimal = Decimal::from_parts(1, 0, 0, false, 3);

/// What was found in a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found<'a> {
    /// One trade, from the trader's view.
    Trade(Sides<'a>),
    /// Trades that have no price in common.
    Several,
    /// Owners gave up one mint for another, but it is unclear who traded with whom.
    Unclear,
    /// No trade.
    Nothing,
}

/// Everybody who may have traded.
pub(super) struct Market<'o, 'a> {
    pub(super) owners: &'o Owners<'a>,
    /// The owners that gained one mint and gave up another.
    pub(super) pools: BTreeMap<&'o str, Flows<'a>>,
}

impl<'o, 'a> Market<'o, 'a> {
    pub(super) fn new(owners: &'o Owners<'a>) -> Self {
        let pool = |(owner, change): (&'o _, &Change<'a>)| {
            let owner: &'o std::borrow::Cow<'a, str> = owner;
            work::spend(1 + change.tokens.len(), 4 * work::PART);
            Some((owner.as_ref(), change.of_pool()?))
        };
        Self {
            owners,
            pools: owners.iter().filter_map(pool).collect(),
        }
    }
}

/// The trade of a trader with everybody else; `difference_max` bounds how much their amounts differ.
pub(super) fn against<'a>(
    market: &Market<'_, 'a>,
    trader: &str,
    moved: &Movements<'a>,
    difference_max: Decimal,
) -> Result<Found<'a>, Refused> {
    let Market { owners, pools } = market;
    let Some(own) = owners.get(trader) else {
        return Ok(Found::Nothing);
    };
    work::check()?;
    work::spend(owners.len(), work::PART);
    // A fee payer that gains a token and pays rent gave nothing in exchange, so it is no pool.
    let others: Vec<_> = owners
        .iter()
        .filter(|(owner, _)| *owner != trader && **owner != moved.fee_payer)
        .map(|(owner, change)| (owner.as_ref(), change))
        .collect();
    let pools: Vec<_> = pools
        .iter()
        .filter(|(owner, _)| **owner != trader && **owner != moved.fee_payer)
        .map(|(owner, flows)| (*owner, flows))
        .collect();
    if pools.len() > PARTIES_MAX {
        return Ok(Found::Unclear);
    }
    let own_sides = own.of_trader(moved.tips_of(trader));
    let by_pools = total(pools.iter().map(|(_, flows)| *flows), own_sides.as_ref())?;
    let by_pools = by_pools.filter(|sides| {
        agree(own, sides, difference_max) && is_complete(own, &others, &pools, sides)
    });
    let (sides, parties): (_, Vec<&str>) = if let Some(sides) = by_pools {
        let is_opposite = |pool: &Flows<'_>| {
            let gave = -pool.of(&sides.paid.mint);
            let took = pool.of(&sides.received.mint);
            gave > Decimal::ZERO || took > Decimal::ZERO
        };
        if pools.iter().any(|(_, pool)| is_opposite(pool)) {
            return Ok(Found::Several);
        }
        let parties: Vec<_> = pools.iter().map(|(owner, _)| *owner).collect();
        let sides = match parties.as_slice() {
            [other] if are_people(moved, trader, other) => between(own, sides),
            _ => sides,
        };
        (sides, parties)
    } else {
        let Some(own_sides) = own_sides else {
            // Such as a receipt for a deposit: then what was paid was not for what was received alone.
            let has_many = own.tokens.is_exchange() && own.tokens.moved().count() > 2;
            return Ok(if has_many && !pools.is_empty() {
                Found::Unclear
            } else {
                Found::Nothing
            });
        };
        match by_vaults(moved, &others, &own_sides) {
            (Found::Trade(sides), vaults) if agree(own, &sides, difference_max) => (sides, vaults),
            (Found::Trade(_), _) => return Ok(Found::Nothing),
            (found, _) => return Ok(found),
        }
    };
    if several_trades::in_transfers(moved, trader, &parties, &sides) {
        return Ok(Found::Several);
    }
    Ok(Found::Trade(sides))
}

/// Whether neither of two parties is a pool.
fn are_people(moved: &Movements<'_>, one: &str, other: &str) -> bool {
    moved.programs.is_between_people || (moved.is_signer(one) && moved.is_signer(other))
}

/// What passed between two people: the smaller of what the one gave and the other received, since
/// fees come on top of it or out of it.
fn between<'a>(own: &Change<'_>, sides: Sides<'a>) -> Sides<'a> {
    let smaller = |side: Side<'a>| {
        let own = own.tokens.of(&side.mint).abs();
        let amount = if own.is_zero() {
            side.amount
        } else {
            own.min(side.amount)
        };
        Side { amount, ..side }
    };
    Sides {
        paid: smaller(sides.paid),
        received: smaller(sides.received),
    }
}

/// Whether the pools were all that the trader traded with: nobody else gave much of what it received,
/// it did not receive more than they gave or pay less than they took, and no other mint moved.
fn is_complete(
    own: &Change<'_>,
    others: &[(&str, &Change<'_>)],
    pools: &[(&str, &Flows<'_>)],
    sides: &Sides<'_>,
) -> bool {
    let pool_owners: BTreeSet<_> = pools.iter().map(|(pool, _)| *pool).collect();
    let is_pool = |owner: &str| pool_owners.contains(owner);
    let rest: Vec<_> = others
        .iter()
        .filter(|(owner, _)| !is_pool(owner))
        .copied()
        .collect();
    let gave_too = sum(&amounts(&rest, &sides.received.mint, true, Sol::Wrapped));
    let is_all = gave_too.is_none_or(|gave| {
        let most = sides.received.amount.checked_mul(REST_MAX);
        most.is_some_and(|most| gave <= most)
    });
    let is_rest = |mint: &str, amount: Decimal| {
        work::spend(pools.len(), 2 * work::PART);
        let mut moved = pools.iter().map(|(_, flows)| flows.of(mint).abs());
        moved.any(|moved| {
            let most = moved.checked_mul(REST_MAX);
            most.is_some_and(|most| amount.abs() <= most)
        })
    };
    is_all
        && own.tokens.moved().all(|(mint, amount)| {
            let own = amount.abs();
            if **mint == *SOL_MINT {
                true
            } else if *mint == sides.paid.mint {
                own >= sides.paid.amount
            } else if *mint == sides.received.mint {
                own <= sides.received.amount
            } else {
                is_rest(mint, amount)
            }
        })
}

/// What all pools together received and gave, from the trader's view. A rest of a mint that passes
/// from one pool to the next may stay: the transfer fee of a Token-2022 mint, or dust.
fn total<'s, 'a: 's>(
    pools: impl Iterator<Item = &'s Flows<'a>>,
    own: Option<&Sides<'a>>,
) -> Result<Option<Sides<'a>>, Refused> {
    let (mut net, mut gave) = (Flows::default(), Flows::default());
    for pool in pools {
        work::spend(pool.len(), 4 * work::PART);
        net.add_all(pool)?;
        for (mint, amount) in pool.moved().filter(|(_, amount)| amount.is_sign_negative()) {
            gave.add(mint.clone(), amount.abs())?;
        }
    }
    if let Some(sides) = net.sides() {
        return Ok(Some(sides.reversed()));
    }
    let is_traded = |mint: &str| match own {
        Some(own) => own.paid.mint == mint || own.received.mint == mint,
        None => false,
    };
    let rest_max = if own.is_some() { FEE_MAX } else { REST_MAX };
    let rests: BTreeSet<_> = net
        .moved()
        .filter(|(mint, amount)| {
            !is_traded(mint)
                && amount.is_sign_negative()
                && gave
                    .of(mint)
                    .checked_mul(rest_max)
                    .is_some_and(|most| amount.abs() < most)
        })
        .map(|(mint, _)| mint.clone())
        .collect();
    net.retain(|mint| !rests.contains(mint));
    Ok(net.sides().map(Sides::reversed))
}

/// The trade with vaults that each have an owner of its own, and these owners.
pub(super) fn by_vaults<'o, 'a>(
    moved: &Movements<'_>,
    others: &[(&'o str, &Change<'a>)],
    own: &Sides<'a>,
) -> (Found<'a>, Vec<&'o str>) {
    // Native SOL that another account gained may be rent or a fee: a vault holds wrapped SOL.
    let took = amounts(others, &own.paid.mint, false, Sol::Wrapped);
    let gave = amounts(others, &own.received.mint, true, Sol::Wrapped);
    let (Some((_, largest)), Some(given)) = (took.last(), sum(&gave)) else {
        return (Found::Nothing, Vec::new());
    };
    // Fees of platforms, tips and rent go to others than the vaults. Transfers show who was paid in
    // exchange; otherwise it is the largest receiver.
    let (mut vaults, mut fees): (Vec<_>, Vec<_>) = took
        .iter()
        .copied()
        .partition(|(_, owner)| moved.is_paid_back(owner, &own.paid.mint));
    if vaults.is_empty() && gave.len() == 1 {
        (fees, vaults) = took
            .iter()
            .copied()
            .partition(|(_, owner)| owner != largest);
    }
    let is_clear = vaults.iter().any(|(_, owner)| owner == largest)
        && (fees.is_empty() || vaults.len() >= gave.len());
    let rest = sum(&fees).unwrap_or_default();
    let Some(taken) = sum(&vaults).filter(|taken| {
        let most = taken.checked_mul(OTHERS_SHARE_MAX);
        is_clear && most.is_some_and(|most| rest <= most)
    }) else {
        return (Found::Unclear, Vec::new());
    };
    let sides = Sides {
        paid: Side {
            mint: own.paid.mint.clone(),
            amount: taken,
        },
        received: Side {
            mint: own.received.mint.clone(),
            amount: given,
        },
    };
    let parties = vaults.iter().chain(&gave).map(|(_, owner)| *owner);
    (Found::Trade(sides), parties.collect())
}

/// Which SOL is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sol {
    Wrapped,
    /// Native SOL, if no wrapped SOL moved.
    Any,
}

/// The amounts of a mint that others gained or gave up, in ascending order, and who did.
pub(super) fn amounts<'o>(
    others: &[(&'o str, &Change<'_>)],
    mint: &str,
    gave: bool,
    sol: Sol,
) -> Vec<(Decimal, &'o str)> {
    let of = |read: &dyn Fn(&Change<'_>) -> Decimal| {
        work::spend(others.len(), 2 * work::PART);
        let amounts = others.iter().map(|(owner, change)| (read(change), *owner));
        let amounts = amounts.filter(|(amount, _)| !amount.is_zero());
        let mut amounts: Vec<_> = amounts
            .filter(|(amount, _)| amount.is_sign_negative() == gave)
            .map(|(amount, owner)| (amount.abs(), owner))
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
pub(super) fn sum(amounts: &[(Decimal, &str)]) -> Option<Decimal> {
    let ((first, _), rest) = amounts.split_first()?;
    rest.iter()
        .try_fold(*first, |sum, (amount, _)| sum.checked_add(*amount))
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

pub(super) fn near(left: Decimal, right: Decimal, difference_max: Decimal) -> bool {
    let (small, large) = (left.min(right), left.max(right));
    let most = large.checked_mul(difference_max);
    let apart = large.checked_sub(small);
    apart.zip(most).is_some_and(|(apart, most)| apart <= most)
}
