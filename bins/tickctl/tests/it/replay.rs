//! `tickctl replay` from file to server.

use std::io::Write as _;
use std::time::Duration;

use tempfile::NamedTempFile;

use crate::files::real;
use crate::process::{tickctl, tickctl_with};
use crate::stub::{Script, Stub};

fn binance_csv(rows: u64) -> NamedTempFile {
    let mut file = NamedTempFile::with_prefix("BTCUSDT-").unwrap();
    writeln!(file, "id,price,qty,quote_qty,time,is_buyer_maker").unwrap();
    for id in 1..=rows {
        writeln!(file, "{id},39432.48,0.1,1,{},True", 1_610_064_000_000 + id).unwrap();
    }
    file
}

/// The arguments that replay a file of trades of BTCUSDT.
fn arguments<'a>(file: &'a NamedTempFile, to: &'a str) -> [&'a str; 8] {
    let path = file.path().to_str().unwrap();
    [
        "replay",
        path,
        "--format",
        "binance-trades",
        "--symbol",
        "BTCUSDT",
        "--into",
        to,
    ]
}

fn replay(file: &NamedTempFile, stub: &Stub, more: &[&str]) -> crate::process::Run {
    tickctl(&[&arguments(file, &stub.url)[..], more].concat())
}

#[test]
fn the_real_binance_file_arrives_completely_and_a_repeat_is_all_duplicates() {
    let Some(path) = real("binance-BTCUSDT-2021-01-08.csv") else {
        return;
    };
    let stub = Stub::start(Script::default());
    let args = [
        "replay",
        path.to_str().unwrap(),
        "--format",
        "binance-trades",
        "--speed",
        "max",
        "--into",
        &stub.url,
    ];
    let first = tickctl(&args);
    assert_eq!(first.code, 0, "{first:?}");
    let counts =
        "sent 2001 ticks in 21 requests: 2001 stored, 0 duplicate, 0 rejected, 0 ignored; ";
    assert!(first.stdout.starts_with(counts), "{first:?}");
    let ids: Vec<_> = stub
        .entries()
        .iter()
        .map(|entry| entry["t"].as_u64().unwrap())
        .collect();
    assert!(ids.is_sorted() && ids.len() == 2_001);
    assert!(
        stub.deliveries()
            .iter()
            .all(|delivery| delivery.source == "binance")
    );
    assert!(
        stub.deliveries()[0]
            .text
            .contains(r#""q":"0.00031099999999999997""#)
    );
    let second = tickctl(&args);
    assert!(
        second.stdout.contains(": 0 stored, 2001 duplicate,"),
        "{second:?}"
    );
}

/// The markets share symbols and trade numbers, so each has a webhook of its own.
#[test]
fn dumps_of_spot_and_futures_go_to_the_webhooks_of_their_markets() {
    let spot =
        "41,30.10,1.5,45.15,1598918400000,True,True\n42,30.20,2.5,75.5,1598918401000,False,True\n";
    let futures = "41,29.90,0.5,14.95,1580515200000,true\n42,29.80,0.7,20.86,1580515201000,false\n";
    let with_header = format!("id,price,qty,quote_qty,time,is_buyer_maker\n{futures}");
    let stub = Stub::start(Script::default());
    for (text, more, source) in [
        (spot, &[][..], "binance"),
        (futures, &[], "binance-usdm"),
        (&with_header, &[], "binance-usdm"),
        (futures, &["--market", "spot"], "binance"),
        (spot, &["--market", "usdm"], "binance-usdm"),
    ] {
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let run = replay(&file, &stub, more);
        assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{run:?}");
        assert!(
            run.stdout.starts_with("sent 2 ticks in 1 request: "),
            "{run:?}"
        );
        let delivery = stub.deliveries().pop().unwrap();
        assert_eq!(delivery.source, source, "{text} {more:?}");
        assert_eq!(delivery.body[1]["t"], 42);
    }
}

#[test]
fn a_dump_of_coin_margined_futures_is_recognized_and_an_unclear_one_needs_its_market() {
    let coinm =
        "id,price,qty,base_qty,time,is_buyer_maker\n41,9635.0,3,0.03113648,1591250192508,true\n";
    let stub = Stub::start(Script::default());
    let send = |name: &str, text: &str, more: &[&str]| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        let line = ["replay", path.to_str().unwrap(), "--into", &stub.url];
        tickctl(&[&line[..], &["--format", "binance-trades"], more].concat())
    };
    let run = send("BTCUSD_PERP-trades-2020-06-04.csv", coinm, &[]);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{run:?}");
    let delivery = stub.deliveries().pop().unwrap();
    assert_eq!(delivery.source, "binance-coinm");
    assert_eq!(delivery.body[0]["s"], "BTCUSD_PERP");

    let unclear = "id,price,qty,time\n41,9635.0,3,1591250192508\n";
    for more in [&[][..], &["--skip-bad"]] {
        let run = send("BTCUSDT.csv", unclear, more);
        assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{run:?}");
        assert!(
            run.stderr.contains("--market spot, usdm or coinm"),
            "{run:?}"
        );
    }
    assert_eq!(stub.requests(), 1);
    let run = send("BTCUSDT.csv", unclear, &["--market", "usdm"]);
    assert_eq!(run.code, 0, "{run:?}");
    assert_eq!(stub.deliveries().pop().unwrap().source, "binance-usdm");
    let run = send("BTCUSDT.csv", unclear, &["--market", "coinm"]);
    assert_eq!(run.code, 2, "{run:?}");
    assert!(run.stderr.contains("such as BTCUSD_PERP"), "{run:?}");
}

