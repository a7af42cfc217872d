//! Signed amounts by mint: what an account gained and gave up.

use std::borrow::Cow;
use std::collections::BTreeMap;

use domain::Reason;
use rust_decimal::Decimal;

use crate::helius::quote_side::{Side, Sides};
use crate::refused::Refused;

/// Gains are positive, losses negative.
#[derive(Debug, Clone, Default)]
pub(super) struct Flows<'a>(BTreeMap<Cow<'a, str>, Decimal>);

impl<'a> Flows<'a> {
    pub(super) fn add(&mut self, mint: Cow<'a, str>, amount: Decimal) -> Result<(), Refused> {
        let sum = self.0.entry(mint).or_default();
        *sum = sum.checked_add(amount).ok_or_else(|| {
            Refused::new(
                Reason::InvalidVolume,
                "the sum of the amounts does not fit in 28 digits",
            )
        })?;
        Ok(())
    }

    pub(super) fn add_all(&mut self, other: &Self) -> Result<(), Refused> {
        other
            .0
            .iter()
            .try_for_each(|(mint, amount)| self.add(mint.clone(), *amount))
    }

    pub(super) fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.0.retain(|mint, _| keep(mint));
    }

    /// How many mints there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The amount of a mint; zero if it did not move.
    pub(super) fn of(&self, mint: &str) -> Decimal {
        self.0.get(mint).copied().unwrap_or_default()
    }

    /// The mints with a non-zero net amount.
    pub(super) fn moved(&self) -> impl Iterator<Item = (&Cow<'a, str>, Decimal)> {
        self.0
            .iter()
            .map(|(mint, amount)| (mint, *amount))
            .filter(|(_, amount)| !amount.is_zero())
    }

    /// Whether the holder gained and gave up something.
    pub(super) fn is_exchange(&self) -> bool {
        let has = |gained: bool| {
            self.moved()
                .any(|(_, amount)| amount.is_sign_positive() == gained)
        };
        has(true) && has(false)
    }

    /// What the holder paid and received, if it gave up exactly one mint and gained exactly one
    /// other.
    pub(super) fn sides(&self) -> Option<Sides<'a>> {
        let moved: Vec<_> = self.moved().collect();
        let [first, second] = moved.as_slice() else {
            return None;
        };
        let side = |(mint, amount): &(&Cow<'a, str>, Decimal)| Side {
            mint: (*mint).clone(),
            amount: amount.abs(),
        };
        match (first.1.is_sign_negative(), second.1.is_sign_negative()) {
            (true, false) => Some(Sides {
                paid: side(first),
                received: side(second),
            }),
            (false, true) => Some(Sides {
                paid: side(second),
                received: side(first),
            }),
            _ => None,
        }
    }
}

impl Sides<'_> {
    /// The same trade from the counterparty's view.
    pub(super) fn reversed(self) -> Self {
        Self {
            paid: self.received,
            received: self.paid,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flows(amounts: &[(&'static str, i64)]) -> Flows<'static> {
        let mut flows = Flows::default();
        for (mint, amount) in amounts {
            flows
                .add(Cow::Borrowed(mint), Decimal::from(*amount))
                .unwrap();
        }
        flows
    }

    #[test]
    fn a_trade_is_one_mint_for_another() {
        let sides = flows(&[("A", -3), ("B", 5), ("C", 7), ("C", -7)])
            .sides()
            .unwrap();
        assert_eq!(
            (sides.paid.mint.as_ref(), sides.paid.amount),
            ("A", Decimal::from(3))
        );
        assert_eq!(
            (sides.received.mint.as_ref(), sides.received.amount),
            ("B", Decimal::from(5))
        );
        assert_eq!(flows(&[("B", 5), ("A", -3)]).sides(), Some(sides));
        assert_eq!(
            flows(&[("A", -3), ("B", -5)]).sides(),
            None,
            "liquidity moves one way"
        );
        assert_eq!(flows(&[("A", -3)]).sides(), None);
        assert_eq!(flows(&[("A", -3), ("B", 5), ("C", 1)]).sides(), None);
        assert_eq!(flows(&[]).sides(), None);
    }
}
