//! Exact amounts from Helius: whole base units with a number of decimals.

use domain::Volume;
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::refused::Refused;
use crate::value::{Value, required};

/// Decimals of a lamport.
pub(super) const LAMPORT_DECIMALS: u32 = 9;

/// The most decimals accepted for an amount; mints in use have at most 9.
const DECIMALS_MAX: u64 = 18;

/// The largest relative difference between two amounts of which one was rounded to a double:
/// 10^-14.
const DOUBLE_TOLERANCE: Decimal = Decimal::from_parts(1, 0, 0, false, 14);

/// Base units and decimals, as in `rawTokenAmount`.
#[derive(Deserialize)]
struct RawAmount<'a> {
    #[serde(borrow, rename = "tokenAmount")]
    token_amount: Option<&'a RawValue>,
    #[serde(borrow)]
    decimals: Option<&'a RawValue>,
}

/// An amount of a token and the mint's decimals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TokenAmount {
    pub(super) amount: Decimal,
    pub(super) decimals: u32,
}

impl TokenAmount {
    /// Whether this is one unit of an indivisible token.
    pub(super) fn is_nft(self) -> bool {
        self.decimals == 0 && self.amount.abs() == Decimal::ONE
    }
}

/// Reads `{"tokenAmount": "-13279846", "decimals": 6}`.
pub(super) fn raw_token_amount(value: Value<'_>) -> Result<TokenAmount, Refused> {
    let raw: RawAmount = value.object()?;
    base_units(
        required("tokenAmount", raw.token_amount)?,
        required("decimals", raw.decimals)?,
    )
}

/// Base units, as a number or a string, divided by 10^`decimals`.
pub(super) fn base_units(units: Value<'_>, decimals: Value<'_>) -> Result<TokenAmount, Refused> {
    let places = decimals.unsigned()?;
    if places > DECIMALS_MAX {
        return Err(decimals.wrong_type("a number of decimals from 0 to 18"));
    }
    let places = u32::try_from(places).unwrap_or_default();
    let units: i128 = units
        .digits()?
        .parse()
        .map_err(|_| units.wrong_type("a whole number of base units"))?;
    let amount = Decimal::try_from_i128_with_scale(units, places)
        .map_err(|_| decimals.wrong_type("such that the amount has at most 28 digits"))?;
    Ok(TokenAmount {
        amount,
        decimals: places,
    })
}

/// SOL from lamports, as a number or a string; a change may be negative.
pub(super) fn lamports(value: Value<'_>) -> Result<Decimal, Refused> {
    Ok(sol(value.signed()?))
}

pub(super) fn sol(lamports: i64) -> Decimal {
    Decimal::new(lamports, LAMPORT_DECIMALS)
}

/// Whether two amounts are equal except for the rounding of a double.
pub(super) fn nearly(left: Decimal, right: Decimal) -> bool {
    let tolerated = left.abs().max(right.abs()).checked_mul(DOUBLE_TOLERANCE);
    let apart = left.checked_sub(right).map(|apart| apart.abs());
    apart
        .zip(tolerated)
        .is_some_and(|(apart, tolerated)| apart <= tolerated)
}

/// An amount that Helius writes as a double: its literal text.
pub(super) fn decimal(value: Value<'_>) -> Result<Decimal, Refused> {
    Volume::parse(&value.digits()?)
        .map(Volume::decimal)
        .map_err(|error| value.refused(domain::Reason::InvalidVolume, error))
}
