//! Raw transactions: balances before and after, by account.
//!
//! They have no type, and their transfers are decoded from the instructions. Without instructions, a
//! trade is recognized by balances alone.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use domain::Method;
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::delivery::Outcome;
use crate::helius::counterparties::Found;
use crate::helius::decimals::{base_units, lamports};
use crate::helius::flows::Flows;
use crate::helius::market_trade::{self, SIGNERS_MAX};
use crate::helius::movements::{Change, Movements, Owners};
use crate::helius::no_price;
use crate::helius::raw_transfers::{self, TokenAccount, TokenAccounts};
use crate::helius::swap_tick::{Event, tick};
use crate::refused::Refused;
use crate::value::{Value, optional, required};

#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(borrow, rename = "blockTime")]
    block_time: Option<&'a RawValue>,
    #[serde(borrow)]
    slot: Option<&'a RawValue>,
    #[serde(borrow)]
    meta: Option<&'a RawValue>,
    #[serde(borrow)]
    transaction: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Meta<'a> {
    #[serde(borrow)]
    err: Option<&'a RawValue>,
    #[serde(borrow)]
    fee: Option<&'a RawValue>,
    #[serde(borrow, rename = "preBalances")]
    pre_balances: Option<&'a RawValue>,
    #[serde(borrow, rename = "postBalances")]
    post_balances: Option<&'a RawValue>,
    #[serde(borrow, rename = "preTokenBalances")]
    pre_token_balances: Option<&'a RawValue>,
    #[serde(borrow, rename = "postTokenBalances")]
    post_token_balances: Option<&'a RawValue>,
    #[serde(borrow, rename = "innerInstructions")]
    inner_instructions: Option<&'a RawValue>,
    #[serde(borrow, rename = "loadedAddresses")]
    loaded_addresses: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Loaded<'a> {
    #[serde(borrow)]
    writable: Option<&'a RawValue>,
    #[serde(borrow)]
    readonly: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Transaction<'a> {
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    #[serde(borrow)]
    signatures: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, rename = "accountKeys")]
    account_keys: Option<&'a RawValue>,
    #[serde(borrow)]
    instructions: Option<&'a RawValue>,
}

/// An account key in a parsed transaction.
#[derive(Deserialize)]
struct ParsedKey<'a> {
    #[serde(borrow)]
    pubkey: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct TokenBalance<'a> {
    #[serde(borrow, rename = "accountIndex")]
    account_index: Option<&'a RawValue>,
    #[serde(borrow)]
    mint: Option<&'a RawValue>,
    #[serde(borrow)]
    owner: Option<&'a RawValue>,
    #[serde(borrow, rename = "uiTokenAmount")]
    ui_token_amount: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct UiTokenAmount<'a> {
    #[serde(borrow)]
    amount: Option<&'a RawValue>,
    #[serde(borrow)]
    decimals: Option<&'a RawValue>,
}

pub(super) fn read(entry: Value<'_>, now_ms: i64) -> Result<Outcome, Refused> {
    let entry: Entry = entry.object()?;
    let meta: Meta = required("meta", entry.meta)?.object()?;
    if optional("err", meta.err).is_some() {
        return Ok(Outcome::Ignored("failed transaction"));
    }
    let transaction: Transaction = required("transaction", entry.transaction)?.object()?;
    let message: Message = required("message", transaction.message)?.object()?;
    let signatures = required("signatures", transaction.signatures)?;
    let signed = signatures.array()?;
    let accounts = accounts(&message, &meta)?;
    let (mut moved, token_accounts) = movements(&meta, &accounts)?;
    // Each owner is looked for among the signers.
    let signers = signed.len().min(SIGNERS_MAX);
    moved.signers = accounts.iter().take(signers).cloned().collect();
    accounts
        .iter()
        .for_each(|account| moved.programs.note(account));
    moved.transfers = raw_transfers::read(
        message.instructions,
        meta.inner_instructions,
        &accounts,
        token_accounts,
        &moved.decimals,
    );
    moved.leave_out_rent();
    let sides = match market_trade::find(&moved)? {
        Found::Trade(sides) => sides,
        Found::Several => return Err(no_price::several_trades()),
        Found::Unclear => return Err(no_price::unclear_trade()),
        Found::Nothing => return Ok(Outcome::Ignored("not a trade")),
    };
    let event = Event {
        signature: required("signatures[0]", signed.first().copied())?,
        timestamp_s: required("blockTime", entry.block_time)?,
        slot: optional("slot", entry.slot),
        venue: "raw",
    };
    tick(&event, &sides, Method::NetBalances, &moved.decimals, now_ms)
}

/// The accounts in index order: the message's own, then the loaded ones.
fn accounts<'a>(message: &Message<'a>, meta: &Meta<'a>) -> Result<Vec<Cow<'a, str>>, Refused> {
    let mut keys = required("accountKeys", message.account_keys)?.array()?;
    if let Some(loaded) = optional("loadedAddresses", meta.loaded_addresses) {
        let loaded: Loaded = loaded.object()?;
        for (field, list) in [("writable", loaded.writable), ("readonly", loaded.readonly)] {
            keys.extend(optional(field, list).map_or(Ok(vec![]), Value::array)?);
        }
    }
    keys.into_iter()
        .map(|raw| account_key(Value::new("accountKeys[]", raw)))
        .collect()
}

