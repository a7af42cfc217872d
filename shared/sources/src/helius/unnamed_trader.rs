//! The trade of somebody who neither pays the network fee nor is known to have signed: a keeper fills
//! an order, or a relayer pays.
//!
//! Seen from the outside, trader and pool are alike: each gave up one mint for another. If both
//! views give the same amounts, it does not matter who is who. Otherwise a fee lies between them, and
//! only the pool's amounts are the price, so the trader has to be known by what a pool never does:
//!
//! - it opens or closes token accounts, or tips;
//! - it trades native SOL with a pool that holds wrapped SOL;
//! - it moves a large share of what it holds, where the pool moves a small one;
//! - it pays first, except where pools do.
//!
//! If none of these identifies the trader, the trade is unclear.

use rust_decimal::Decimal;

use crate::helius::counterparties::{
    FEE_MAX, Found, Market, Sol, against, amounts, by_vaults, near, sum,
};
use crate::helius::flows::Flows;
use crate::helius::limits::PARTIES_MAX;
use crate::helius::movements::{Change, Movements, Owners};
use crate::helius::quote_side::{Side, Sides, has_quote};
use crate::helius::several_trades::{moved_both_ways, moves_back_among};
use crate::refused::Refused;

/// The largest difference between what a trader nobody named and its counterparties moved: a fifth.
const UNNAMED_DIFFERENCE_MAX: Decimal = Decimal::from_parts(2, 0, 0, false, 1);

/// The share of its holdings that a trader moves at least, to be known by it: half.
const TRADER_SHARE_MIN: Decimal = Decimal::from_parts(5, 0, 0, false, 1);

/// How much larger that share is than a pool's, at least.
const SHARE_RATIO_MIN: Decimal = Decimal::TEN;

/// An owner that gave up one mint for another: a trader or a pool.
struct Party<'o, 'a> {
    owner: &'o str,
    change: &'o Change<'a>,
    flows: &'o Flows<'a>,
}

pub(super) fn find<'a>(
    market: &Market<'_, 'a>,
    moved: &Movements<'a>,
) -> Result<Found<'a>, Refused> {
    let pools = market.pools.iter();
    let parties: Vec<_> = pools
        .filter(|(owner, _)| **owner != moved.fee_payer)
        .filter_map(|(owner, flows)| {
            Some(Party {
                owner,
                change: market.owners.get(*owner)?,
                flows,
            })
        })
        .collect();
    let found = match parties.as_slice() {
        [] => Found::Nothing,
        [party] => of_single(market.owners, moved, party),
        many if many.len() > PARTIES_MAX => Found::Unclear,
        _ => of_several(market, moved, &parties)?,
    };
    let Found::Trade(sides) = &found else {
        return Ok(found);
    };
    // Who is paid back what it paid first made a round trip over several pools. And as long as trader
    // and pool are alike, a mint that comes back may be more than change.
    let is_round_trip = |owner: &str| moved_both_ways(moved, owner, sides);
    let owners: Vec<_> = parties.iter().map(|party| party.owner).collect();
    let comes_back = |mint| moves_back_among(moved, &owners, mint);
    if first_payer(moved).is_some_and(is_round_trip)
        || comes_back(&sides.paid.mint)
        || comes_back(&sides.received.mint)
    {
        return Ok(Found::Several);
    }
    Ok(found)
}

fn of_several<'a>(
    market: &Market<'_, 'a>,
    moved: &Movements<'a>,
    parties: &[Party<'_, 'a>],
) -> Result<Found<'a>, Refused> {
    let traders = traders(moved, parties);
    let (mut trades, mut several) = (Vec::new(), 0);
    for party in &traders {
        match against(market, party.owner, moved, UNNAMED_DIFFERENCE_MAX)? {
            Found::Trade(sides) if is_about(party, &sides) => trades.push((*party, sides)),
            Found::Several => several += 1,
            Found::Trade(_) | Found::Unclear | Found::Nothing => return Ok(Found::Unclear),
        }
    }
    let Some((party, sides)) = trades.pop() else {
        return Ok(Found::Several);
    };
    // From the other side it is the same trade, but what was paid is the quote if no quote is known.
    let is_same = |other: &Sides<'_>| {
        let is_reversed = other.paid == sides.received && other.received == sides.paid;
        *other == sides || (is_reversed && has_quote(&sides))
    };
    // The pools of a split trade are like several traders to each other. Without a fee, an owner that
    // moved what all of them moved is the trader, unless it is known that others paid first.
    let may_be_first = moved.transfers.is_empty() || is_first(moved, party);
    let is_exact = party.flows.sides().as_ref() == Some(&sides);
    let is_trader = several == 0 || (is_exact && may_be_first);
    Ok(
        if is_trader && trades.iter().all(|(_, other)| is_same(other)) {
            Found::Trade(sides)
        } else {
            Found::Unclear
        },
    )
}

