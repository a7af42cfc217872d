//! The two sides in `events.swap`, which are compared with what moved, and used alone only if the
//! message has neither transfers nor balances.
//!
//! Helius reports the sides as the pools saw them: in its payloads, a platform fee leaves the trader
//! after the swap, is listed in `nativeFees` or `tokenFees`, and is not deducted from the output. So
//! the reported amounts are the traded ones, unless the inner swaps prove otherwise: if they add up to
//! the reported output plus the fee (or the reported input minus the fee), or to another amount near the
//! reported one, that amount was traded. If their amounts are far from the reported ones, the event is
//! rejected.

use std::borrow::Cow;

use domain::aliases::SOL_MINT;
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::helius::decimals::{decimal, lamports, nearly, raw_token_amount};
use crate::helius::flows::Flows;
use crate::helius::limits::BALANCES_MAX;
use crate::helius::movements::Decimals;
use crate::helius::quote_side::{Side, Sides};
use crate::refused::Refused;
use crate::value::{Value, optional, required};

#[derive(Deserialize)]
struct Swap<'a> {
    #[serde(borrow, rename = "nativeInput")]
    native_input: Option<&'a RawValue>,
    #[serde(borrow, rename = "nativeOutput")]
    native_output: Option<&'a RawValue>,
    #[serde(borrow, rename = "tokenInputs")]
    token_inputs: Option<&'a RawValue>,
    #[serde(borrow, rename = "tokenOutputs")]
    token_outputs: Option<&'a RawValue>,
    #[serde(borrow, rename = "nativeFees")]
    native_fees: Option<&'a RawValue>,
    #[serde(borrow, rename = "tokenFees")]
    token_fees: Option<&'a RawValue>,
    #[serde(borrow, rename = "innerSwaps")]
    inner_swaps: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct NativeAmount<'a> {
    #[serde(borrow)]
    amount: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct TokenSide<'a> {
    #[serde(borrow)]
    mint: Option<&'a RawValue>,
    #[serde(borrow, rename = "rawTokenAmount")]
    raw_token_amount: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct InnerSwap<'a> {
    #[serde(borrow, rename = "tokenInputs")]
    token_inputs: Option<&'a RawValue>,
    #[serde(borrow, rename = "tokenOutputs")]
    token_outputs: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct InnerTransfer<'a> {
    #[serde(borrow)]
    mint: Option<&'a RawValue>,
    #[serde(borrow, rename = "tokenAmount")]
    token_amount: Option<&'a RawValue>,
}

/// What `events.swap` says of one trade.
pub(super) struct SwapEvent<'a> {
    /// From the trader's view.
    pub(super) sides: Sides<'a>,
    /// Whether its inner swaps go in both directions.
    pub(super) is_several: bool,
    /// Whether its inner swaps are of much larger or smaller amounts.
    pub(super) is_contradicted: bool,
    /// Decimals of its mints.
    pub(super) decimals: Decimals<'a>,
}

/// The largest difference between an event and the balances that confirm it: a fifth, which platform
/// fees stay below.
const DIFFERENCE_MAX: Decimal = Decimal::from_parts(2, 0, 0, false, 1);

impl SwapEvent<'_> {
    /// Whether it describes the trade that the balances show.
    pub(super) fn agrees(&self, traded: &Sides<'_>) -> bool {
        let same = |own: &Side<'_>, other: &Side<'_>| {
            own.mint == other.mint && is_near(own.amount, other.amount)
        };
        same(&self.sides.paid, &traded.paid) && same(&self.sides.received, &traded.received)
    }
}

