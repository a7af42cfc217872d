//! The history and the shell.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::world::{FIRST_DAY, World, hearing_hang_up, numbers, outcome_of};

#[test]
fn queries_are_remembered_with_how_they_ended() {
    let world = World::new();
    world.run(&[&format!("SELECT sum(price) FROM ticks WHERE {FIRST_DAY}")]);
    world.run(&[
        "SELECT 1 / 0 AS x FROM ticks WHERE year = :y AND month = 3 LIMIT :n",
        "-p",
        "y=2026",
        "-p",
        "n=7",
    ]);
    let json = world.answer(&["history", "-f", "jsonl"]);
    let queries: Vec<serde_json::Value> = json
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(queries.len(), 2, "{json}");
    assert_eq!(
        (&queries[0]["state"], &queries[1]["state"]),
        (&"failed".into(), &"succeeded".into())
    );
    assert_eq!(
        queries[0]["query"],
        "SELECT 1 / 0 AS x FROM ticks WHERE year = BIGINT '2026' AND …"
    );
    assert_eq!(
        (&queries[1]["engine"], &queries[1]["usd"]),
        (&"local".into(), &serde_json::Value::Null)
    );
    assert!(queries[1]["bytes"].as_u64().unwrap() > 0);
    let file = world.home.path().join(".local/share/ticksql/history.jsonl");
    assert!(fs::read_to_string(&file).unwrap().contains("LIMIT 7\""));
    assert_eq!(
        fs::metadata(file).unwrap().permissions().mode() & 0o777,
        0o600
    );
}

/// `| head` is not a failure, neither of the process nor in its history.
#[test]
fn a_reader_that_has_seen_enough_is_not_a_failure() {
    let world = World::new();
    let (a, b) = (numbers(2_000, "a"), numbers(1_000, "b"));
    let query = format!("SELECT a.k AS value FROM {a} CROSS JOIN {b}");
    let mut command = world.command(&["-f", "csv", &query]);
    let mut process = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut output = BufReader::new(process.stdout.take().unwrap());
    output.read_line(&mut line).unwrap();
    drop(output);
    let (code, _, status) = outcome_of(&process.wait_with_output().unwrap());
    assert_eq!((code, line.as_str()), (0, "value\n"), "{status}");
    let json = world.answer(&["history", "-f", "jsonl"]);
    let past: serde_json::Value = serde_json::from_str(json.trim()).unwrap();
    assert_eq!(past["state"], "succeeded", "{json}");
}

/// A shell at a terminal, and the user's end of the terminal.
fn at_terminal(world: &World) -> (Child, File) {
    at_terminal_with(world, &[], Stdio::null())
}

/// The same with more options; `status` receives what it reports.
fn at_terminal_with(world: &World, options: &[&str], status: Stdio) -> (Child, File) {
    let terminal = nix::pty::openpty(None, None).unwrap();
    let options = [&["shell", "-f", "csv"], options].concat();
    let mut command = hearing_hang_up(&world.command(&options));
    let process = command
        .stdin(terminal.slave.try_clone().unwrap())
        .stdout(terminal.slave)
        .stderr(status)
        .spawn()
        .unwrap();
    (process, File::from(terminal.master))
}

/// Reads what a terminal shows until there is a line.
fn wait_for(terminal: &File, expected: &str) {
    let lines = BufReader::new(terminal).lines().map_while(Result::ok);
    assert!(
        lines
            .map(|line| line.trim().to_owned())
            .any(|line| line == expected)
    );
}

/// The exit code of a process that must end now.
fn code_of(process: &mut Child) -> Option<i32> {
    let started = Instant::now();
    loop {
        if let Some(status) = process.try_wait().unwrap() {
            return status.code();
        }
        if started.elapsed() > Duration::from_secs(30) {
            process.kill().unwrap();
            panic!("it does not exit");
        }
        thread::sleep(Duration::from_millis(10));
    }
}

fn shell_history(world: &World) -> PathBuf {
    world.home.path().join(".local/share/ticksql/shell_history")
}

fn send(signal: &str, process: &Child) {
    let kill = Command::new("kill")
        .args([signal, &process.id().to_string()])
        .status();
    assert!(kill.unwrap().success());
}

/// The signal arrives when the first statement is done, and the shell waits for the next.
fn shell_that_receives(signal: &str) -> (Option<i32>, String) {
    let world = World::new();
    let (mut process, mut terminal) = at_terminal(&world);
    terminal.write_all(b"SELECT 12344 + 1 AS first;\r").unwrap();
    wait_for(&terminal, "12345");
    send(signal, &process);
    let code = code_of(&mut process);
    (code, fs::read_to_string(shell_history(&world)).unwrap())
}

