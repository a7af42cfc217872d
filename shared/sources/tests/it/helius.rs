//! Helius: the identity across both kinds of webhooks, and the agreement of both ways to determine
//! a price.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use sources::Entry;

use crate::{entries, fixtures, line};

/// The same transaction by transfers, by balances, with its event, and raw, with instructions or
/// without: one price and volume.
#[test]
fn the_price_does_not_depend_on_the_form_of_a_transaction() {
    let all = fixtures::all();
    for (first, transactions) in [("Signature101", 5), ("Signature201", 8)] {
        let mut told = all.iter().filter(|(source, _)| *source == "helius");
        let told = told.find(|(_, body)| body.contains(first)).unwrap();
        let entries = entries("helius", &told.1);
        assert_eq!(entries.len(), 4 * transactions);
        for ways in entries.chunks(4) {
            let seen: BTreeSet<_> = ways
                .iter()
                .map(|entry| match entry {
                    Entry::Tick(tick) => (tick.price, tick.volume),
                    Entry::ArrivalStamped(_) | Entry::Ignored(_) | Entry::Malformed(_) => {
                        panic!("{entry:?}")
                    }
                })
                .collect();
            assert_eq!(seen.len(), 1, "{ways:?}");
        }
    }
}

/// Instructions only add to what balances show: without them, or with others that cannot be decoded,
/// a raw transaction that its fee payer signed and traded in gives the same tick.
#[test]
fn a_raw_transaction_is_read_without_its_instructions() {
    let mut checked = 0;
    for (mut transaction, expected) in trades() {
        let is_own = |signature: &str| signature.contains("Signature2");
        let signature = &transaction["transaction"]["signatures"][0];
        if !signature.as_str().is_some_and(is_own)
            || transaction["slot"].as_i64() > Some(400_000_232)
        {
            continue;
        }
        checked += 1;
        for garbage in [
            json!(null),
            json!([]),
            json!("x"),
            json!({"index": 0}),
            json!([null, 7, "x", {}, [], {"index": {}, "instructions": 3}]),
            json!([{"programIdIndex": 1e300, "accounts": [-1], "data": {}}]),
            json!([{"programId": "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA", "parsed": []}]),
        ] {
            transaction["meta"]["innerInstructions"] = garbage.clone();
            transaction["transaction"]["message"]["instructions"] = garbage;
            assert_eq!(only_line(&transaction), expected, "{transaction}");
        }
    }
    assert_eq!(checked, 16);
}

/// The transactions of the fixtures that give a tick, each with its expected line.
fn trades() -> Vec<(Value, String)> {
    let mut trades = Vec::new();
    for (_, body) in fixtures::all()
        .into_iter()
        .filter(|(source, _)| *source == "helius")
    {
        let transactions: Vec<Value> = serde_json::from_str(&body).unwrap();
        for (transaction, entry) in transactions.into_iter().zip(entries("helius", &body)) {
            if matches!(entry, Entry::Tick(_)) {
                trades.push((transaction, line(&entry)));
            }
        }
    }
    assert!(trades.len() > 20, "the fixtures are there");
    trades
}

fn only_line(transaction: &Value) -> String {
    match entries("helius", &transaction.to_string()).as_slice() {
        [entry] => line(entry),
        other => panic!("{other:?}"),
    }
}

#[test]
fn one_transaction_is_a_delivery_too() {
    for (transaction, expected) in trades() {
        assert_eq!(only_line(&transaction), expected);
    }
}

#[test]
fn any_form_of_missing_event_is_accepted() {
    for (mut transaction, expected) in trades() {
        if !expected.ends_with("net_balances") || transaction.get("meta").is_some() {
            continue;
        }
        for events in [
            json!({}),
            json!([]),
            json!(null),
            json!({"swap": null}),
            json!({"nft": {}}),
        ] {
            transaction["events"] = events;
            assert_eq!(only_line(&transaction), expected);
        }
        transaction.as_object_mut().unwrap().remove("events");
        assert_eq!(only_line(&transaction), expected);
    }
}

