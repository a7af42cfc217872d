//! The two sides in `events.swap`.
//!
//! A tick's price is the traded one, before network and platform fees. Helius reports the sides as
//! the pools saw them: in its payloads, a platform fee leaves the trader after the swap, is listed
//! in `nativeFees` or `tokenFees`, and is not deducted from the output. So the reported amounts are
//! the price, unless the inner swaps prove otherwise: if they add up to the reported output plus
//! the fee (or the reported input minus the fee), that amount was traded.

use std::borrow::Cow;

use domain::aliases::SOL_MINT;
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::helius::decimals::{decimal, lamports, nearly, raw_token_amount};
use crate::helius::flows::Flows;
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

/// `None` if the event does not name one mint on each side.
pub(super) fn sides<'a>(swap: Value<'a>) -> Result<Option<Sides<'a>>, Refused> {
    let swap: Swap<'a> = swap.object()?;
    let mut trader = Flows::default();
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
    )?;
    let Some(stated) = trader.sides() else {
        return Ok(None);
    };

    let mut fees = Flows::default();
    for fee in optional("nativeFees", swap.native_fees).map_or(Ok(vec![]), Value::array)? {
        native(&mut fees, "nativeFees[]", Some(fee), Decimal::ONE)?;
    }
    tokens(&mut fees, "tokenFees", swap.token_fees, Decimal::ONE)?;
    let traded = inner(swap.inner_swaps)?;
    Ok(Some(Sides {
        paid: before_fee(stated.paid, &fees, &traded, Decimal::NEGATIVE_ONE),
        received: before_fee(stated.received, &fees, &traded, Decimal::ONE),
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
) -> Result<(), Refused> {
    let Some(list) = optional(field, raw) else {
        return Ok(());
    };
    for raw in list.array()? {
        let side: TokenSide = Value::new(field, raw).object()?;
        let amount = raw_token_amount(required("rawTokenAmount", side.raw_token_amount)?)?.amount;
        flows.add(required("mint", side.mint)?.text()?, amount * sign)?;
    }
    Ok(())
}

/// What the pools gave minus what they took, over all inner swaps: amounts that pass from one pool
/// to the next cancel out.
fn inner(raw: Option<&RawValue>) -> Result<Flows<'_>, Refused> {
    let mut flows = Flows::default();
    let Some(list) = optional("innerSwaps", raw) else {
        return Ok(flows);
    };
    for raw in list.array()? {
        let inner: InnerSwap = Value::new("innerSwaps[]", raw).object()?;
        let sides = [
            ("tokenInputs", inner.token_inputs, Decimal::NEGATIVE_ONE),
            ("tokenOutputs", inner.token_outputs, Decimal::ONE),
        ];
        for (field, transfers, sign) in sides {
            for raw in optional(field, transfers).map_or(Ok(vec![]), Value::array)? {
                let transfer: InnerTransfer = Value::new(field, raw).object()?;
                let amount = decimal(required("tokenAmount", transfer.token_amount)?)?;
                flows.add(required("mint", transfer.mint)?.text()?, amount * sign)?;
            }
        }
    }
    Ok(flows)
}