#[test]
fn a_typed_statement_spans_lines_and_can_be_abandoned() {
    let world = World::new();
    let (mut process, mut terminal) = at_terminal(&world);
    terminal.write_all(b"SELECT 12344\r + 1 AS n;\r").unwrap();
    wait_for(&terminal, "12345");
    terminal.write_all(b"SELECT 1\r\\q\r").unwrap();
    assert_eq!(code_of(&mut process), Some(0));
    let file = shell_history(&world);
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let history = fs::read_to_string(file).unwrap();
    assert!(history.contains("SELECT 12344\\n + 1 AS n;"), "{history}");
}

#[test]
fn a_shell_that_waits_ends_by_a_signal_and_keeps_its_history() {
    for (signal, expected) in [
        ("-TERM", Some(143)),
        ("-HUP", Some(129)),
        // This one cannot be handled, and still nothing is lost.
        ("-KILL", None),
    ] {
        let (code, history) = shell_that_receives(signal);
        assert_eq!(code, expected, "{signal}");
        assert!(history.contains("12344 + 1"), "{signal}: {history}");
    }
}

#[test]
fn a_shell_that_ends_by_a_signal_says_that_it_cannot_keep_its_answers() {
    let world = World::new();
    let folder = world.home.path().join("answers");
    fs::create_dir(&folder).unwrap();
    let file = folder.join("all.csv");
    let options = ["-o", file.to_str().unwrap()];
    let (mut process, mut terminal) = at_terminal_with(&world, &options, Stdio::piped());
    let mut status = BufReader::new(process.stderr.take().unwrap());
    terminal.write_all(b"SELECT 12345 AS first;\r").unwrap();
    let mut line = String::new();
    while !line.starts_with("1 row") {
        line.clear();
        assert!(status.read_line(&mut line).unwrap() > 0);
    }
    fs::remove_dir_all(&folder).unwrap();
    send("-TERM", &process);
    assert_eq!(code_of(&mut process), Some(143));
    let mut rest = String::new();
    status.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("all.csv"), "{rest}");
}

/// The exit code is the signal's as well if the signal stops a query.
#[test]
fn a_busy_shell_that_ends_by_a_signal_says_that_it_cannot_keep_its_answers() {
    let world = World::new();
    let folder = world.home.path().join("answers");
    fs::create_dir(&folder).unwrap();
    let file = folder.join("all.csv");
    let mut command = world.command(&["shell", "-f", "csv", "-o", file.to_str().unwrap()]);
    let mut process = command
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let [a, b, c, d] = ["a", "b", "c", "d"].map(|name| numbers(1_000, name));
    let typed = format!(
        "SELECT sum(a.k * b.k + c.k * d.k) AS n FROM {a} CROSS JOIN {b} CROSS JOIN {c} CROSS JOIN {d};\n"
    );
    let mut input = process.stdin.take().unwrap();
    let mut status = BufReader::new(process.stderr.take().unwrap());
    input.write_all(b"SELECT 1 AS one;\n").unwrap();
    let mut line = String::new();
    while !line.starts_with("1 row") {
        line.clear();
        assert!(status.read_line(&mut line).unwrap() > 0);
    }
    fs::remove_dir_all(&folder).unwrap();
    input.write_all(typed.as_bytes()).unwrap();
    // A shell that has not begun the query by then ends in the same way.
    thread::sleep(Duration::from_millis(500));
    send("-TERM", &process);
    let code = code_of(&mut process);
    let mut rest = String::new();
    status.read_to_string(&mut rest).unwrap();
    assert_eq!(code, Some(143), "{rest}");
    assert!(rest.contains("all.csv"), "{rest}");
}

/// What a shell does with an input that is not a terminal.
fn typed_ahead(world: &World, typed: &str) -> (i32, String, String) {
    typed_with(world, &[], typed)
}

/// The same with more options.
fn typed_with(world: &World, options: &[&str], typed: &str) -> (i32, String, String) {
    world.run_with(&[&["shell", "-f", "csv"], options].concat(), typed)
}

