//! What moved in a transaction: net changes by owner, and the transfers in their order.

use std::borrow::Cow;
use std::collections::BTreeMap;

use domain::aliases::SOL_MINT;
use rust_decimal::Decimal;

use crate::helius::decimals::sol;
use crate::helius::flows::Flows;
use crate::helius::programs::Programs;
use crate::helius::quote_side::Sides;
use crate::helius::transfers::Transfers;
use crate::refused::Refused;

/// Rent is charged per byte: this many lamports for each.
const RENT_LAMPORTS_PER_BYTE: i64 = 6_960;

/// The most rent of an account: 10,240 bytes, and 128 that every account is charged for.
const RENT_LAMPORTS_MAX: i64 = RENT_LAMPORTS_PER_BYTE * (10_240 + 128);

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

/// The net change of what an owner holds: gains are positive, losses negative.
#[derive(Debug, Clone, Default)]
pub(super) struct Change<'a> {
    /// By mint, wrapped SOL included.
    pub(super) tokens: Flows<'a>,
    /// SOL outside of token accounts, without the network fee.
    pub(super) native: Decimal,
    /// Rent that its token accounts gained or lost; whoever opens or closes them pays or gets it.
    pub(super) rent: Decimal,
}

/// Decimals by mint.
pub(super) type Decimals<'a> = BTreeMap<Cow<'a, str>, u32>;

/// Net changes by owner.
pub(super) type Owners<'a> = BTreeMap<Cow<'a, str>, Change<'a>>;

/// The movements of a transaction.
#[derive(Debug, Default)]
pub(super) struct Movements<'a> {
    /// The account that pays the network fee, and usually the rent of new accounts.
    pub(super) fee_payer: Cow<'a, str>,
    /// Who else signed, if it is known.
    pub(super) signers: Vec<Cow<'a, str>>,
    /// What moved, in the order of the transaction.
    pub(super) transfers: Transfers<'a>,
    /// Net changes by owner.
    pub(super) owners: Owners<'a>,
    /// Decimals of the mints, where known.
    pub(super) decimals: Decimals<'a>,
    /// The largest share of an owner's holdings of a mint that it gained or gave up, where holdings
    /// are known. It is tiny for a pool.
    pub(super) share_moved: BTreeMap<Cow<'a, str>, Decimal>,
    /// Programs that the transaction names.
    pub(super) programs: Programs,
}

impl<'a> Change<'a> {
    /// What a pool gained and gave up: tokens, or a token against native SOL, as launchpads' curves
    /// hold it. `None` if it moved in one direction only, as the receiver of a fee does. (Some
    /// programs have one owner for all of their pools: then it moves more than two mints.)
    pub(super) fn of_pool(&self) -> Option<Flows<'a>> {
        if self.tokens.is_exchange() {
            return Some(self.tokens.clone());
        }
        let mut with_native = self.tokens.clone();
        with_native.add(Cow::Borrowed(SOL_MINT), self.native).ok()?;
        with_native.is_exchange().then_some(with_native)
    }

    /// What a trader paid and received: two tokens, or one token against all of its SOL without
    /// rent and tips.
    pub(super) fn of_trader(&self, tips: Decimal) -> Option<Sides<'a>> {
        self.tokens.sides().or_else(|| {
            let mut all = self.tokens.clone();
            for sol in [self.native, self.rent, tips] {
                all.add(Cow::Borrowed(SOL_MINT), sol).ok()?;
            }
            all.sides()
        })
    }
}

impl<'a> Movements<'a> {
    /// Whether the provider reports nothing that moved.
    pub(super) fn is_empty(&self) -> bool {
        self.owners.is_empty() && self.transfers.is_empty()
    }

    /// Whether somebody is known to have signed.
    pub(super) fn is_signer(&self, owner: &str) -> bool {
        owner == self.fee_payer || self.signers.iter().any(|signer| signer == owner)
    }

