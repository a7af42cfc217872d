//! The transfers in the instructions of a raw transaction: SPL Token and Token-2022 transfers, and
//! System Program transfers of native SOL.
//!
//! Instructions are compiled (indexes of accounts, data in base58) or parsed (`jsonParsed`), as laid out
//! by [SPL Token] and the [System Program]. What cannot be decoded is not a transfer, and never an error.
//!
//! [SPL Token]: https://app.unpkg.com/@solana/spl-token@0.4.13/files/src/instructions/decode.ts
//! [System Program]: https://docs.rs/solana-program/1.8.0/solana_program/system_instruction/index.html

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeMap;

use domain::aliases::SOL_MINT;
use rust_decimal::Decimal;
use serde_json::value::RawValue;

use crate::helius::decimals::{LAMPORT_DECIMALS, TokenAmount};
use crate::helius::limits::{self, INSTRUCTION_ACCOUNTS_MAX, INSTRUCTIONS_MAX};
use crate::helius::members::{Members, list};
use crate::helius::movements::Decimals;
use crate::helius::transfers::Transfer;
use crate::refused::Refused;
use crate::value::Value;

const SYSTEM_PROGRAM: &str = "11111111111111111111111111111111";
const TOKEN_PROGRAMS: &[&str] = &[
    "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA",
    "TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb",
];

/// The longest data that is decoded here: a tag and an owner, and the same in base58, whose decoding
/// takes time that grows with the square of the length.
const DATA_BYTES_MAX: usize = 33;
const DATA_CHARS_MAX: usize = 46;

/// Owner and mint of a token account.
#[derive(Debug, Clone)]
pub(super) struct TokenAccount<'a> {
    pub(super) owner: Cow<'a, str>,
    pub(super) mint: Cow<'a, str>,
}

/// Token accounts by address.
pub(super) type TokenAccounts<'a> = BTreeMap<Cow<'a, str>, TokenAccount<'a>>;

/// What an instruction does, as far as it matters here. The mint of `Transfer` is not named.
enum Action<'a> {
    /// Opens a token account.
    Open(Cow<'a, str>, TokenAccount<'a>),
    Tokens {
        ends: [Cow<'a, str>; 2],
        mint: Option<Cow<'a, str>>,
        authority: Cow<'a, str>,
        units: u64,
    },
    Lamports {
        ends: [Cow<'a, str>; 2],
        units: u64,
    },
}

/// The transfers in the order in which they were executed: each instruction, then the instructions
/// that it caused.
pub(super) fn read<'a>(
    instructions: Option<&'a RawValue>,
    inner: Option<&'a RawValue>,
    accounts: &[Cow<'a, str>],
    mut known: TokenAccounts<'a>,
    decimals: &Decimals<'a>,
) -> Result<Vec<Transfer<'a>>, Refused> {
    let mut caused: BTreeMap<u64, Vec<&'a RawValue>> = BTreeMap::new();
    let instructions = list("instructions", instructions, INSTRUCTIONS_MAX)?;
    let groups = list("innerInstructions", inner, INSTRUCTIONS_MAX)?;
    let mut count = instructions.len();
    for group in groups.into_iter().filter_map(Members::read) {
        let index = group.number("index").unwrap_or_default();
        let more = list("instructions", group.get("instructions"), INSTRUCTIONS_MAX)?;
        count += more.len();
        limits::check(count, INSTRUCTIONS_MAX, "innerInstructions", "instructions")?;
        caused.entry(index).or_default().extend(more);
    }
    let mut executed = Vec::new();
    for (index, raw) in (0..).zip(instructions) {
        executed.push(raw);
        executed.extend(caused.remove(&index).unwrap_or_default());
    }
    executed.extend(caused.into_values().flatten());

    let mut transfers = Vec::new();
    for raw in executed {
        match action(raw, accounts) {
            Some(Action::Open(account, opened)) => {
                known.entry(account).or_insert(opened);
            }
            Some(moved) => transfers.extend(transfer(moved, &known, decimals)),
            None => {}
        }
    }
    Ok(transfers)
}

fn transfer<'a>(
    action: Action<'a>,
    known: &TokenAccounts<'a>,
    decimals: &Decimals<'a>,
) -> Option<Transfer<'a>> {
    let amount = |units, places| Decimal::try_from_i128_with_scale(i128::from(units), places).ok();
    match action {
        Action::Open(..) => None,
        Action::Lamports {
            ends: [from, to],
            units,
        } => Some(Transfer {
            from,
            to,
            from_account: Cow::Borrowed(""),
            to_account: Cow::Borrowed(""),
            mint: Cow::Borrowed(SOL_MINT),
            amount: amount(units, LAMPORT_DECIMALS)?,
            is_native: true,
        }),
        Action::Tokens {
            ends: [from, to],
            mint,
            authority,
            units,
        } => {
            // An account that is opened and closed in between is in none of the balances.
            let (payer, receiver) = (known.get(&from), known.get(&to));
            let known_mint = payer.or(receiver).map(|account| account.mint.clone());
            let mint = known_mint.or(mint)?;
            let decimals = *decimals.get(&mint)?;
            let amount = amount(units, decimals)?;
            let is_nft = TokenAmount { amount, decimals }.is_nft();
            (!is_nft).then(|| Transfer {
                from: payer.map_or(authority, |account| account.owner.clone()),
                to: receiver.map_or(Cow::Borrowed(""), |account| account.owner.clone()),
                from_account: from,
                to_account: to,
                mint,
                amount,
                is_native: false,
            })
        }
    }
}

