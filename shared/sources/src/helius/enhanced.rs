//! Enhanced transactions, parsed by Helius, with or without `events.swap`.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use domain::aliases::SOL_MINT;
use domain::{Method, Reason};
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::delivery::Outcome;
use crate::helius::counterparties::Found;
use crate::helius::decimals::{TokenAmount, decimal, lamports, nearly, raw_token_amount};
use crate::helius::limits::{self, ACCOUNTS_MAX, BALANCES_MAX, TRANSFERS_MAX};
use crate::helius::market_trade;
use crate::helius::movements::Movements;
use crate::helius::no_price;
use crate::helius::programs::Programs;
use crate::helius::swap_event::{self, SwapEvent};
use crate::helius::swap_tick::{Event, tick};
use crate::helius::transfers::{Transfer, Transfers};
use crate::refused::Refused;
use crate::value::{Value, optional, required};

/// The sources whose pools pay before they are paid start with this.
const PAID_FIRST_SOURCES: &str = "PUMP";

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
    #[serde(borrow, rename = "fromTokenAccount")]
    from_account: Option<&'a RawValue>,
    #[serde(borrow, rename = "toTokenAccount")]
    to_account: Option<&'a RawValue>,
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
    let mut read = movements(&transaction)?;
    let swap = swap_of(transaction.events)?;
    let (sides, method) = match (market_trade::find(&read.moved)?, swap) {
        (Found::Trade(sides), swap) => {
            let is_confirmed = swap.is_some_and(|swap| swap.agrees(&sides));
            let method = match is_confirmed {
                true => Method::SwapEvent,
                false => Method::NetBalances,
            };
            (sides, method)
        }
        (Found::Several, _) => return Err(no_price::several_trades()),
        (Found::Unclear, _) => return Err(no_price::unclear_trade()),
        (Found::Nothing, Some(swap)) if swap.is_several => return Err(no_price::several_trades()),
        // Nothing is known of what moved, so nothing contradicts the event.
        (Found::Nothing, Some(swap)) if read.moved.is_empty() && !swap.is_contradicted => {
            read.moved.decimals = swap.decimals;
            (swap.sides, Method::SwapEvent)
        }
        (Found::Nothing, Some(_)) => return Err(no_price::contradicted_event()),
        (Found::Nothing, None) => return no_trade(&transaction, read.has_nft),
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
    tick(&event, &sides, method, &read.moved.decimals, now_ms)
}

/// `events` is an object, or an empty array if there are none.
fn swap_of(events: Option<&RawValue>) -> Result<Option<SwapEvent<'_>>, Refused> {
    let Some(events) = optional("events", events) else {
        return Ok(None);
    };
    if events.raw().starts_with('[') {
        return Ok(None);
    }
    let events: Events = events.object()?;
    optional("swap", events.swap).map_or(Ok(None), swap_event::read)
}

/// The type only decides whether a transaction in which no trade was found is refused: providers give
/// swaps all kinds of types.
fn no_trade(transaction: &Transaction<'_>, has_nft: bool) -> Result<Outcome, Refused> {
    let kind = optional("type", transaction.kind)
        .map(Value::text)
        .transpose()?;
    match (kind.as_deref(), has_nft) {
        (Some("SWAP" | "BUY" | "SELL"), true) => Ok(Outcome::Ignored("trade of an NFT")),
        (Some("SWAP" | "BUY" | "SELL"), false) => Err(Refused::new(
            Reason::AmbiguousTrade,
            "the `type` says that this is a trade, but its two sides cannot be determined: \
             `events.swap` does not name them, and no account gave up one mint for another",
        )),
        _ => Ok(Outcome::Ignored("not a trade")),
    }
}

struct Read<'a> {
    moved: Movements<'a>,
    has_nft: bool,
    transfers: Vec<Transfer<'a>>,
    /// The number of balance changes.
    changes: usize,
    /// Exact balance changes by mint, to correct transfer amounts that were rounded to doubles.
    exact: BTreeMap<Cow<'a, str>, ExactAmounts>,
}

/// The balance changes of a mint.
#[derive(Default)]
struct ExactAmounts {
    /// Without their signs.
    amounts: BTreeSet<Decimal>,
    decimals: u32,
    /// Whether the mint has no decimals, so that an amount of one is an NFT.
    is_indivisible: bool,
}