    /// Leaves out rent that was paid to an account that also received another amount of SOL, or a token:
    /// a curve in native SOL that is created or enlarged by the transaction that trades with it.
    pub(super) fn leave_out_rent(&mut self) {
        let mut paid: BTreeMap<Cow<'a, str>, (bool, Decimal)> = BTreeMap::new();
        let is_wallet = |owner: &str| {
            let is_paid_back = |change: &Change<'_>| change.rent < Decimal::ZERO;
            self.is_signer(owner) || self.owners.get(owner).is_some_and(is_paid_back)
        };
        for transfer in self.transfers.iter().filter(|transfer| transfer.is_native) {
            if is_wallet(&transfer.to) {
                continue;
            }
            let (has_other, rent) = paid.entry(transfer.to.clone()).or_insert_with(|| {
                let bought = self.owners.get(&transfer.to).is_some_and(|change| {
                    let mut moved = change.tokens.moved();
                    moved.any(|(_, amount)| amount.is_sign_positive())
                });
                (bought, Decimal::ZERO)
            });
            if is_rent(transfer.amount) {
                *rent = rent.checked_add(transfer.amount).unwrap_or(*rent);
            } else {
                *has_other = true;
            }
        }
        paid.retain(|_, (has_other, rent)| *has_other && !rent.is_zero());
        let mut transfers = std::mem::take(&mut self.transfers).into_vec();
        transfers.retain(|transfer| {
            !(transfer.is_native && is_rent(transfer.amount) && paid.contains_key(&transfer.to))
        });
        self.transfers = Transfers::new(transfers);
        for (owner, (_, rent)) in paid {
            if let Some(change) = self.owners.get_mut(&owner) {
                change.native = change.native.checked_sub(rent).unwrap_or_default();
            }
        }
    }

    /// The net changes that the transfers alone give.
    pub(super) fn by_transfers(&self) -> Result<Owners<'a>, Refused> {
        let mut owners = Owners::new();
        for transfer in self.transfers.iter() {
            let ends = [
                (&transfer.from, -transfer.amount),
                (&transfer.to, transfer.amount),
            ];
            // A mint has no sender, and a burn no receiver.
            if ends.iter().any(|(owner, _)| owner.is_empty()) {
                continue;
            }
            for (owner, amount) in ends {
                let change = owners.entry(owner.clone()).or_default();
                if transfer.is_native {
                    change.native = change.native.checked_add(amount).unwrap_or_default();
                } else {
                    change.tokens.add(transfer.mint.clone(), amount)?;
                }
            }
        }
        Ok(owners)
    }

    /// The SOL that somebody paid to tip accounts.
    pub(super) fn tips_of(&self, owner: &str) -> Decimal {
        let tips = self.transfers.of(owner).filter(|(transfer, _)| {
            transfer.is_native
                && transfer.from == owner
                && TIP_ACCOUNTS.contains(&transfer.to.as_ref())
        });
        tips.map(|(transfer, _)| transfer.amount)
            .fold(Decimal::ZERO, |sum, amount| {
                sum.checked_add(amount).unwrap_or(sum)
            })
    }

    /// Whether a payment of a mint to somebody is followed by one of another mint from somebody else, as
    /// in an exchange; after a fee, the same payer goes on.
    pub(super) fn is_paid_back(&self, owner: &str, mint: &str) -> bool {
        let mut own = self.transfers.of(owner);
        !self.programs.pays_first
            && own.any(|(paid, next)| {
                let is_own = !paid.is_native && paid.to == owner && paid.mint == mint;
                is_own && next.is_some_and(|next| next.mint != mint && next.from != paid.from)
            })
    }

    /// What an owner gained and what it gave up of a mint, by the transfers. SOL is wrapped SOL, or
    /// native SOL if it moved no wrapped SOL.
    pub(super) fn gross(&self, owner: &str, mint: &str) -> (Decimal, Decimal) {
        let sums = |is_native: bool| {
            let mut sums = (Decimal::ZERO, Decimal::ZERO);
            for (transfer, _) in self.transfers.of(owner) {
                // What was minted or burned came from nobody and went to nobody.
                let has_ends = !transfer.from.is_empty() && !transfer.to.is_empty();
                if transfer.mint != mint || transfer.is_native != is_native || !has_ends {
                    continue;
                }
                for (end, sum) in [(&transfer.to, &mut sums.0), (&transfer.from, &mut sums.1)] {
                    if end == owner {
                        *sum = sum.checked_add(transfer.amount).unwrap_or(*sum);
                    }
                }
            }
            sums
        };
        match sums(false) {
            (gained, gave) if mint == SOL_MINT && gained.is_zero() && gave.is_zero() => sums(true),
            tokens => tokens,
        }
    }
}

/// Whether an amount of SOL is the rent of a number of bytes. (One in 6,960 other amounts is, too.)
fn is_rent(amount: Decimal) -> bool {
    let per_byte = sol(RENT_LAMPORTS_PER_BYTE);
    amount >= per_byte
        && amount <= sol(RENT_LAMPORTS_MAX)
        && amount
            .checked_rem(per_byte)
            .is_some_and(|rest| rest.is_zero())
}
