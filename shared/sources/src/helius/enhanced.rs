//! Enhanced transactions, parsed by Helius, with or without `events.swap`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use domain::aliases::SOL_MINT;
use domain::{Method, Reason};
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::delivery::Outcome;
use crate::helius::decimals::{TokenAmount, decimal, lamports, nearly, raw_token_amount};
use crate::helius::net_balances::{self, Claim, Movements, Transfer};
use crate::helius::quote_side::Sides;
use crate::helius::swap_event;
use crate::helius::swap_tick::{Event, tick};
use crate::refused::Refused;
use crate::value::{Value, optional, required};

/// The most balance changes of a mint that transfers are compared with. A Solana transaction has at
/// most 256 accounts.
const ACCOUNTS_MAX: usize = 256;

#[derive(Deserialize)]
struct Transaction<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    source: Option<&'a RawValue>,
    #[serde(borrow)]
    signature: Option<&'a RawValue>,
    #[serde(borrow)]
    slot: Option<&'a RawValue>,
    #[serde(borrow)]
    timestamp: Option<&'a RawValue>,
    #[serde(borrow)]
    fee: Option<&'a RawValue>,
    #[serde(borrow, rename = "feePayer")]
    fee_payer: Option<&'a RawValue>,
    #[serde(borrow, rename = "transactionError")]
    transaction_error: Option<&'a RawValue>,
    #[serde(borrow)]
    events: Option<&'a RawValue>,
    #[serde(borrow, rename = "tokenTransfers")]
    token_transfers: Option<&'a RawValue>,
    #[serde(borrow, rename = "nativeTransfers")]
    native_transfers: Option<&'a RawValue>,
    #[serde(borrow, rename = "accountData")]
    account_data: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Events<'a> {
    #[serde(borrow)]
    swap: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct TransferFields<'a> {
    #[serde(borrow, rename = "fromUserAccount")]
    from: Option<&'a RawValue>,
    #[serde(borrow, rename = "toUserAccount")]
    to: Option<&'a RawValue>,
    #[serde(borrow)]
    mint: Option<&'a RawValue>,
    #[serde(borrow, rename = "tokenAmount")]
    token_amount: Option<&'a RawValue>,
    #[serde(borrow, rename = "tokenStandard")]
    token_standard: Option<&'a RawValue>,
    #[serde(borrow)]
    amount: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct AccountData<'a> {
    #[serde(borrow)]
    account: Option<&'a RawValue>,
    #[serde(borrow, rename = "nativeBalanceChange")]
    native_balance_change: Option<&'a RawValue>,
    #[serde(borrow, rename = "tokenBalanceChanges")]
    token_balance_changes: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct BalanceChange<'a> {
    #[serde(borrow)]
    mint: Option<&'a RawValue>,
    #[serde(borrow, rename = "rawTokenAmount")]
    raw_token_amount: Option<&'a RawValue>,
    #[serde(borrow, rename = "userAccount")]
    user_account: Option<&'a RawValue>,
}

pub(super) fn read(entry: Value<'_>, now_ms: i64) -> Result<Outcome, Refused> {
    let transaction: Transaction = entry.object()?;
    if optional("transactionError", transaction.transaction_error).is_some() {
        return Ok(Outcome::Ignored("failed transaction"));
    }
    let (sides, method) = match by_event(transaction.events)? {
        Some(sides) => (sides, Method::SwapEvent),
        None => match by_movements(&transaction)? {
            Found::Sides(sides) => (sides, Method::NetBalances),
            Found::Not(why) => return Ok(Outcome::Ignored(why)),
        },
    };
    let venue = optional("source", transaction.source)
        .map(Value::text)
        .transpose()?;
    let event = Event {
        signature: required("signature", transaction.signature)?,
        timestamp_s: required("timestamp", transaction.timestamp)?,
        slot: optional("slot", transaction.slot),
        venue: venue.as_deref().unwrap_or("unknown"),
    };
    tick(&event, &sides, method, now_ms)
}

/// `events` is an object, or an empty array if there are none.
fn by_event(events: Option<&RawValue>) -> Result<Option<Sides<'_>>, Refused> {
    let Some(events) = optional("events", events) else {
        return Ok(None);
    };
    if events.raw().starts_with('[') {
        return Ok(None);
    }
    let events: Events = events.object()?;
    optional("swap", events.swap).map_or(Ok(None), swap_event::sides)
}

enum Found<'a> {
    Sides(Sides<'a>),
    Not(&'static str),
}

fn by_movements<'a>(transaction: &Transaction<'a>) -> Result<Found<'a>, Refused> {
    let kind = optional("type", transaction.kind)
        .map(Value::text)
        .transpose()?;
    // Any other type is another kind of transaction (a stake, a mint, a sale of an NFT), even if it
    // includes a swap.
    let claim = match kind.as_deref() {
        Some("SWAP" | "BUY" | "SELL") => Claim::Trade,
        Some("TRANSFER" | "UNKNOWN") | None => Claim::Unknown,
        Some(_) => return Ok(Found::Not("not a trade")),
    };
    let fee_payer = required("feePayer", transaction.fee_payer)?.text()?;
    let read = movements(transaction, fee_payer)?;
    // If somebody else pays the network fee, the trader is the first account that pays in.
    let fee_payer = read.moved.fee_payer.clone();
    let payer_in = read
        .moved
        .transfers
        .first()
        .map(|transfer| transfer.from.clone());
    for trader in [Some(fee_payer), payer_in].into_iter().flatten() {
        if let Some(sides) = net_balances::sides(&read.moved, &trader, claim)? {
            return Ok(Found::Sides(sides));
        }
    }
    match (claim, read.has_nft) {
        (Claim::Unknown, _) => Ok(Found::Not("not a trade")),
        (Claim::Trade, true) => Ok(Found::Not("trade of an NFT")),
        (Claim::Trade, false) => Err(Refused::new(
            Reason::AmbiguousTrade,
            "the `type` says that this is a trade, but its two sides cannot be determined: `events.swap` does not name them, and no account gained one mint for another",
        )),
    }
}

