//! Determines the sides of a trade from the amounts that moved, if no swap event names them.
//!
//! The price must be the traded one, without fees, tips and rent; the counterparty's view has none
//! of these. The following views are tried in order, and the first that gives two sides is used:
//!
//! 1. transfers between the trader and one party, one mint each way (a pool, a router's account);
//!    transfers to anybody else are fees, tips or rent;
//! 2. the balances of parties that gained one mint and lost another, against the trader's;
//! 3. the trader's own balances of two tokens, the opposite of what all others moved;
//! 4. only if the provider calls it a trade: the trader's own balances, including native SOL
//!    minus the network fee, known tips and rent.
//!
//! Several parties are added up: amounts that pass from one pool to the next cancel out. A change
//! of liquidity moves both mints the same way, and a mint or burn has no counterparty, so neither
//! is mistaken for a trade.

use std::borrow::Cow;
use std::collections::BTreeMap;

use domain::aliases::SOL_MINT;
use rust_decimal::Decimal;

use crate::helius::flows::Flows;
use crate::helius::quote_side::Sides;
use crate::refused::Refused;

/// Jito's tip accounts: SOL sent to them is a fee.
const TIP_ACCOUNTS: &[&str] = &[
    "96gYZGLnJYVFmbjzopPSU6QiEV5fGqZNyN9nmNhvrZU5",
    "HFqU5x63VTqvQss8hp11i4wVV8bD44PvwucfZ2bU7gRe",
    "Cw8CFyM9FkoMi7K7Crf6HNQqf4uEMzpKw6QNghXLvLkY",
    "ADaUMid9yfUytqMBgopwjb2DTLSokTSzL1zt6iGPaS49",
    "DfXygSm4jCyNCybVYYK6DwvWqjKee8pbDmJGcLWNDXjh",
    "ADuUkR4vqLUMWXxW9gh6D6L8pMSawimctcNZ5pGwDcEt",
    "DttWaMuVvTiduZRnguLF7jNxTgiMBZ1hyAumKUiL2KRL",
    "3AVi9Tg9Uo68tJfuvoKvqKNWKkC5wPdSSdeBnizKZ6jT",
];

/// An amount that moved from one account owner to another.
#[derive(Debug)]
pub(super) struct Transfer<'a> {
    pub(super) from: Cow<'a, str>,
    pub(super) to: Cow<'a, str>,
    pub(super) mint: Cow<'a, str>,
    pub(super) amount: Decimal,
}

/// The movements of a transaction.
#[derive(Debug, Default)]
pub(super) struct Movements<'a> {
    /// The account that pays the network fee, and usually the rent of new accounts.
    pub(super) fee_payer: Cow<'a, str>,
    /// In the order of the transaction; empty if the provider does not report them.
    pub(super) transfers: Vec<Transfer<'a>>,
    /// Net changes by owner: tokens, and native SOL without the network fee and without the rent
    /// of token accounts.
    pub(super) owners: BTreeMap<Cow<'a, str>, Flows<'a>>,
    /// Rent paid into (positive) or out of an owner's token accounts.
    pub(super) rents: BTreeMap<Cow<'a, str>, Decimal>,
}

/// Whether the provider calls the transaction a trade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Claim {
    Trade,
    Unknown,
}

/// The sides from the trader's view, or `None` if this is not recognizable as a trade.
pub(super) fn sides<'a>(
    moved: &Movements<'a>,
    trader: &str,
    claim: Claim,
) -> Result<Option<Sides<'a>>, Refused> {
    if let Some(sides) = by_transfers(moved, trader)? {
        return Ok(Some(sides));
    }
    let Some(own) = moved.owners.get(trader) else {
        return Ok(None);
    };
    if let Some(sides) = by_counterparties(moved, trader, own)? {
        return Ok(Some(sides));
    }
    if let Some(sides) = by_two_tokens(moved, trader, own, claim)? {
        return Ok(Some(sides));
    }
    match claim {
        Claim::Trade => by_token_and_sol(moved, trader, own),
        Claim::Unknown => Ok(None),
    }
}