/// `None` if the event does not name one mint on each side.
pub(super) fn read<'a>(swap: Value<'a>) -> Result<Option<SwapEvent<'a>>, Refused> {
    let swap: Swap<'a> = swap.object()?;
    let (mut trader, mut decimals) = (Flows::default(), Decimals::new());
    native(
        &mut trader,
        "nativeInput",
        swap.native_input,
        Decimal::NEGATIVE_ONE,
    )?;
    tokens(
        &mut trader,
        "tokenInputs",
        swap.token_inputs,
        Decimal::NEGATIVE_ONE,
        &mut decimals,
    )?;
    native(
        &mut trader,
        "nativeOutput",
        swap.native_output,
        Decimal::ONE,
    )?;
    tokens(
        &mut trader,
        "tokenOutputs",
        swap.token_outputs,
        Decimal::ONE,
        &mut decimals,
    )?;
    let Some(stated) = trader.sides() else {
        return Ok(None);
    };

    let mut fees = Flows::default();
    let native_fees = optional("nativeFees", swap.native_fees);
    for fee in native_fees.map_or(Ok(vec![]), |list| list.array_within(BALANCES_MAX))? {
        native(&mut fees, "nativeFees[]", Some(fee), Decimal::ONE)?;
    }
    tokens(
        &mut fees,
        "tokenFees",
        swap.token_fees,
        Decimal::ONE,
        &mut decimals,
    )?;
    let inner = inner(swap.inner_swaps)?;
    let is_opposite = |swap: &Flows<'_>| {
        let gave = swap.of(&stated.paid.mint);
        let took = swap.of(&stated.received.mint);
        gave > Decimal::ZERO || took < Decimal::ZERO
    };
    let is_several = inner.iter().any(is_opposite);
    let mut traded = Flows::default();
    for swap in &inner {
        traded.add_all(swap)?;
    }
    let sides = Sides {
        paid: before_fee(stated.paid, &fees, &traded, Decimal::NEGATIVE_ONE),
        received: before_fee(stated.received, &fees, &traded, Decimal::ONE),
    };
    let in_pools = [
        (&sides.paid, -traded.of(&sides.paid.mint)),
        (&sides.received, traded.of(&sides.received.mint)),
    ];
    let is_contradicted = in_pools
        .iter()
        .any(|(side, inner)| *inner > Decimal::ZERO && !is_near(side.amount, *inner));
    let [paid, received] = in_pools.map(|(side, inner)| {
        let amount = match inner > Decimal::ZERO && !nearly(side.amount, inner) {
            true => inner,
            false => side.amount,
        };
        Side {
            amount,
            ..side.clone()
        }
    });
    Ok(Some(SwapEvent {
        sides: Sides { paid, received },
        is_several,
        is_contradicted,
        decimals,
    }))
}

/// The side including the fee, if the inner swaps prove that it was included; `sign` is that of the
/// side in the trader's flows.
fn before_fee<'a>(
    stated: Side<'a>,
    fees: &Flows<'a>,
    traded: &Flows<'a>,
    sign: Decimal,
) -> Side<'a> {
    let fee = fees.of(&stated.mint);
    let with_fee = stated
        .amount
        .checked_add(fee * sign)
        .filter(|amount| *amount > Decimal::ZERO);
    let inner = traded.of(&stated.mint) * sign;
    match with_fee {
        Some(amount) if !fee.is_zero() && nearly(inner, amount) => Side { amount, ..stated },
        _ => stated,
    }
}

fn is_near(left: Decimal, right: Decimal) -> bool {
    let apart = left.checked_sub(right);
    let most = left.max(right).checked_mul(DIFFERENCE_MAX);
    apart
        .zip(most)
        .is_some_and(|(apart, most)| apart.abs() <= most)
}

fn native<'a>(
    flows: &mut Flows<'a>,
    field: &'static str,
    raw: Option<&'a RawValue>,
    sign: Decimal,
) -> Result<(), Refused> {
    let Some(value) = optional(field, raw) else {
        return Ok(());
    };
    let native: NativeAmount = value.object()?;
    let amount = lamports(required("amount", native.amount)?)?;
    flows.add(Cow::Borrowed(SOL_MINT), amount * sign)
}

fn tokens<'a>(
    flows: &mut Flows<'a>,
    field: &'static str,
    raw: Option<&'a RawValue>,
    sign: Decimal,
    decimals: &mut Decimals<'a>,
) -> Result<(), Refused> {
    let Some(list) = optional(field, raw) else {
        return Ok(());
    };
    for raw in list.array_within(BALANCES_MAX)? {
        let side: TokenSide = Value::new(field, raw).object()?;
        let amount = raw_token_amount(required("rawTokenAmount", side.raw_token_amount)?)?;
        let mint = required("mint", side.mint)?.text()?;
        decimals.insert(mint.clone(), amount.decimals);
        flows.add(mint, amount.amount * sign)?;
    }
    Ok(())
}

/// What the pools gave minus what they took, in each of the inner swaps.
fn inner(raw: Option<&RawValue>) -> Result<Vec<Flows<'_>>, Refused> {
    let Some(list) = optional("innerSwaps", raw) else {
        return Ok(Vec::new());
    };
    let swaps = list.array_within(BALANCES_MAX)?.into_iter();
    swaps.map(inner_swap).collect()
}

fn inner_swap(raw: &RawValue) -> Result<Flows<'_>, Refused> {
    let inner: InnerSwap = Value::new("innerSwaps[]", raw).object()?;
    let mut flows = Flows::default();
    let sides = [
        ("tokenInputs", inner.token_inputs, Decimal::NEGATIVE_ONE),
        ("tokenOutputs", inner.token_outputs, Decimal::ONE),
    ];
    for (field, transfers, sign) in sides {
        let list = optional(field, transfers);
        for raw in list.map_or(Ok(vec![]), |list| list.array_within(BALANCES_MAX))? {
            let transfer: InnerTransfer = Value::new(field, raw).object()?;
            let amount = decimal(required("tokenAmount", transfer.token_amount)?)?;
            flows.add(required("mint", transfer.mint)?.text()?, amount * sign)?;
        }
    }
    Ok(flows)
}