/// The parties that are traders by the strongest sign there is; all if there is none.
fn traders<'p, 'o, 'a>(
    moved: &Movements<'_>,
    parties: &'p [Party<'o, 'a>],
) -> Vec<&'p Party<'o, 'a>> {
    let select = |is_trader: &dyn Fn(&Party<'_, '_>) -> bool| -> Vec<_> {
        parties.iter().filter(|party| is_trader(party)).collect()
    };
    let wallets = select(&|party| is_wallet(moved, party.owner, party.change));
    if !wallets.is_empty() {
        return wallets;
    }
    if let [one, other] = parties {
        match (
            one.change.tokens.is_exchange(),
            other.change.tokens.is_exchange(),
        ) {
            (false, true) => return vec![one],
            (true, false) => return vec![other],
            _ => {}
        }
    }
    let share = |party: &Party<'_, '_>| moved.share_moved.get(party.owner).copied();
    let largest = parties.iter().filter_map(share).max();
    if let Some(largest) = largest.filter(|largest| *largest >= TRADER_SHARE_MIN) {
        let is_large = |share: Decimal| share >= TRADER_SHARE_MIN;
        let is_small = |share: Decimal| is_much_larger(largest, share);
        let all_known = parties
            .iter()
            .all(|party| share(party).is_some_and(|share| is_large(share) || is_small(share)));
        let large = select(&|party| share(party).is_some_and(is_large));
        if all_known && large.len() < parties.len() {
            return large;
        }
    }
    let first = select(&|party| is_first(moved, party));
    if first.is_empty() {
        parties.iter().collect()
    } else {
        first
    }
}

fn is_wallet(moved: &Movements<'_>, owner: &str, change: &Change<'_>) -> bool {
    !change.rent.is_zero() || !moved.tips_of(owner).is_zero()
}

fn is_much_larger(share: Decimal, than: Decimal) -> bool {
    than.checked_mul(SHARE_RATIO_MIN)
        .is_some_and(|least| share >= least)
}

/// Who sent the first token.
fn first_payer<'m>(moved: &'m Movements<'_>) -> Option<&'m str> {
    let mut paid = moved
        .transfers
        .iter()
        .filter(|transfer| !transfer.is_native && !transfer.from.is_empty());
    paid.next().map(|transfer| transfer.from.as_ref())
}

/// Whether a party pays first, for another token. (The order of token transfers and of native ones is
/// not known from one to the other, so the first token says nothing of a trade for native SOL.)
fn is_first(moved: &Movements<'_>, party: &Party<'_, '_>) -> bool {
    let mut transfers = moved.transfers.iter();
    !moved.programs.pays_first
        && first_payer(moved) == Some(party.owner)
        && transfers.any(|transfer| !transfer.is_native && transfer.to == party.owner)
}

/// Whether an owner that nobody named moved about what its counterparties moved, SOL included.
fn is_about(party: &Party<'_, '_>, sides: &Sides<'_>) -> bool {
    let same = |own: &Side<'_>, other: &Side<'_>| {
        own.mint == other.mint && near(own.amount, other.amount, UNNAMED_DIFFERENCE_MAX)
    };
    let own = party.flows.sides();
    own.is_some_and(|own| same(&own.paid, &sides.paid) && same(&own.received, &sides.received))
}

/// The only owner that gave up one mint for another is the pool, if the trader is paid to another
/// account than it pays from, or the trader, if each vault has an owner of its own.
fn of_single<'a>(owners: &Owners<'a>, moved: &Movements<'a>, party: &Party<'_, 'a>) -> Found<'a> {
    let Some(sides) = party.flows.sides() else {
        return Found::Nothing;
    };
    let others: Vec<_> = owners
        .iter()
        .filter(|(owner, _)| *owner != party.owner)
        .map(|(owner, change)| (owner.as_ref(), change))
        .collect();
    let payers = amounts(&others, &sides.received.mint, true, Sol::Any);
    let receivers = amounts(&others, &sides.paid.mint, false, Sol::Any);
    let Some(paid) = sum(&payers).filter(|paid| near(*paid, sides.received.amount, FEE_MAX)) else {
        return Found::Nothing;
    };
    if receivers.is_empty() {
        return Found::Nothing;
    }
    // Others that gave the same mint, or moved a third one, are part of a larger trade.
    let is_traded = |mint: &str| sides.paid.mint == mint || sides.received.mint == mint;
    let is_larger = others.iter().any(|(_, change)| {
        let gave_too = change.tokens.of(&sides.paid.mint) < Decimal::ZERO;
        gave_too || change.tokens.moved().any(|(mint, _)| !is_traded(mint))
    });
    if is_larger {
        return Found::Unclear;
    }
    let received = receivers.iter().map(|(amount, _)| *amount);
    let is_exact = paid == sides.received.amount && received.eq([sides.paid.amount]);
    if is_exact && has_quote(&sides) {
        return Found::Trade(sides.reversed());
    }
    let share = |owner: &str| moved.share_moved.get(owner).copied().unwrap_or_default();
    let own_share = share(party.owner);
    let mut ends = payers.iter().chain(&receivers).map(|(_, end)| *end);
    let other_share = ends.clone().map(share).max().unwrap_or_default();
    let pays_first = first_payer(moved).filter(|_| !moved.programs.pays_first);
    let is_trader = is_wallet(moved, party.owner, party.change)
        || (own_share >= TRADER_SHARE_MIN && is_much_larger(own_share, other_share))
        || pays_first == Some(party.owner);
    let is_pool = (other_share >= TRADER_SHARE_MIN && is_much_larger(other_share, own_share))
        || ends.any(|end| pays_first == Some(end));
    match (is_trader, is_pool) {
        (true, false) => by_vaults(moved, &others, &sides).0,
        (false, true) => Found::Trade(sides.reversed()),
        _ => Found::Unclear,
    }
}