#[test]
fn the_real_kraken_file_arrives_completely() {
    let Some(path) = real("kraken-XBTUSDT-trades.json") else {
        return;
    };
    let stub = Stub::start(Script::default());
    let path = path.to_str().unwrap();
    let run = tickctl(&[
        "replay",
        path,
        "--format",
        "kraken-trades",
        "--batch",
        "300",
        "--into",
        &stub.url,
    ]);
    assert!(
        run.stdout
            .starts_with("sent 1000 ticks in 4 requests: 1000 stored"),
        "{run:?}"
    );
    let first = &stub.deliveries()[0];
    assert_eq!(
        (first.source.as_str(), &first.body["channel"]),
        ("kraken", &"trade".into())
    );
    assert!(
        first
            .text
            .contains(r#""price":105433.60000,"qty":0.00027625,"#),
        "digits are kept"
    );
}

#[test]
fn our_own_csv_is_read_from_stdin() {
    let stub = Stub::start(Script::default());
    let csv = b"token,price,timestamp,id\nBTC,1.10,1610064000278,a\nETH,2,1610064000279,b\n";
    let run = tickctl_with(
        &["replay", "-", "--format", "ticks-csv", "--into", &stub.url],
        &[],
        csv,
    );
    assert_eq!(run.code, 0, "{run:?}");
    let expected = r#"[{"token":"BTC","price":"1.10","timestamp":1610064000278,"id":"a"},{"token":"ETH","price":"2","timestamp":1610064000279,"id":"b"}]"#;
    assert_eq!(stub.deliveries()[0].text, expected);
}

#[test]
fn the_line_of_a_bad_row_is_that_of_the_file_whatever_ends_its_lines() {
    let stub = Stub::start(Script::default());
    for end in ["\n", "\r\n"] {
        let lines = [
            "token,price,timestamp",
            "TL,1,1636156719113",
            "TL,2,1636156719114",
            "TL,x,1636156719115",
            "",
        ];
        let args = ["replay", "-", "--format", "ticks-csv", "--into", &stub.url];
        let run = tickctl_with(&args, &[], lines.join(end).as_bytes());
        assert_eq!(run.code, 2, "{run:?}");
        assert!(run.stderr.contains("line 4: price"), "{run:?}");
        assert!(run.stderr.contains("the first 2 rows are done"), "{run:?}");
    }
}

#[test]
fn a_header_that_cannot_be_read_is_not_a_bad_row_to_skip() {
    let stub = Stub::start(Script::default());
    let utf_16: Vec<u8> = "\u{feff}token,price,timestamp\nTA,1,1636156719113\n"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let args = [
        "replay",
        "-",
        "--format",
        "ticks-csv",
        "--skip-bad",
        "--into",
        &stub.url,
    ];
    let run = tickctl_with(&args, &[], &utf_16);
    assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{run:?}");
    assert!(
        run.stderr
            .contains("it is UTF-16 text, not UTF-8: save the file as UTF-8"),
        "{run:?}"
    );
    let invalid = b"token,price,timestamp,\xff\nTA,1,1636156719113,\n";
    let run = tickctl_with(&args, &[], invalid);
    assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{run:?}");
    assert!(
        run.stderr
            .contains("the header cannot be read: line 1: it is not UTF-8"),
        "{run:?}"
    );
    assert_eq!(stub.requests(), 0);
}

#[test]
fn a_byte_order_mark_in_front_of_a_file_is_skipped() {
    let binance = "7,30.1,1.5,45.15,1598918400000,True,True\n";
    let kraken =
        r#"{"error":[],"result":{"XBTUSDT":[["1.5","2",1610064000.5,"b","l","",7]],"last":"1"}}"#;
    let ticks = "token,price,timestamp\nTA,1,1636156719113\n";
    for (format, symbol, text) in [
        ("binance-trades", Some("BTCUSDT"), binance),
        ("kraken-trades", None, kraken),
        ("ticks-csv", None, ticks),
    ] {
        let stub = Stub::start(Script::default());
        let line = ["replay", "-", "--format", format, "--into", &stub.url];
        let symbol = symbol.map(|symbol| ["--symbol", symbol]);
        let args: Vec<&str> = line
            .into_iter()
            .chain(symbol.into_iter().flatten())
            .collect();
        for mark in ["", "\u{feff}"] {
            let run = tickctl_with(&args, &[], format!("{mark}{text}").as_bytes());
            assert_eq!(
                (run.code, run.stderr.as_str()),
                (0, ""),
                "{format}: {run:?}"
            );
        }
        let [plain, marked] = stub
            .deliveries()
            .try_into()
            .unwrap_or_else(|_| panic!("two"));
        assert_eq!(plain.text, marked.text);
    }
}

#[test]
fn a_secret_in_quotes_is_refused_before_anything_is_sent() {
    let stub = Stub::start(Script::default());
    for secret in ["\"s3cret-text\"", "'s3cret-text'", "two\ns3cret"] {
        let run = replay(&binance_csv(1), &stub, &["--secret", secret]);
        assert_eq!(run.code, 2, "{run:?}");
        assert!(run.stderr.contains("TICKCTL_SECRET or --secret"), "{run:?}");
        assert!(!run.stderr.contains("s3cret"), "{run:?}");
    }
    assert_eq!(stub.requests(), 0);
}

#[test]
fn a_busy_server_is_retried() {
    let stub = Stub::start(Script {
        unavailable: 2,
        ..Script::default()
    });
    let run = replay(&binance_csv(5), &stub, &["--batch", "2"]);
    assert_eq!(run.code, 0, "{run:?}");
    assert_eq!(stub.requests(), 2 + 3);
    assert_eq!(
        run.stderr
            .matches("503 Service Unavailable: the store is busy; retrying")
            .count(),
        2
    );
}

#[test]
fn an_unavailable_server_ends_the_replay_with_advice_to_continue() {
    let stub = Stub::start(Script {
        deliveries_max: Some(2),
        ..Script::default()
    });
    let file = binance_csv(50);
    let run = replay(&file, &stub, &["--batch", "10", "--attempts", "2"]);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(
        run.stderr
            .contains("the first 20 rows are done; continue after that with --skip 20"),
        "{run:?}"
    );
    assert!(run.stdout.starts_with("sent 20 ticks"), "{run:?}");

    stub.set(Script::default());
    let rest = replay(&file, &stub, &["--batch", "10", "--skip", "20"]);
    assert!(
        rest.stdout
            .starts_with("sent 30 ticks in 3 requests: 30 stored, 0 duplicate"),
        "{rest:?}"
    );
}

#[test]
fn a_refused_connection_is_reported() {
    // Bound and closed again, so nobody listens on this port.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let to = format!("http://127.0.0.1:{port}");
    let file = binance_csv(1);
    let run = tickctl(&[&arguments(&file, &to)[..], &["--attempts", "1"]].concat());
    assert_eq!(run.code, 1, "{run:?}");
    assert!(
        run.stderr.contains("cannot connect: Connection refused"),
        "{run:?}"
    );
    assert!(
        run.stderr.contains("nothing of this file was stored"),
        "{run:?}"
    );
}

#[test]
fn a_refusal_ends_the_replay_with_the_servers_explanation() {
    for status in [400, 401, 404, 413, 415] {
        let stub = Stub::start(Script {
            status: Some(status),
            ..Script::default()
        });
        let run = replay(&binance_csv(5), &stub, &["--batch", "1"]);
        assert_eq!((run.code, stub.requests()), (1, 1), "{run:?}");
        assert!(
            run.stderr
                .contains(&format!("the server responded with {status} ")),
            "{run:?}"
        );
        assert!(run.stderr.contains("as the script says"), "{run:?}");
    }
}

#[test]
fn the_secret_is_sent_unchanged_and_never_shown() {
    let stub = Stub::start(Script {
        secret: Some("Bearer s3cret"),
        ..Script::default()
    });
    let file = binance_csv(1);
    let refused = replay(&file, &stub, &["--secret", "wr0ng"]);
    assert_eq!(refused.code, 1);
    assert!(
        refused.stderr.contains("no secret matches") && !refused.stderr.contains("wr0ng"),
        "{refused:?}"
    );
    let without = replay(&file, &stub, &[]);
    assert!(without.stderr.contains("set TICKCTL_SECRET"), "{without:?}");
    assert_eq!(replay(&file, &stub, &["--secret", "Bearer s3cret"]).code, 0);
    let args = arguments(&file, &stub.url);
    assert_eq!(
        tickctl_with(&args, &[("TICKCTL_SECRET", "Bearer s3cret")], b"").code,
        0
    );
    let help = tickctl_with(
        &["replay", "--help"],
        &[("TICKCTL_SECRET", "Bearer s3cret")],
        b"",
    );
    assert!(help.stdout.contains("TICKCTL_SECRET") && !help.stdout.contains("s3cret"));
}

#[test]
fn a_bad_row_stops_after_the_rows_before_it() {
    let mut file = binance_csv(25);
    writeln!(file, "26,-1,0.1,1,1610064000026,True").unwrap();
    writeln!(file, "27,39432.48,0.1,1,1610064000027,True").unwrap();

    let stub = Stub::start(Script::default());
    let run = replay(&file, &stub, &["--batch", "10"]);
    assert_eq!(run.code, 2, "{run:?}");
    assert!(
        run.stderr
            .contains("line 27: price: a price must be greater than 0"),
        "{run:?}"
    );
    assert!(
        run.stderr.contains("--skip-bad") && run.stderr.contains("--skip 25"),
        "{run:?}"
    );
    assert_eq!(stub.entries().len(), 25);

    let stub = Stub::start(Script::default());
    let run = replay(&file, &stub, &["--batch", "10", "--skip-bad"]);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(
        run.stdout.contains("26 stored") && run.stdout.contains("1 bad row skipped"),
        "{run:?}"
    );
    assert!(run.stderr.contains("skipped: line 27"), "{run:?}");
}

#[test]
fn rejected_ticks_are_reported_with_their_line() {
    let stub = Stub::start(Script {
        reject: Some(1),
        ..Script::default()
    });
    let file = binance_csv(4);
    let run = replay(&file, &stub, &["--batch", "2"]);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(
        run.stdout.contains("2 stored, 0 duplicate, 2 rejected"),
        "{run:?}"
    );
    assert!(
        run.stderr
            .contains("line 3: the server rejected it: invalid_price: no such price"),
        "{run:?}"
    );
    assert!(
        run.stderr.contains("line 5: the server rejected it"),
        "{run:?}"
    );
    assert_eq!(replay(&file, &stub, &["--skip-bad"]).code, 0);
}

#[test]
fn files_that_cannot_be_read_are_bad_input() {
    let stub = Stub::start(Script::default());
    let path = binance_csv(1);
    let path = path.path().to_str().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().to_str().unwrap();
    for (args, part) in [
        (
            vec!["/no/such/file", "--format", "binance-trades"],
            "No such file",
        ),
        (vec![dir, "--format", "binance-trades"], "is a directory"),
        (
            vec![path, "--format", "kraken-trades"],
            "not a response of Kraken",
        ),
        (vec![path, "--format", "ticks-csv"], "no column token"),
        (vec!["-", "--format", "binance-trades"], "--symbol BTCUSDT"),
        (
            vec![path, "--format", "ticks-csv", "--symbol", "X"],
            "--symbol cannot be used with",
        ),
        (
            vec![path, "--format", "ticks-csv", "--market", "usdm"],
            "--market can only be used with binance-trades",
        ),
        (
            vec![path, "--format", "nonsense"],
            "binance-trades, kraken-trades, ticks-csv",
        ),
        (
            vec![path, "--format", "binance-trades", "--speed", "0"],
            "not a speed",
        ),
    ] {
        let run = tickctl(&[&["replay", "--into", &stub.url][..], &args].concat());
        assert_eq!(run.code, 2, "{run:?}");
        assert!(run.stderr.contains(part), "{part}: {run:?}");
    }
    assert_eq!(stub.requests(), 0);
}

#[test]
fn the_address_was_to_before_it_was_into() {
    let stub = Stub::start(Script::default());
    let file = binance_csv(1);
    let path = file.path().to_str().unwrap();
    let run = tickctl(&[
        "replay",
        path,
        "--format",
        "binance-trades",
        "--to",
        &stub.url,
    ]);
    assert_eq!(run.code, 2, "{run:?}");
    let hint = format!(
        "--to is now --into, which also takes `stream`: pass --into {}",
        stub.url
    );
    assert!(run.stderr.contains(&hint), "{run:?}");
    for (options, rule) in [
        (&["--into", "stream"][..], "not stored ticks"),
        (&["--to", "1h"], "the end of a range"),
        (&["--into", "127.0.0.1:1"], "a complete address"),
        (&["--store", "--from", "1h"], "cannot be used with"),
    ] {
        let line = ["replay", path, "--format", "binance-trades"];
        let run = tickctl(&[&line[..], options].concat());
        assert_eq!(run.code, 2, "{run:?}");
        assert!(run.stderr.contains(rule), "{rule}: {run:?}");
    }
    assert_eq!(stub.requests(), 0);
}

#[test]
fn rows_are_paced_by_their_event_times() {
    // Three trades, 10 minutes apart, 6,000 times faster: 100 ms apart, so not one batch.
    let stub = Stub::start(Script::default());
    let mut file = NamedTempFile::new().unwrap();
    for id in 0..3_u64 {
        writeln!(
            file,
            "{id},1,1,1,{},true,true",
            1_610_064_000_000 + id * 600_000
        )
        .unwrap();
    }
    let run = replay(&file, &stub, &["--speed", "6000"]);
    assert!(
        run.stdout
            .starts_with("sent 3 ticks in 3 requests: 3 stored"),
        "{run:?}"
    );
    let seconds: f64 = run
        .stdout
        .split("; ")
        .nth(1)
        .unwrap()
        .split(' ')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    assert!(seconds >= 0.19, "{run:?}");
}

#[test]
fn more_in_flight_still_reports_rows_done_in_order() {
    let stub = Stub::start(Script {
        delay: Duration::from_millis(5),
        ..Script::default()
    });
    let run = replay(
        &binance_csv(95),
        &stub,
        &["--batch", "10", "--in-flight", "4"],
    );
    assert!(
        run.stdout
            .starts_with("sent 95 ticks in 10 requests: 95 stored"),
        "{run:?}"
    );
}