/// A script that fails in the middle does not look successful.
#[test]
fn a_shell_without_a_terminal_ends_with_its_last_failure() {
    let world = World::new();
    let check = |typed: &str, expected: i32, answers: &str| {
        let (code, output, status) = typed_ahead(&world, typed);
        assert_eq!(
            (code, output.as_str()),
            (expected, answers),
            "{typed}: {status}"
        );
        let reported = status.matches("ticksql: ").count();
        assert_eq!(
            reported,
            typed.matches("wrong").count(),
            "{typed}: {status}"
        );
    };
    check("SELECT wrong;\n", 1, "");
    check("SELECT wrong;\nSELECT 3 AS a;\n", 1, "a\n3\n");
    check(
        "SELECT wrong;\nSELECT 'wrong' FROM ticks;\nSELECT 3 AS a;\n",
        3,
        "a\n3\n",
    );
    check("\\wrong\n\\q\nSELECT 3 AS a;\n", 2, "");
    check("SELECT 3 AS a;\n", 0, "a\n3\n");
}

#[test]
fn the_last_statement_of_an_input_needs_no_semicolon() {
    let world = World::new();
    let check = |typed: &str, answers: &str| {
        let (code, output, status) = typed_ahead(&world, typed);
        assert_eq!((code, output.as_str()), (0, answers), "{typed}: {status}");
    };
    check("SELECT 3 AS a", "a\n3\n");
    check("SELECT 3 AS a;\nSELECT 4\n AS b\n-- done\n", "a\n3\nb\n4\n");
    check("SELECT 3 AS a;\n-- done\n", "a\n3\n");
    check("", "");
}

#[test]
fn a_script_leaves_in_the_middle_of_a_statement() {
    let world = World::new();
    for typed in [
        "SELECT 3 AS a;\nSELECT 4\n\\q\nSELECT 5 AS b;\n",
        "SELECT 3 AS a;\nSELECT 4\n\\q",
    ] {
        let (code, output, status) = typed_ahead(&world, typed);
        assert_eq!((code, output.as_str()), (0, "a\n3\n"), "{typed}: {status}");
    }
}

#[test]
fn a_shell_keeps_values_for_the_statements_that_take_them() {
    let world = World::new();
    let check = |options: &[&str], typed: &str, expected: i32, answers: &str, part: &str| {
        let (code, output, status) = typed_with(&world, options, typed);
        assert_eq!(
            (code, output.as_str()),
            (expected, answers),
            "{typed}: {status}"
        );
        assert!(status.contains(part), "{typed}: {status}");
    };
    let range = ["-p", "from=2026-03-07", "-p", "to=2026-03-08"];
    check(
        &range,
        "SELECT 1 AS one;\nSELECT count(*) AS n FROM ticks WHERE :days;\n",
        0,
        "one\n1\nn\n3\n",
        "",
    );
    check(
        &range,
        "\\set to 2026-03-09\n\\set token:varchar BTC\n\\set\n\
         SELECT count(*) AS n FROM ticks WHERE :days AND token = :token;\n",
        0,
        "parameter,value\nfrom,2026-03-07\nto,2026-03-09\ntoken:varchar,BTC\nn\n3\n",
        "",
    );
    // A named query takes what is kept, and what is given with it wins.
    check(
        &range,
        "\\set token ETH\n\\run volume_by_source\n\\run vwap token=BTC interval_s=86400\n",
        0,
        "token,quote,source,ticks,ticks_without_volume,volume,quote_volume,share_pct\n\
         ETH,USD,test:market,1,1,,,\n\
         quote,start,vwap,volume,quote_volume,avg_price,ticks,ticks_without_volume\n\
         USD,2026-03-07T00:00:00,39480.70857142857,1.75,69091.24,39466.240000000005,2,0\n",
        "",
    );
    check(
        &range,
        "\\unset from\nSELECT 1 FROM ticks WHERE :days;\n",
        2,
        "",
        "`from` is missing",
    );
    check(&[], "\\unset x\n", 2, "", "`x` is not set");
    check(&[], "\\set a-b 1\n", 2, "", "not a parameter name");
    check(&[], "\\set a\n", 2, "", "write \\set NAME VALUE");
    // A single query still reports a parameter that it does not take.
    let (code, _, status) = world.run(&["SELECT 1 AS one", "-p", "from=now"]);
    assert_eq!(code, 2, "{status}");
}

#[test]
fn plain_words_help_and_leave() {
    let world = World::new();
    for word in ["exit", "quit", "QUIT;", "\\q"] {
        let (code, output, status) = typed_ahead(&world, &format!("{word}\nSELECT 1 AS one;\n"));
        assert_eq!((code, output.as_str()), (0, ""), "{word}: {status}");
    }
    let (code, output, status) = typed_ahead(&world, "help\n");
    assert_eq!(code, 0, "{status}");
    for part in ["\\set NAME VALUE", "\\unset NAME", "\\q, quit or exit"] {
        assert!(output.contains(part), "{part}: {output}");
    }
    let help = world.answer(&["shell", "--help"]);
    assert!(help.contains("`\\?`") && help.contains("`\\q`"), "{help}");
}