fn by_transfers<'a>(moved: &Movements<'a>, trader: &str) -> Result<Option<Sides<'a>>, Refused> {
    let mut parties: BTreeMap<&str, Flows<'a>> = BTreeMap::new();
    for Transfer {
        from,
        to,
        mint,
        amount,
    } in &moved.transfers
    {
        let (party, gain) = match (from.as_ref() == trader, to.as_ref() == trader) {
            (true, false) => (to, *amount),
            (false, true) => (from, -*amount),
            _ => continue,
        };
        // A mint or burn has no counterparty.
        if !party.is_empty() {
            parties
                .entry(party.as_ref())
                .or_default()
                .add(mint.clone(), gain)?;
        }
    }
    Ok(total(parties.values())?.sides().map(Sides::reversed))
}

fn by_counterparties<'a>(
    moved: &Movements<'a>,
    trader: &str,
    own: &Flows<'a>,
) -> Result<Option<Sides<'a>>, Refused> {
    // A fee payer that gains a token and pays rent gave nothing in exchange, so it is not a
    // counterparty.
    let is_party = |owner: &str| owner != trader && owner != moved.fee_payer;
    let parties = moved.owners.iter().filter(|(owner, _)| is_party(owner));
    let traded = total(parties.map(|(_, flows)| flows))?;
    // Fees and rent also move the trader's SOL, so only tokens must agree.
    let agrees = traded
        .moved()
        .filter(|(mint, _)| mint.as_ref() != SOL_MINT)
        .all(|(mint, gain)| are_opposite(gain, own.of(mint)));
    Ok(traded.sides().filter(|_| agrees).map(Sides::reversed))
}

/// The sum over those who gave up one mint for another.
fn total<'f, 'a: 'f>(flows: impl Iterator<Item = &'f Flows<'a>>) -> Result<Flows<'a>, Refused> {
    let mut total = Flows::default();
    for flows in flows.filter(|flows| flows.sides().is_some()) {
        total.add_all(flows)?;
    }
    Ok(total)
}

fn by_two_tokens<'a>(
    moved: &Movements<'a>,
    trader: &str,
    own: &Flows<'a>,
    claim: Claim,
) -> Result<Option<Sides<'a>>, Refused> {
    let Some(sides) = tokens(own)?.sides() else {
        return Ok(None);
    };
    if claim == Claim::Trade {
        return Ok(Some(sides));
    }
    let mut others = Flows::default();
    for (_, flows) in moved
        .owners
        .iter()
        .filter(|(owner, _)| owner.as_ref() != trader)
    {
        others.add_all(flows)?;
    }
    let has_counterparts = [&sides.paid, &sides.received]
        .into_iter()
        .all(|side| are_opposite(others.of(&side.mint), own.of(&side.mint)));
    Ok(Some(sides).filter(|_| has_counterparts))
}

fn by_token_and_sol<'a>(
    moved: &Movements<'a>,
    trader: &str,
    own: &Flows<'a>,
) -> Result<Option<Sides<'a>>, Refused> {
    let mut flows = tokens(own)?;
    flows.add(Cow::Borrowed(SOL_MINT), own.of(SOL_MINT))?;
    flows.add(
        Cow::Borrowed(SOL_MINT),
        moved.rents.get(trader).copied().unwrap_or_default(),
    )?;
    for transfer in &moved.transfers {
        let is_tip = transfer.from == trader && TIP_ACCOUNTS.contains(&transfer.to.as_ref());
        if is_tip && transfer.mint == SOL_MINT {
            flows.add(Cow::Borrowed(SOL_MINT), transfer.amount)?;
        }
    }
    Ok(flows.sides())
}

fn tokens<'a>(flows: &Flows<'a>) -> Result<Flows<'a>, Refused> {
    let mut tokens = Flows::default();
    for (mint, amount) in flows.moved().filter(|(mint, _)| mint.as_ref() != SOL_MINT) {
        tokens.add(mint.clone(), amount)?;
    }
    Ok(tokens)
}

fn are_opposite(left: Decimal, right: Decimal) -> bool {
    !left.is_zero() && !right.is_zero() && left.is_sign_negative() != right.is_sign_negative()
}