#[test]
fn a_failed_transaction_is_not_a_price() {
    for (mut transaction, _) in trades() {
        let error = json!({"InstructionError": [1, "Custom"]});
        match transaction.get_mut("meta") {
            Some(meta) => meta["err"] = error,
            None => transaction["transactionError"] = error,
        }
        assert_eq!(only_line(&transaction), "ignored: failed transaction");
    }
}

/// A transaction in both kinds of webhooks is one tick.
#[test]
fn the_signature_is_the_identity() {
    let [mut enhanced, mut raw] = [Value::Null, Value::Null];
    for (transaction, _) in trades() {
        let kind = if transaction.get("meta").is_some() {
            &mut raw
        } else {
            &mut enhanced
        };
        *kind = transaction;
    }
    let signature = raw["transaction"]["signatures"][0].clone();
    enhanced["signature"] = signature;
    let ids: Vec<_> = [enhanced, raw]
        .iter()
        .map(
            |transaction| match entries("helius", &transaction.to_string()).as_slice() {
                [Entry::Tick(tick)] => tick.tick_id,
                other => panic!("{other:?}"),
            },
        )
        .collect();
    assert_eq!(ids.first(), ids.last());
}

#[test]
fn a_swap_counts_whatever_type_the_provider_gives_it() {
    for (mut transaction, expected) in trades() {
        if transaction.get("meta").is_some() {
            continue;
        }
        for kind in ["ADD_TO_POOL", "TOKEN_MINT", "UNKNOWN", "TRANSFER", "BURN"] {
            transaction["type"] = json!(kind);
            assert_eq!(only_line(&transaction), expected, "{kind}");
        }
        transaction.as_object_mut().unwrap().remove("type");
        assert_eq!(only_line(&transaction), expected);
    }
}

/// Solana's own limits are lower, so nobody sends such transactions; to compare their parts would take long.
#[test]
fn a_transaction_with_more_parts_than_exist_is_refused() {
    let listed = |count: usize, part: &Value| Value::from(vec![part.clone(); count]);
    let payment = json!({"programIdIndex": 0, "accounts": [], "data": ""});
    let balance = json!({"accountIndex": 0, "mint": "M",
        "uiTokenAmount": {"amount": "1", "decimals": 6}});
    let raw = |accounts: usize, signers: usize, instructions: usize, balances: usize| {
        json!({
            "blockTime": 1_760_000_000,
            "transaction": {
                "signatures": listed(signers, &json!("s")),
                "message": {"accountKeys": listed(accounts, &json!("a"))},
            },
            "meta": {
                "innerInstructions": [
                    {"index": 0, "instructions": listed(instructions / 2, &payment)},
                    {"index": 1, "instructions": listed(instructions.div_ceil(2), &payment)},
                ],
                "preTokenBalances": listed(balances, &balance),
            },
        })
    };
    let change = json!({"mint": "M", "userAccount": "u",
        "rawTokenAmount": {"tokenAmount": "1", "decimals": 6}});
    let enhanced = |accounts: usize, transfers: usize, changes: usize| {
        let account = json!({"account": "a", "tokenBalanceChanges": []});
        let mut data = vec![account; accounts - 1];
        data.push(json!({"account": "b", "tokenBalanceChanges": listed(changes, &change)}));
        let transfer = json!({"fromUserAccount": "a", "toUserAccount": "b", "amount": 1});
        json!({"accountData": data, "nativeTransfers": listed(transfers, &transfer)})
    };
    for (transaction, part) in [
        (raw(256, 12, 512, 256), None),
        (raw(257, 1, 1, 1), Some("accountKeys")),
        (raw(20, 13, 1, 1), Some("signatures")),
        (raw(20, 1, 513, 1), Some("innerInstructions")),
        (raw(20, 1, 1, 257), Some("preTokenBalances")),
        (enhanced(256, 512, 512), None),
        (enhanced(257, 1, 1), Some("accountData")),
        (enhanced(1, 513, 1), Some("nativeTransfers")),
        (enhanced(1, 1, 513), Some("tokenBalanceChanges")),
    ] {
        let seen = only_line(&transaction);
        match part {
            None => assert!(!seen.starts_with("too_many_parts"), "{seen}"),
            Some(part) => assert!(
                seen.starts_with("too_many_parts: ") && seen.contains(part),
                "{part}: {seen}"
            ),
        }
    }
}