fn action<'a>(raw: &'a RawValue, accounts: &[Cow<'a, str>]) -> Option<Action<'a>> {
    let instruction = Members::read(raw)?;
    let account = |raw| {
        let value = Value::new("accounts[]", raw);
        match value.raw().starts_with('"') {
            true => value.text().ok(),
            false => {
                let index = usize::try_from(value.unsigned().ok()?).ok()?;
                accounts.get(index).cloned()
            }
        }
    };
    let program = instruction.get("programIdIndex");
    let program = account(program.or_else(|| instruction.get("programId"))?)?;
    let is_token = TOKEN_PROGRAMS.contains(&program.as_ref());
    if !is_token && program != SYSTEM_PROGRAM {
        return None;
    }
    if let Some(parsed) = instruction.get("parsed") {
        return of_parsed(&Members::read(parsed)?, is_token);
    }
    let own = list("accounts", instruction.get("accounts"), usize::MAX).ok()?;
    let own = own.into_iter().take(INSTRUCTION_ACCOUNTS_MAX).map(account);
    let own: Vec<_> = own.collect::<Option<_>>()?;
    let text = instruction.text("data")?;
    if text.len() > DATA_CHARS_MAX {
        return None;
    }
    let mut buffer = [0; DATA_BYTES_MAX];
    let length = bs58::decode(text.as_ref()).onto(&mut buffer).ok()?;
    let data = buffer.get(..length)?;
    (if is_token { of_token } else { of_system })(data, &own)
}

fn of_token<'a>(data: &[u8], accounts: &[Cow<'a, str>]) -> Option<Action<'a>> {
    let (tag, rest) = data.split_first()?;
    match (tag, accounts) {
        // `Transfer`
        (3, [from, to, authority, ..]) => Some(Action::Tokens {
            ends: [from.clone(), to.clone()],
            mint: None,
            authority: authority.clone(),
            units: units(rest)?,
        }),
        // `TransferChecked`, and `TransferCheckedWithFee` of the extension of transfer fees
        (12 | 26, [from, mint, to, authority, ..]) => Some(Action::Tokens {
            ends: [from.clone(), to.clone()],
            mint: Some(mint.clone()),
            authority: authority.clone(),
            units: units(if *tag == 12 {
                rest
            } else {
                rest.strip_prefix(&[1])?
            })?,
        }),
        // `InitializeAccount`, and its second and third version, which name the owner in the data
        (1, [account, mint, owner, ..]) => Some(open(account, mint, owner.clone())),
        (16 | 18, [account, mint, ..]) => {
            let owner = bs58::encode(rest.get(..32)?).into_string();
            Some(open(account, mint, Cow::Owned(owner)))
        }
        _ => None,
    }
}

fn open<'a>(account: &Cow<'a, str>, mint: &Cow<'a, str>, owner: Cow<'a, str>) -> Action<'a> {
    let mint = mint.clone();
    Action::Open(account.clone(), TokenAccount { owner, mint })
}

fn of_system<'a>(data: &[u8], accounts: &[Cow<'a, str>]) -> Option<Action<'a>> {
    let [from, to, ..] = accounts else {
        return None;
    };
    Some(Action::Lamports {
        ends: [from.clone(), to.clone()],
        units: units(data.strip_prefix(&[2, 0, 0, 0])?)?,
    })
}

fn units(data: &[u8]) -> Option<u64> {
    data.first_chunk().copied().map(u64::from_le_bytes)
}

fn of_parsed<'a>(parsed: &Members<'a>, is_token: bool) -> Option<Action<'a>> {
    let info = Members::read(parsed.get("info")?)?;
    let ends = || Some([info.text("source")?, info.text("destination")?]);
    let units = match (parsed.text("type")?.as_ref(), is_token) {
        ("transfer", true) => info.number("amount")?,
        ("transferChecked" | "transferCheckedWithFee", true) => {
            Members::read(info.get("tokenAmount")?)?.number("amount")?
        }
        ("transfer", false) => {
            let (ends, units) = (ends()?, info.number("lamports")?);
            return Some(Action::Lamports { ends, units });
        }
        ("initializeAccount" | "initializeAccount2" | "initializeAccount3", true) => {
            let [account, mint] = [info.text("account")?, info.text("mint")?];
            return Some(open(&account, &mint, info.text("owner")?));
        }
        _ => return None,
    };
    Some(Action::Tokens {
        ends: ends()?,
        mint: info.text("mint"),
        authority: info.text("authority").unwrap_or_default(),
        units,
    })
}