struct Read<'a> {
    moved: Movements<'a>,
    has_nft: bool,
    /// Exact balance changes by mint, to correct transfer amounts that were rounded to doubles.
    exact: BTreeMap<Cow<'a, str>, Vec<TokenAmount>>,
}

fn movements<'a>(
    transaction: &Transaction<'a>,
    fee_payer: Cow<'a, str>,
) -> Result<Read<'a>, Refused> {
    let moved = Movements {
        fee_payer,
        ..Movements::default()
    };
    let mut read = Read {
        moved,
        has_nft: false,
        exact: BTreeMap::new(),
    };
    for raw in optional("accountData", transaction.account_data).map_or(Ok(vec![]), Value::array)? {
        read.account(Value::new("accountData[]", raw))?;
    }
    if let Some(fee) = optional("fee", transaction.fee) {
        let flows = read
            .moved
            .owners
            .entry(read.moved.fee_payer.clone())
            .or_default();
        flows.add(Cow::Borrowed(SOL_MINT), lamports(fee)?)?;
    }
    let lists = [
        ("tokenTransfers", transaction.token_transfers),
        ("nativeTransfers", transaction.native_transfers),
    ];
    for (field, list) in lists {
        for raw in optional(field, list).map_or(Ok(vec![]), Value::array)? {
            read.transfer(Value::new(field, raw))?;
        }
    }
    Ok(read)
}

impl<'a> Read<'a> {
    fn account(&mut self, value: Value<'a>) -> Result<(), Refused> {
        let data: AccountData<'a> = value.object()?;
        let native = optional("nativeBalanceChange", data.native_balance_change);
        let native = native.map_or(Ok(Decimal::ZERO), lamports)?;
        let changes = optional("tokenBalanceChanges", data.token_balance_changes);
        let changes = changes.map_or(Ok(vec![]), Value::array)?;
        if changes.is_empty() {
            let account = required("account", data.account)?.text()?;
            let flows = self.moved.owners.entry(account).or_default();
            return flows.add(Cow::Borrowed(SOL_MINT), native);
        }
        for raw in changes {
            let change: BalanceChange<'a> = Value::new("tokenBalanceChanges[]", raw).object()?;
            let mint = required("mint", change.mint)?.text()?;
            let owner = required("userAccount", change.user_account)?.text()?;
            let raw_amount = required("rawTokenAmount", change.raw_token_amount)?;
            let amount = raw_token_amount(raw_amount)?;
            let exact = self.exact.entry(mint.clone()).or_default();
            if exact.len() < ACCOUNTS_MAX {
                exact.push(amount);
            }
            if amount.is_nft() {
                self.has_nft = true;
                continue;
            }
            if mint != SOL_MINT {
                let rent = self.moved.rents.entry(owner.clone()).or_default();
                *rent = rent.checked_add(native).unwrap_or_default();
            }
            self.moved
                .owners
                .entry(owner)
                .or_default()
                .add(mint, amount.amount)?;
        }
        Ok(())
    }

    fn transfer(&mut self, value: Value<'a>) -> Result<(), Refused> {
        let fields: TransferFields<'a> = value.object()?;
        let account = |field, raw| optional(field, raw).map_or(Ok(Cow::Borrowed("")), Value::text);
        let (from, to) = (
            account("fromUserAccount", fields.from)?,
            account("toUserAccount", fields.to)?,
        );
        let (mint, amount) = match optional("mint", fields.mint) {
            None => (
                Cow::Borrowed(SOL_MINT),
                lamports(required("amount", fields.amount)?)?,
            ),
            Some(mint) => {
                let mint = mint.text()?;
                let amount = decimal(required("tokenAmount", fields.token_amount)?)?;
                let standard = optional("tokenStandard", fields.token_standard);
                let standard = standard.map(Value::text).transpose()?.unwrap_or_default();
                if standard.contains("NonFungible") || self.is_nft(&mint, amount) {
                    self.has_nft = true;
                    return Ok(());
                }
                let amount = self.exact(&mint, amount);
                (mint, amount)
            }
        };
        self.moved.transfers.push(Transfer {
            from,
            to,
            mint,
            amount,
        });
        Ok(())
    }

    fn is_nft(&self, mint: &str, amount: Decimal) -> bool {
        let changes = self.exact.get(mint).map(Vec::as_slice).unwrap_or_default();
        changes
            .iter()
            .any(|change| TokenAmount { amount, ..*change }.is_nft())
    }

    /// The balance change that matches a transfer's amount, or the amount rounded to the mint's
    /// decimals, since a double only holds 15 digits.
    fn exact(&self, mint: &str, amount: Decimal) -> Decimal {
        let Some(changes) = self.exact.get(mint) else {
            return amount;
        };
        let change = changes.iter().map(|change| change.amount.abs());
        let mut nearest = change.filter(|change| nearly(*change, amount));
        nearest.next().unwrap_or_else(|| match changes.first() {
            Some(change) => amount.round_dp(change.decimals),
            None => amount,
        })
    }
}
