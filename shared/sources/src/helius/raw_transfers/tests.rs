//! Tests of the decoder: every layout, and what is not one.

use serde_json::value::to_raw_value;
use serde_json::{Value as Json, json};

use super::*;

const TOKEN: &str = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA";
const TOKEN_2022: &str = "TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb";
/// An owner that 32 bytes of 7 give in base58.
const OWNER: &str = "US517G5965aydkZ46HS38QLi7UQiSojurfbQfKCELFx";

/// The transfers as `from > to amount mint`, native ones with a star.
fn read_as_lines(instructions: &Json, inner: &Json) -> Vec<String> {
    let keys = [
        "trader",
        "pool",
        "a",
        "b",
        "c",
        "mint",
        TOKEN,
        TOKEN_2022,
        SYSTEM_PROGRAM,
    ];
    let accounts: Vec<_> = keys.into_iter().map(Cow::Borrowed).collect();
    let account = |owner| TokenAccount {
        owner: Cow::Borrowed(owner),
        mint: Cow::Borrowed("mint"),
    };
    let known = [("a", account("trader")), ("b", account("pool"))];
    let known = known.map(|(address, account)| (Cow::Borrowed(address), account));
    let decimals = Decimals::from([(Cow::Borrowed("mint"), 2)]);
    let [instructions, inner] = [instructions, inner].map(|json| to_raw_value(json).unwrap());
    let transfers = super::read(
        Some(&instructions),
        Some(&inner),
        &accounts,
        TokenAccounts::from(known),
        &decimals,
    )
    .unwrap();
    let line = |transfer: &Transfer<'_>| {
        let Transfer {
            from,
            to,
            amount,
            mint,
            ..
        } = transfer;
        let star = if transfer.is_native { "*" } else { "" };
        format!("{from} > {to} {amount} {mint}{star}")
    };
    transfers.iter().map(line).collect()
}

fn compiled(program: usize, accounts: &[usize], data: &[&[u8]]) -> Json {
    let data = bs58::encode(data.concat()).into_string();
    json!({"programIdIndex": program, "accounts": accounts, "data": data})
}

fn parsed(program: &str, kind: &str, info: &Json) -> Json {
    json!({"program": "-", "programId": program, "parsed": {"type": kind, "info": info}})
}

/// The data of an instruction that begins with a tag and an amount of 12.34.
fn with_amount<'d>(tag: &'d [u8], rest: &'d [u8]) -> Vec<u8> {
    [tag, &1_234_u64.to_le_bytes(), rest].concat()
}

#[test]
fn every_layout_of_a_transfer_is_decoded() {
    let amount = json!({"amount": "1234", "decimals": 2});
    let ends = |rest: Json| {
        let mut info = json!({"source": "a", "destination": "b", "authority": "trader"});
        info.as_object_mut()
            .unwrap()
            .extend(rest.as_object().unwrap().clone());
        info
    };
    let cases = [
        compiled(6, &[2, 3, 0], &[&with_amount(&[3], &[])]),
        compiled(7, &[2, 5, 3, 0], &[&with_amount(&[12], &[2])]),
        compiled(
            7,
            &[2, 5, 3, 0],
            &[&with_amount(&[26, 1], &[2, 5, 0, 0, 0, 0, 0, 0, 0])],
        ),
        parsed(TOKEN, "transfer", &ends(json!({"amount": "1234"}))),
        parsed(
            TOKEN_2022,
            "transferChecked",
            &ends(json!({"mint": "mint", "tokenAmount": amount})),
        ),
        parsed(
            TOKEN_2022,
            "transferCheckedWithFee",
            &ends(json!({"mint": "mint", "tokenAmount": amount, "feeAmount": amount})),
        ),
        // Partly decoded: names instead of indexes.
        json!({
            "programId": TOKEN,
            "accounts": ["a", "b", "trader"],
            "data": bs58::encode(with_amount(&[3], &[])).into_string(),
        }),
    ];
    for case in cases {
        let seen = read_as_lines(&json!([case]), &json!([]));
        assert_eq!(seen, ["trader > pool 12.34 mint"], "{case}");
    }
    let native = [
        compiled(8, &[0, 1], &[&with_amount(&[2, 0, 0, 0], &[])]),
        parsed(
            SYSTEM_PROGRAM,
            "transfer",
            &json!({"source": "trader", "destination": "pool", "lamports": 1234}),
        ),
    ];
    for case in native {
        let seen = read_as_lines(&json!([case]), &json!(null));
        assert_eq!(
            seen,
            [format!("trader > pool 0.000001234 {SOL_MINT}*")],
            "{case}"
        );
    }
}