fn movements<'a>(transaction: &Transaction<'a>) -> Result<Read<'a>, Refused> {
    let text = |field, raw| optional(field, raw).map_or(Ok(Cow::Borrowed("")), Value::text);
    let moved = Movements {
        fee_payer: text("feePayer", transaction.fee_payer)?,
        programs: Programs {
            pays_first: text("source", transaction.source)?.starts_with(PAID_FIRST_SOURCES),
            ..Programs::default()
        },
        ..Movements::default()
    };
    let mut read = Read {
        moved,
        has_nft: false,
        transfers: Vec::new(),
        changes: 0,
        exact: BTreeMap::new(),
    };
    let accounts = optional("accountData", transaction.account_data);
    let accounts = accounts.map_or(Ok(vec![]), |list| list.array_within(ACCOUNTS_MAX))?;
    for raw in accounts {
        read.account(Value::new("accountData[]", raw))?;
    }
    if let Some(fee) = optional("fee", transaction.fee) {
        let fee = lamports(fee)?;
        let payer = read.moved.owners.get_mut(&read.moved.fee_payer);
        if let Some(payer) = payer {
            payer.native = payer.native.checked_add(fee).unwrap_or_default();
        }
    }
    let lists = [
        ("tokenTransfers", transaction.token_transfers),
        ("nativeTransfers", transaction.native_transfers),
    ];
    for (field, list) in lists {
        let list = optional(field, list);
        for raw in list.map_or(Ok(vec![]), |list| list.array_within(TRANSFERS_MAX))? {
            read.transfer(Value::new(field, raw))?;
        }
    }
    read.moved.transfers = Transfers::new(std::mem::take(&mut read.transfers));
    read.moved.leave_out_rent();
    Ok(read)
}

impl<'a> Read<'a> {
    fn account(&mut self, value: Value<'a>) -> Result<(), Refused> {
        let data: AccountData<'a> = value.object()?;
        if let Some(Ok(account)) = optional("account", data.account).map(Value::text) {
            self.moved.programs.note(&account);
        }
        let native = optional("nativeBalanceChange", data.native_balance_change);
        let native = native.map_or(Ok(Decimal::ZERO), lamports)?;
        let changes = optional("tokenBalanceChanges", data.token_balance_changes);
        let changes = changes.map_or(Ok(vec![]), Value::array)?;
        if changes.is_empty() {
            let account = required("account", data.account)?.text()?;
            let change = self.moved.owners.entry(account).or_default();
            change.native = change.native.checked_add(native).unwrap_or_default();
            return Ok(());
        }
        self.changes += changes.len();
        limits::check(
            self.changes,
            BALANCES_MAX,
            "accountData",
            "tokenBalanceChanges",
        )?;
        for raw in changes {
            let change: BalanceChange<'a> = Value::new("tokenBalanceChanges[]", raw).object()?;
            let mint = required("mint", change.mint)?.text()?;
            let owner = required("userAccount", change.user_account)?.text()?;
            let raw_amount = required("rawTokenAmount", change.raw_token_amount)?;
            let amount = raw_token_amount(raw_amount)?;
            let exact = self.exact.entry(mint.clone()).or_default();
            if exact.amounts.is_empty() {
                exact.decimals = amount.decimals;
            }
            exact.is_indivisible |= amount.decimals == 0;
            exact.amounts.insert(amount.amount.abs());
            self.moved.decimals.insert(mint.clone(), amount.decimals);
            if amount.is_nft() {
                self.has_nft = true;
                continue;
            }
            let change = self.moved.owners.entry(owner).or_default();
            if mint != SOL_MINT {
                change.rent = change.rent.checked_add(native).unwrap_or_default();
            }
            change.tokens.add(mint, amount.amount)?;
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
        let (from_account, to_account) = (
            account("fromTokenAccount", fields.from_account)?,
            account("toTokenAccount", fields.to_account)?,
        );
        let (mint, amount, is_native) = match optional("mint", fields.mint) {
            None => (
                Cow::Borrowed(SOL_MINT),
                lamports(required("amount", fields.amount)?)?,
                true,
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
                (mint, amount, false)
            }
        };
        self.transfers.push(Transfer {
            from,
            to,
            from_account,
            to_account,
            mint,
            amount,
            is_native,
        });
        Ok(())
    }

    fn is_nft(&self, mint: &str, amount: Decimal) -> bool {
        let exact = self.exact.get(mint);
        exact.is_some_and(|exact| exact.is_indivisible)
            && TokenAmount {
                amount,
                decimals: 0,
            }
            .is_nft()
    }

    /// The balance change that matches a transfer's amount, or the amount rounded to the mint's
    /// decimals, since a double only holds 15 digits.
    fn exact(&self, mint: &str, amount: Decimal) -> Decimal {
        let Some(exact) = self.exact.get(mint) else {
            return amount;
        };
        let below = exact.amounts.range(..=amount).next_back();
        let above = exact.amounts.range(amount..).next();
        let apart = |change: &&Decimal| (**change - amount).abs();
        let nearest = below.into_iter().chain(above).min_by_key(apart);
        match nearest {
            Some(change) if nearly(*change, amount) => *change,
            _ => amount.round_dp(exact.decimals),
        }
    }
}
