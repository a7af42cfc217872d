//! The transfers of a transaction in their order, and those of each owner.

use std::borrow::Cow;
use std::collections::BTreeMap;

use rust_decimal::Decimal;

use crate::work;

/// An amount that moved from one account owner to another. The sender of a mint and the receiver of
/// a burn are empty.
#[derive(Debug)]
pub(super) struct Transfer<'a> {
    pub(super) from: Cow<'a, str>,
    pub(super) to: Cow<'a, str>,
    /// The token accounts; empty if they are not known, and for native SOL.
    pub(super) from_account: Cow<'a, str>,
    pub(super) to_account: Cow<'a, str>,
    pub(super) mint: Cow<'a, str>,
    pub(super) amount: Decimal,
    /// Whether this is SOL outside of token accounts.
    pub(super) is_native: bool,
}

/// The transfers in the order of the transaction; empty if the provider does not report them.
#[derive(Debug, Default)]
pub(super) struct Transfers<'a> {
    all: Vec<Transfer<'a>>,
    /// The positions of the transfers to and from each owner.
    by_owner: BTreeMap<Cow<'a, str>, Vec<usize>>,
    /// The position of the next transfer of a token, for each transfer.
    next_token: Vec<Option<usize>>,
}

impl<'a> Transfers<'a> {
    pub(super) fn new(all: Vec<Transfer<'a>>) -> Self {
        let mut by_owner: BTreeMap<Cow<'a, str>, Vec<usize>> = BTreeMap::new();
        for (position, transfer) in all.iter().enumerate() {
            let of_sender = by_owner.entry(transfer.from.clone()).or_default();
            of_sender.push(position);
            if transfer.to != transfer.from {
                let of_receiver = by_owner.entry(transfer.to.clone()).or_default();
                of_receiver.push(position);
            }
        }
        let mut next_token = Vec::with_capacity(all.len());
        let mut next = None;
        for (position, transfer) in all.iter().enumerate().rev() {
            next_token.push(next);
            if !transfer.is_native {
                next = Some(position);
            }
        }
        next_token.reverse();
        work::spend(all.len(), 8 * work::PART);
        Self {
            all,
            by_owner,
            next_token,
        }
    }

    pub(super) fn into_vec(self) -> Vec<Transfer<'a>> {
        self.all
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Transfer<'a>> {
        work::spend(self.all.len(), work::PART);
        self.all.iter()
    }

    /// The transfers to or from an owner, each with the next transfer of a token after it.
    pub(super) fn of<'t>(
        &'t self,
        owner: &str,
    ) -> impl Iterator<Item = (&'t Transfer<'a>, Option<&'t Transfer<'a>>)> + use<'t, 'a> {
        let own = self.by_owner.get(owner).map(Vec::as_slice);
        let own = own.unwrap_or_default();
        work::spend(1 + own.len(), work::PART);
        own.iter().filter_map(|position| {
            let next = self.next_token.get(*position).copied().flatten();
            Some((
                self.all.get(*position)?,
                next.and_then(|next| self.all.get(next)),
            ))
        })
    }
}