fn account_key(value: Value<'_>) -> Result<Cow<'_, str>, Refused> {
    if !value.raw().starts_with('{') {
        return value.text();
    }
    let parsed: ParsedKey = value.object()?;
    required("pubkey", parsed.pubkey)?.text()
}

/// What moved by the balances, and the token accounts that they name.
fn movements<'a>(
    meta: &Meta<'a>,
    accounts: &[Cow<'a, str>],
) -> Result<(Movements<'a>, TokenAccounts<'a>), Refused> {
    let fee_payer = accounts.first().cloned().unwrap_or_default();
    let mut moved = Movements {
        fee_payer,
        ..Movements::default()
    };
    let mut token_accounts = BTreeSet::new();
    let sides = [
        (
            "preTokenBalances",
            meta.pre_token_balances,
            Decimal::NEGATIVE_ONE,
        ),
        ("postTokenBalances", meta.post_token_balances, Decimal::ONE),
    ];
    // A mint without decimals whose only change is one unit is an NFT.
    let mut indivisible: BTreeMap<Cow<'a, str>, bool> = BTreeMap::new();
    let mut held = Holdings::new();
    let mut known = TokenAccounts::new();
    for (field, list, sign) in sides {
        for raw in optional(field, list).map_or(Ok(vec![]), Value::array)? {
            let balance: TokenBalance<'a> = Value::new(field, raw).object()?;
            let index = required("accountIndex", balance.account_index)?;
            let position = usize::try_from(index.unsigned()?).unwrap_or(usize::MAX);
            let account = accounts
                .get(position)
                .ok_or_else(|| index.wrong_type("the index of one of the accounts"))?;
            token_accounts.insert(position);
            let owner = optional("owner", balance.owner)
                .map(Value::text)
                .transpose()?;
            let mint = required("mint", balance.mint)?.text()?;
            let amount: UiTokenAmount =
                required("uiTokenAmount", balance.ui_token_amount)?.object()?;
            let amount = base_units(
                required("amount", amount.amount)?,
                required("decimals", amount.decimals)?,
            )?;
            let is_unit = amount.is_nft() || (amount.decimals == 0 && amount.amount.is_zero());
            indivisible
                .entry(mint.clone())
                .and_modify(|all| *all &= is_unit)
                .or_insert(is_unit);
            moved.decimals.insert(mint.clone(), amount.decimals);
            let owner = owner.unwrap_or_else(|| account.clone());
            let token_account = TokenAccount {
                owner: owner.clone(),
                mint: mint.clone(),
            };
            known.entry(account.clone()).or_insert(token_account);
            let held = held.entry(owner.clone()).or_default();
            match sign.is_sign_negative() {
                true => held.0.add(mint.clone(), amount.amount)?,
                false => held.1.add(mint.clone(), amount.amount)?,
            }
            let change = moved.owners.entry(owner).or_default();
            change.tokens.add(mint, amount.amount * sign)?;
        }
    }
    for change in moved.owners.values_mut() {
        change
            .tokens
            .retain(|mint| !indivisible.get(mint).copied().unwrap_or_default());
    }
    moved.share_moved = shares_moved(&moved.owners, &held);
    native(&mut moved, meta, accounts, &token_accounts)?;
    Ok((moved, known))
}

/// What each owner held before and after.
type Holdings<'a> = BTreeMap<Cow<'a, str>, (Flows<'a>, Flows<'a>)>;

/// For each owner, the largest share of its holdings of a mint that moved.
fn shares_moved<'a>(owners: &Owners<'a>, held: &Holdings<'a>) -> BTreeMap<Cow<'a, str>, Decimal> {
    let share_of = |(owner, change): (&Cow<'a, str>, &Change<'a>)| {
        let (before, after) = held.get(owner)?;
        let shares = change.tokens.moved().filter_map(|(mint, amount)| {
            let most = before.of(mint).max(after.of(mint));
            amount.abs().checked_div(most)
        });
        Some((owner.clone(), shares.max()?))
    };
    owners.iter().filter_map(share_of).collect()
}

/// Native SOL of all accounts except token accounts, where it is rent or wrapped.
fn native<'a>(
    moved: &mut Movements<'a>,
    meta: &Meta<'a>,
    accounts: &[Cow<'a, str>],
    token_accounts: &BTreeSet<usize>,
) -> Result<(), Refused> {
    let balances = |field, list| optional(field, list).map_or(Ok(vec![]), Value::array);
    let before = balances("preBalances", meta.pre_balances)?;
    let after = balances("postBalances", meta.post_balances)?;
    let fee = optional("fee", meta.fee).map_or(Ok(Decimal::ZERO), lamports)?;
    let changes = accounts
        .iter()
        .zip(before.into_iter().zip(after))
        .enumerate();
    for (position, (account, (before, after))) in changes {
        if token_accounts.contains(&position) {
            continue;
        }
        let before = lamports(Value::new("preBalances[]", before))?;
        let after = lamports(Value::new("postBalances[]", after))?;
        let fee = if position == 0 { fee } else { Decimal::ZERO };
        // 2^64 lamports at most, three times: no overflow.
        let change = moved.owners.entry(account.clone()).or_default();
        change.native += after - before + fee;
    }
    Ok(())
}