#[test]
fn a_named_query_is_remembered_by_its_name() {
    let world = World::new();
    let range = ["-p", "from=2026-03-07", "-p", "to=2026-03-08"];
    world.answer(&[&["run", "volume_by_source"][..], &range].concat());
    let json = world.answer(&["history", "-f", "jsonl"]);
    let past: serde_json::Value = serde_json::from_str(json.trim()).unwrap();
    let shown = past["query"].as_str().unwrap();
    assert!(shown.starts_with("volume_by_source: "), "{json}");
}

#[test]
fn a_shell_takes_statements_and_its_own_commands() {
    let world = World::new();
    let typed = format!(
        "\\d ticks\nSELECT count(*)\n  AS n FROM ticks\n WHERE {FIRST_DAY};\nSELECT count(*) FROM ticks;\n\
         \\format tsv\n\\run candles token=BTC from=2026-03-08 to=2026-03-09\n\\x\n\\q\nSELECT 'never' AS a;\n"
    );
    let (code, output, status) = typed_ahead(&world, &typed);
    assert_eq!(code, 2, "of the unknown command: {status}");
    assert!(output.contains("column,type\ntime,timestamp"), "{output}");
    assert!(output.contains("n\n3\n"), "{output}");
    assert!(output.contains("\t39600.0\t"), "{output}");
    assert!(!output.contains("never"), "{output}");
    assert!(
        status.contains("would be read") && status.contains("no command \\x"),
        "{status}"
    );
    // A script is not added to the history of typed input.
    let file = world.home.path().join(".local/share/ticksql/shell_history");
    assert!(!fs::exists(file).unwrap());
}

#[test]
fn a_shell_keeps_every_answer_in_its_file() {
    let world = World::new();
    let file = world.path("out.csv");
    let (a, b) = (numbers(30, "a"), numbers(1_000, "b"));
    let typed = format!(
        "SELECT 1 AS a;\nSELECT wrong;\n\\l\n\
         SELECT 1 / (20000 - 1000 * a.k - b.k) AS n FROM {a} CROSS JOIN {b};\n\
         SELECT 2 AS b;\n\\run candles token=X from=2026-03-07 to=2026-03-08\nSELECT 3 AS c"
    );
    let (code, output, status) = typed_with(&world, &["-o", &file], &typed);
    assert_eq!(code, 1, "{status}");
    assert!(output.contains("candles"), "{output}");
    // No partial answer is left between the others.
    assert_eq!(
        fs::read_to_string(&file).unwrap(),
        "a\n1\nb\n2\nquote,start,open,high,low,close,volume,ticks\nc\n3\n"
    );
}

/// While a shell waits, its process ends at once.
#[test]
fn a_shell_that_ends_by_a_signal_keeps_its_answers() {
    let world = World::new();
    let file = world.path("out.csv");
    let mut command = world.command(&["shell", "-o", &file]);
    let mut process = command
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = process.stdin.take().unwrap();
    input.write_all(b"SELECT 12345 AS a;\n").unwrap();
    let status = BufReader::new(process.stderr.take().unwrap());
    let mut lines = status.lines().map(Result::unwrap);
    assert!(lines.any(|line| line.starts_with("1 row in")));
    // It is past the summary when it waits again.
    thread::sleep(Duration::from_millis(500));
    let kill = Command::new("kill")
        .args(["-TERM", &process.id().to_string()])
        .status();
    assert!(kill.unwrap().success());
    assert_eq!(code_of(&mut process), Some(143));
    assert_eq!(fs::read_to_string(file).unwrap(), "a\n12345\n");
    let names = fs::read_dir(world.home.path()).unwrap();
    let names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
    assert!(
        !names
            .iter()
            .any(|name| name.to_string_lossy().ends_with(".part")),
        "{names:?}"
    );
}

#[test]
fn a_shell_without_timing_still_says_that_an_answer_is_cut() {
    let world = World::new();
    let typed = "\\timing\nSELECT 1 AS a;\nSELECT k FROM (VALUES 1, 2, 3, 4, 5) AS t (k);\n";
    let (code, _, status) = typed_with(&world, &["--max-rows", "2"], typed);
    assert_eq!(code, 0, "{status}");
    assert_eq!(
        status.matches("the answer is cut at 2 rows").count(),
        1,
        "{status}"
    );
    assert!(!status.contains(" ms"), "{status}");
}