#[test]
fn accounts_opened_in_between_have_an_owner() {
    let owner: &[u8] = &[7; 32];
    let transfer = compiled(6, &[3, 4, 1], &[&with_amount(&[3], &[])]);
    let cases = [
        (compiled(6, &[4, 5, 0, 0], &[&[1]]), "trader"),
        (compiled(6, &[4, 5, 0], &[&[16], owner]), OWNER),
        (compiled(7, &[4, 5], &[&[18], owner]), OWNER),
        (
            parsed(
                TOKEN,
                "initializeAccount3",
                &json!({"account": "c", "mint": "mint", "owner": "someone"}),
            ),
            "someone",
        ),
        (json!({}), ""),
    ];
    for (open, expected) in cases {
        let seen = read_as_lines(&json!([open, transfer]), &json!([]));
        assert_eq!(seen, [format!("pool > {expected} 12.34 mint")], "{open}");
    }
    // An account that is in no balance belongs to who may spend from it.
    let spent = compiled(6, &[4, 3, 0], &[&with_amount(&[3], &[])]);
    assert_eq!(
        read_as_lines(&json!([spent]), &json!([])),
        ["trader > pool 12.34 mint"]
    );
}

#[test]
fn transfers_are_in_the_order_of_execution() {
    let send = |units: u64| compiled(6, &[2, 3, 0], &[&[3], &units.to_le_bytes()]);
    let instructions = json!([send(100), send(300), send(500)]);
    let inner = json!([
        {"index": 1, "instructions": [send(400)]},
        {"index": 0, "instructions": [send(200)]},
        {"index": 2, "instructions": [send(600), send(700)]},
    ]);
    let expected: Vec<_> = (1..=7)
        .map(|units| format!("trader > pool {units}.00 mint"))
        .collect();
    assert_eq!(read_as_lines(&instructions, &inner), expected);
}

#[test]
fn what_cannot_be_decoded_is_not_a_transfer() {
    let good = with_amount(&[3], &[]);
    let cases = [
        json!(null),
        json!(1),
        json!([1, 2]),
        json!({}),
        json!({"programIdIndex": 6}),
        json!({"programIdIndex": -1, "accounts": [2, 3, 0], "data": "1"}),
        json!({"programIdIndex": 99, "accounts": [2, 3, 0], "data": "1"}),
        json!({"programIdIndex": 6, "accounts": [2, 3, 0], "data": "0OIl"}),
        json!({"programIdIndex": 6, "accounts": [2, 3, 0], "data": ""}),
        json!({"programIdIndex": 6, "accounts": [2, 3, 0], "data": "z".repeat(10_000)}),
        json!({"programIdIndex": 6, "accounts": {"0": 2}, "data": 3}),
        // Another program, and an unknown mint.
        compiled(1, &[2, 3, 0], &[&good]),
        compiled(6, &[4, 4, 0], &[&good]),
        compiled(7, &[4, 1, 4, 0], &[&with_amount(&[12], &[2])]),
        // Too few accounts or bytes, an account out of range, and other instructions.
        compiled(6, &[2, 3], &[&good]),
        compiled(6, &[2, 99, 0], &[&good]),
        compiled(6, &[2, 3, 0], &[&[3, 1, 2]]),
        compiled(6, &[2, 3, 0], &[&[9]]),
        compiled(7, &[2, 5, 3, 0], &[&with_amount(&[26, 0], &[2])]),
        compiled(8, &[0, 1], &[&with_amount(&[3, 0, 0, 0], &[])]),
        compiled(8, &[0], &[&with_amount(&[2, 0, 0, 0], &[])]),
        parsed(
            TOKEN,
            "mintTo",
            &json!({"source": "a", "destination": "b", "amount": "1"}),
        ),
        parsed(TOKEN, "transfer", &json!({"source": "a", "amount": "1"})),
        parsed(
            TOKEN,
            "transfer",
            &json!({"source": "a", "destination": "b", "amount": "-1"}),
        ),
        parsed(TOKEN, "transfer", &json!("x")),
        parsed(
            SYSTEM_PROGRAM,
            "transfer",
            &json!({"source": "trader", "destination": [], "lamports": 1}),
        ),
    ];
    for case in cases {
        assert_eq!(read_as_lines(&json!([case]), &json!([])), [""; 0], "{case}");
        assert_eq!(read_as_lines(&case, &case), [""; 0], "{case}");
    }
}
