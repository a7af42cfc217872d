//! Bodies that were made up to take long: each has two parts that were compared with each other, or one
//! that was read again for each entry.

/// A body of about a size.
pub(super) struct Shape {
    pub(super) name: &'static str,
    pub(super) source: &'static str,
    /// Whether an entry is refused for its many parts.
    pub(super) is_refused: bool,
    pub(super) body: fn(usize) -> String,
}

const SYSTEM_PROGRAM: &str = "11111111111111111111111111111111";

/// The largest body of a webhook, and its most entries.
pub(super) const BODY_BYTES: usize = 3_000_000;
const ENTRIES: usize = 10_000;

pub(super) fn shapes() -> Vec<Shape> {
    let shape = |name, source, is_refused, body| Shape {
        name,
        source,
        is_refused,
        body,
    };
    vec![
        shape("signers and native transfers", "helius", true, signers),
        shape(
            "a long account in many instructions",
            "helius",
            true,
            long_account,
        ),
        shape(
            "changes of a mint and its transfers",
            "helius",
            true,
            changes,
        ),
        shape(
            "mints of an owner and payments to it",
            "helius",
            true,
            mints,
        ),
        shape("accounts in one instruction", "helius", false, instruction),
        shape("empty instructions", "helius", true, |bytes| {
            raw(&["a"], 1, &inner(bytes, "{}"), "")
        }),
        shape("a long time of many tickers", "coinbase", true, |bytes| {
            coinbase(
                &format!("\"2026-04-07T14:30:02.{}Z\"", "0".repeat(bytes / 2)),
                "0",
                bytes,
            )
        }),
        shape("a long time with an escape", "coinbase", true, |bytes| {
            coinbase(
                &format!("\"2026-04-07T14:30:02.\\u0030{}Z\"", "0".repeat(bytes / 2)),
                "0",
                bytes,
            )
        }),
        shape("a long number of many tickers", "coinbase", true, |bytes| {
            let number = format!("\"{}1\"", "0".repeat(bytes / 2));
            coinbase("\"2026-04-07T14:30:02Z\"", &number, bytes)
        }),
        shape("a long time of many tickers", "bybit", true, |bytes| {
            let start = format!(
                r#"{{"topic":"tickers.X","ts":"{}1760000000000","data":["#,
                "0".repeat(bytes / 2)
            );
            filled(&start, "]}", bytes, |_| {
                r#"{"symbol":"BTCUSDT","lastPrice":"1"}"#.to_owned()
            })
        }),
        shape("a number of many digits", "ticks", true, |bytes| {
            format!(
                r#"{{"token":"A","timestamp":1760000000000,"price":1{}}}"#,
                "0".repeat(bytes)
            )
        }),
        shape(
            "refused currencies of one coin",
            "coingecko",
            false,
            |bytes| {
                let start = r#"{"bitcoin":{"last_updated_at":1760000000,"#;
                filled(start, "}}", bytes.min(110_000), |n| format!(r#""c{n}":-1"#))
            },
        ),
        shape("unknown members", "ticks", false, |bytes| {
            filled_up_to(usize::MAX, "{", "}", bytes, |n| format!("\"q{n}e\":1"))
        }),
        shape("near misses of a member", "ticks", false, |bytes| {
            filled_up_to(
                usize::MAX,
                r#"{"token":"A","price":"1","timestamp":1760000000000,"quote":"B","#,
                "}",
                bytes,
                |_| r#""qoute":1"#.to_owned(),
            )
        }),
    ]
}

/// Many transactions that each are as large as they may be, and in which everybody trades with everybody.
pub(super) fn beyond_the_limit() -> String {
    let balances = listed(24, |n| {
        let sign = if n % 2 == 0 { "" } else { "-" };
        let other = if n % 2 == 0 { "-" } else { "" };
        let [a, b] = [format!("{sign}900"), format!("{other}900")];
        format!("{},{}", balance(n, "A", &a), balance(n, "B", &b))
    });
    let names: Vec<_> = (0..24).map(|n| format!("k{n}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let more = format!(r#","postTokenBalances":[{balances}]"#);
    let one = raw(&names, 12, "", &more);
    filled("[", "]", BODY_BYTES, |_| one.clone())
}

/// The largest deliveries of valid entries: of many small ones, and of swaps.
pub(super) fn largest_valid() -> Vec<(&'static str, String)> {
    let time = 1_760_000_000_000_u64;
    let ticks = (0..ENTRIES).map(|n| {
        let text = "x".repeat(60);
        format!(
            r#"{{"token":"{n}{text}","quote":"USD","price":"39432.{n:04}","volume":"0.{n:06}","timestamp":{time},"source":"load:tickctl","id":"{n}{text}"}}"#
        )
    });
    let trades = (0..ENTRIES).map(|n| {
        format!(
            r#"{{"e":"trade","E":{time},"s":"BTCUSDT","t":{n},"p":"39432.48","q":"0.000263","b":1,"a":2,"T":{time},"m":true,"M":true}}"#
        )
    });
    let swaps = (0..1_000).map(|n| {
        let change = |owner: &str, mint: &str, amount: i64| {
            format!(
                r#"{{"account":"{owner}{mint}","nativeBalanceChange":0,"tokenBalanceChanges":[{{"mint":"{mint}","userAccount":"{owner}","rawTokenAmount":{{"tokenAmount":"{amount}","decimals":6}}}}]}}"#
            )
        };
        let transfer = |from: &str, to: &str, mint: &str, amount: &str| {
            format!(
                r#"{{"fromUserAccount":"{from}","toUserAccount":"{to}","mint":"{mint}","tokenAmount":{amount}}}"#
            )
        };
        let [coin, dollar] = ["Coin1111111111111111111111111111111111111111", "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"];
        let changes = [
            change("trader", dollar, -4_000_000),
            change("trader", coin, 2_000_000),
            change("pool", dollar, 4_000_000),
            change("pool", coin, -2_000_000),
        ];
        let transfers = [transfer("trader", "pool", dollar, "4"), transfer("pool", "trader", coin, "2")];
        format!(
            r#"{{"type":"SWAP","source":"RAYDIUM","signature":"s{n}","timestamp":1760000000,"slot":1,"fee":5000,"feePayer":"trader","accountData":[{}],"tokenTransfers":[{}],"padding":"{}"}}"#,
            changes.join(","),
            transfers.join(","),
            "x".repeat(1_500),
        )
    });
    let body = |entries: &mut dyn Iterator<Item = String>| {
        format!("[{}]", entries.collect::<Vec<_>>().join(","))
    };
    vec![
        ("ticks", body(&mut { ticks })),
        ("binance", body(&mut { trades })),
        ("helius", body(&mut { swaps })),
    ]
}

fn listed(count: usize, part: impl Fn(usize) -> String) -> String {
    (0..count).map(part).collect::<Vec<_>>().join(",")
}

/// As many parts as fit into a size, and at most as many as a list may have.
fn filled(start: &str, end: &str, bytes: usize, part: impl Fn(usize) -> String) -> String {
    filled_up_to(ENTRIES - 1, start, end, bytes, part)
}

/// As many parts as fit into a size, and at most this many.
fn filled_up_to(
    most: usize,
    start: &str,
    end: &str,
    bytes: usize,
    part: impl Fn(usize) -> String,
) -> String {
    let mut body = start.to_owned();
    for index in 0..most {
        let next = part(index);
        if index > 0 && body.len() + next.len() + end.len() > bytes {
            break;
        }
        if index > 0 {
            body.push(',');
        }
        body.push_str(&next);
    }
    body + end
}

fn balance(index: usize, mint: &str, amount: &str) -> String {
    format!(
        r#"{{"accountIndex":{index},"mint":"{mint}","uiTokenAmount":{{"amount":"{amount}","decimals":1}}}}"#
    )
}

/// A raw transaction.
fn raw(accounts: &[&str], signatures: usize, inner: &str, more: &str) -> String {
    let keys: Vec<_> = accounts.iter().map(|key| format!("\"{key}\"")).collect();
    let keys = keys.join(",");
    let signatures = listed(signatures, |_| "\"s\"".to_owned());
    format!(
        r#"{{"blockTime":1760000000,"transaction":{{"signatures":[{signatures}],"message":{{"accountKeys":[{keys}]}}}},"meta":{{"innerInstructions":[{inner}]{more}}}}}"#
    )
}

/// Groups of instructions, which the limit for one list does not bound.
fn inner(bytes: usize, instruction: &str) -> String {
    let group = |_| {
        let instructions = listed(2_000, |_| instruction.to_owned());
        format!(r#"{{"index":0,"instructions":[{instructions}]}}"#)
    };
    filled("", "", bytes, group)
}

/// An instruction of the System Program that pays the account `to` with some data of an amount.
fn payment(accounts: &str) -> String {
    format!(r#"{{"programIdIndex":0,"accounts":[{accounts}],"data":"3Bxs4Bc3VYuGVB19"}}"#)
}

fn signers(bytes: usize) -> String {
    let names: Vec<_> = (1..ENTRIES).map(|n| n.to_string()).collect();
    let names = names.iter().map(String::as_str);
    let names: Vec<_> = std::iter::once(SYSTEM_PROGRAM).chain(names).collect();
    raw(&names, ENTRIES, &inner(bytes, &payment("1,9999")), "")
}

fn long_account(bytes: usize) -> String {
    let long = format!("\\u0041{}", "a".repeat(bytes / 2));
    let accounts = listed(50, |_| "1".to_owned());
    let group = format!(
        r#"{{"index":0,"instructions":[{}]}}"#,
        listed(bytes / 400, |_| payment(&accounts))
    );
    raw(&[SYSTEM_PROGRAM, &long], 1, &group, "")
}

/// The longest list of accounts in the instructions that are allowed.
fn instruction(bytes: usize) -> String {
    let long = "a".repeat(1_000);
    let accounts = listed((bytes / 1_000).min(9_999), |_| "1".to_owned());
    let group = format!(
        r#"{{"index":0,"instructions":[{}]}}"#,
        listed(500, |_| payment(&accounts))
    );
    raw(&[SYSTEM_PROGRAM, &format!("\\u0041{long}")], 1, &group, "")
}

fn change(mint: &str, amount: i64) -> String {
    format!(
        r#"{{"mint":"{mint}","userAccount":"u","rawTokenAmount":{{"tokenAmount":"{amount}","decimals":6}}}}"#
    )
}

fn changes(bytes: usize) -> String {
    let changes = listed(256, |n| change("M", 1_000 + n as i64));
    let one = |_| {
        format!(
            r#"{{"feePayer":"f","accountData":[{{"account":"x","tokenBalanceChanges":[{changes}]}}],"tokenTransfers":[{}]}}"#,
            listed(5_000, |_| r#"{"mint":"M","tokenAmount":7}"#.to_owned())
        )
    };
    filled("[", "]", bytes, one)
}

fn mints(bytes: usize) -> String {
    let changes = filled("", "", bytes / 2, |n| change(&format!("{n:x}"), -2));
    let payments = filled("", "", bytes / 2, |_| {
        r#"{"toUserAccount":"u","amount":1}"#.to_owned()
    });
    format!(
        r#"[{{"feePayer":"f","accountData":[{{"account":"x","tokenBalanceChanges":[{changes}]}}],"nativeTransfers":[{payments}]}}]"#
    )
}

fn coinbase(time: &str, number: &str, bytes: usize) -> String {
    let start = format!(
        r#"{{"channel":"ticker","timestamp":{time},"sequence_num":{number},"events":[{{"tickers":["#
    );
    filled(&start, "]}]}", bytes, |_| {
        r#"{"product_id":"BTC-USD","price":"1"}"#.to_owned()
    })
}
