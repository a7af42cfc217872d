//! Formats, files, charts and pages; what goes to standard output and what to standard error.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::world::{FIRST_DAY, World, numbers, outcome_of};

fn prices() -> String {
    format!("SELECT token, price, volume, '' AS note FROM ticks WHERE {FIRST_DAY} ORDER BY ts")
}

#[test]
fn each_format_shows_the_same_rows_and_distinguishes_null_from_empty() {
    let world = World::new();
    let check = |format: &str, expected: &str| {
        let (code, output, status) = world.run(&["--format", format, &prices()]);
        assert_eq!((code, output.as_str()), (0, expected), "{format}: {status}");
        let lines: Vec<&str> = status.lines().collect();
        assert!(
            lines[0].starts_with("engine local: data folder "),
            "{status}"
        );
        let last = lines[lines.len() - 1];
        assert!(
            last.starts_with("3 rows in ") && last.contains(", 1 file, "),
            "{status}"
        );
    };
    check(
        "table",
        "\
┌───────┬──────────┬────────┬──────┐
│ token ┆    price ┆ volume ┆ note │
╞═══════╪══════════╪════════╪══════╡
│ BTC   ┆ 39432.48 ┆    0.5 ┆      │
│ ETH   ┆   2500.0 ┆   NULL ┆      │
│ BTC   ┆  39500.0 ┆   1.25 ┆      │
└───────┴──────────┴────────┴──────┘
",
    );
    check(
        "csv",
        "token,price,volume,note\nBTC,39432.48,0.5,\"\"\nETH,2500.0,,\"\"\nBTC,39500.0,1.25,\"\"\n",
    );
    check(
        "tsv",
        "token\tprice\tvolume\tnote\nBTC\t39432.48\t0.5\t\nETH\t2500.0\t\\N\t\nBTC\t39500.0\t1.25\t\n",
    );
    check(
        "jsonl",
        "{\"token\":\"BTC\",\"price\":39432.48,\"volume\":0.5,\"note\":\"\"}\n\
         {\"token\":\"ETH\",\"price\":2500.0,\"volume\":null,\"note\":\"\"}\n\
         {\"token\":\"BTC\",\"price\":39500.0,\"volume\":1.25,\"note\":\"\"}\n",
    );
    check(
        "markdown",
        "\
| token |    price | volume | note |
| ----- | -------: | -----: | ---- |
| BTC   | 39432.48 |    0.5 |      |
| ETH   |   2500.0 |   NULL |      |
| BTC   |  39500.0 |   1.25 |      |
",
    );
}

/// A NULL without a type is shown as NULL, and so is one within an array.
#[test]
fn null_without_a_type_is_null_in_each_format() {
    let world = World::new();
    let query = "SELECT NULL AS a, '' AS b, ARRAY[1, NULL] AS c, ARRAY['', NULL] AS d";
    let check = |format: &str, expected: &str| {
        assert_eq!(
            world.answer(&["--format", format, query]),
            expected,
            "{format}"
        );
    };
    check(
        "table",
        "\
┌──────┬───┬───────────┬──────────┐
│ a    ┆ b ┆ c         ┆ d        │
╞══════╪═══╪═══════════╪══════════╡
│ NULL ┆   ┆ [1, NULL] ┆ [, NULL] │
└──────┴───┴───────────┴──────────┘
",
    );
    check("csv", "a,b,c,d\n,\"\",\"[1, NULL]\",\"[, NULL]\"\n");
    check("tsv", "a\tb\tc\td\n\\N\t\t[1, NULL]\t[, NULL]\n");
    check(
        "jsonl",
        "{\"a\":null,\"b\":\"\",\"c\":[1,null],\"d\":[\"\",null]}\n",
    );
    check(
        "markdown",
        "\
| a    | b   | c         | d        |
| ---- | --- | --------- | -------- |
| NULL |     | [1, NULL] | [, NULL] |
",
    );
    let (file, page) = (world.path("null.parquet"), world.path("null.html"));
    world.answer(&["-o", &file, "--html", &page, query]);
    let reader = ParquetRecordBatchReaderBuilder::try_new(fs::File::open(&file).unwrap()).unwrap();
    let rows = reader.build().unwrap().next().unwrap().unwrap();
    let nulls = |column: usize| rows.column(column).logical_null_count();
    assert_eq!((nulls(0), nulls(1)), (1, 0));
    let page = fs::read_to_string(&page).unwrap();
    let cells = "<tr><td class=\"null\">NULL</td><td></td><td>[1, NULL]</td>";
    assert!(page.contains(cells), "{page}");
    let query = "SELECT ts, price, NULL AS token FROM ticks WHERE year = 2026 AND month = 3";
    assert!(world.answer(&["--chart", query]).starts_with("price\n"));
}

#[test]
fn a_cell_wider_than_any_screen_is_complete() {
    let world = World::new();
    let cell: String = (10_000..30_000).map(|number| number.to_string()).collect();
    let query = format!("SELECT '{cell}' AS f");
    let markdown = world.answer(&["-f", "markdown", &query]);
    assert!(markdown.ends_with(&format!("\n| {cell} |\n")));
    let table = world.answer(&["-f", "table", &query]);
    let lines = table.lines().skip(3);
    let lines = lines.filter_map(|line| line.strip_prefix("│ ")?.strip_suffix('│'));
    let shown: Vec<&str> = lines.map(str::trim_end).collect();
    assert_eq!(shown.len(), 2);
    assert!(shown.concat() == cell);
}

#[test]
fn json_is_one_object_with_the_columns() {
    let world = World::new();
    let query = format!(
        "SELECT token, count(*) AS n FROM ticks WHERE {FIRST_DAY} GROUP BY token ORDER BY token"
    );
    let answer: serde_json::Value =
        serde_json::from_str(&world.answer(&["--format", "json", &query])).unwrap();
    assert_eq!(
        answer["columns"][1],
        serde_json::json!({"name": "n", "type": "bigint"})
    );
    assert_eq!(
        answer["rows"],
        serde_json::json!([{"token": "BTC", "n": 2}, {"token": "ETH", "n": 1}])
    );
    assert_eq!(
        (&answer["row_count"], &answer["truncated"], &answer["files"]),
        (&2.into(), &false.into(), &1.into())
    );
    assert!(answer["elapsed_ms"].is_f64() && answer["bytes_read"].is_u64());
    let digits = answer["elapsed_ms"].to_string();
    let decimals = digits
        .split_once('.')
        .map_or(0, |(_, decimals)| decimals.len());
    assert!(decimals <= 3, "{digits}");
    let none = world.answer(&["-f", "json", "SELECT 1 AS one WHERE false"]);
    let none: serde_json::Value = serde_json::from_str(&none).unwrap();
    assert_eq!(
        (&none["rows"], &none["row_count"]),
        (&serde_json::json!([]), &0.into())
    );
}

#[test]
fn a_file_takes_its_format_from_its_extension_and_is_complete_or_missing() {
    let world = World::new();
    let file = world.path("out.csv");
    let (code, output, _) = world.run(&["-o", &file, &prices()]);
    assert_eq!((code, output.as_str()), (0, ""));
    assert!(
        fs::read_to_string(&file)
            .unwrap()
            .ends_with("BTC,39500.0,1.25,\"\"\n")
    );
    let mode = fs::metadata(&file).unwrap().permissions().mode();
    assert_ne!(
        mode & 0o044,
        0,
        "others may read it like any file: {mode:o}"
    );

    // A failure leaves what was there, and nothing beside it.
    let (code, ..) = world.run(&[
        "-o",
        &file,
        "SELECT 1 / 0 FROM ticks WHERE year = 2026 AND month = 3",
    ]);
    assert_eq!(code, 1);
    assert!(
        fs::read_to_string(&file)
            .unwrap()
            .starts_with("token,price")
    );
    let names = || {
        fs::read_dir(world.home.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
    };
    assert!(names().all(|name| !name.to_str().unwrap().ends_with(".part")));

    let check = |name: &str, code: i32, part: &str| {
        let (found, _, status) = world.run(&["-o", &world.path(name), &prices()]);
        assert_eq!(found, code, "{name}: {status}");
        assert!(status.contains(part), "{name}: {status}");
    };
    check("out.xml", 2, "unknown format");
    check("missing/out.csv", 2, "/missing\n");
    check(".", 1, "cannot write");
}

#[test]
fn numbers_that_json_lacks_are_texts_and_not_null() {
    let world = World::new();
    let query = "SELECT CAST('NaN' AS double) AS a, CAST('-Infinity' AS double) AS b, CAST(NULL AS double) AS c, 1e0 AS d";
    let row = "{\"a\":\"NaN\",\"b\":\"-Infinity\",\"c\":null,\"d\":1.0}";
    assert_eq!(world.answer(&["-f", "jsonl", query]), format!("{row}\n"));
    let whole = world.answer(&["-f", "json", query]);
    assert!(whole.contains(&format!("\"rows\":[{row}]")), "{whole}");
}

/// Athena's words, in each format, and in numbers within arrays and rows.
#[test]
fn infinities_are_spelled_in_one_way() {
    let world = World::new();
    let query = "SELECT CAST('-Infinity' AS double) AS a, CAST('Infinity' AS double) AS b, \
                 ARRAY[CAST('-Infinity' AS double), 1e0] AS c, 1e0 / 3 AS d, CAST('NaN' AS double) AS e";
    for (format, separator) in [
        ("csv", ","),
        ("tsv", "\t"),
        ("table", " ┆ "),
        ("markdown", " | "),
    ] {
        let answer = world.answer(&["-f", format, query]);
        let start = format!("-Infinity{separator}Infinity{separator}");
        assert!(answer.contains(&start), "{format}: {answer}");
        assert!(answer.contains("[-Infinity, 1.0]"), "{format}: {answer}");
        assert!(answer.contains("0.333"), "{format}: {answer}");
        assert!(
            answer.contains("NaN") && !answer.contains("inf"),
            "{format}: {answer}"
        );
    }
}

/// Text of a sender reaches the quarantine unchanged, and the terminal of whoever reads it.
#[test]
fn no_cell_of_a_table_and_no_message_controls_the_terminal() {
    let world = World::new();
    let query = "SELECT chr(27) || '[2J' || chr(13) || chr(155) || chr(9) || 'x' AS raw";
    let check = |args: &[&str], expected: &str| {
        let answer = world.answer(&[args, &[query]].concat());
        assert!(answer.contains(expected), "{args:?}: {answer:?}");
    };
    check(&[], "│ \\x1B[2J\\r\\u009B\\tx │");
    check(&["-f", "markdown"], "| \\\\x1B[2J<br>");
    let file = world.path("raw.txt");
    world.answer(&["-o", &file, query]);
    let text = fs::read_to_string(&file).unwrap();
    assert!(
        text.contains("\\x1B[2J") && !text.contains('\u{1b}'),
        "{text:?}"
    );
    // For programs it is unchanged.
    check(&["-f", "csv"], "\u{1b}[2J");
    let failing = "SELECT CAST(chr(27) || '[2J' AS bigint)";
    let (code, _, status) = world.run(&[failing]);
    assert_eq!(code, 1, "{status:?}");
    assert!(
        status.contains("\\x1B[2J") && !status.contains('\u{1b}'),
        "{status:?}"
    );
    // A legend contains values of the archive.
    let chart =
        "SELECT TIMESTAMP '2026-03-07 00:00:00' AS time, 1e0 AS price, chr(27) || '[2J' AS token";
    let drawing = world.answer(&["--chart", chart]);
    assert!(
        drawing.contains("\\x1B[2J") && !drawing.contains('\u{1b}'),
        "{drawing:?}"
    );
}

/// What was read before a failure is written, in tables as well, which hold their rows until the end.
#[test]
fn rows_before_a_failure_are_not_dropped() {
    let world = World::new();
    let (thousands, ones) = (numbers(30, "thousands"), numbers(1_000, "ones"));
    let query = format!(
        "SELECT sum(1 / (20000 - k)) OVER (ORDER BY k ROWS BETWEEN 0 PRECEDING AND CURRENT ROW) AS n \
         FROM (SELECT 1000 * thousands.k + ones.k AS k FROM {thousands} CROSS JOIN {ones}) AS t"
    );
    let query = query.as_str();
    let check = |format: &str, lines_besides_rows: usize| {
        let (code, output, status) =
            world.run(&["-q", "-f", format, "--max-rows", "100000", query]);
        assert_eq!(code, 1, "{format}: {status}");
        let lines = output.lines().count();
        assert_eq!(lines, lines_besides_rows + 16_384, "{format}: {status}");
        let note = "note: the answer is incomplete: the query ended after 16384 rows";
        let noted = status.lines().filter(|line| *line == note).count();
        assert_eq!(noted, 1, "{format}: {status}");
    };
    check("csv", 1);
    check("tsv", 1);
    check("jsonl", 0);
    check("table", 4);
    check("markdown", 2);
    // A document is not closed: what it lacks must not look like all that there is.
    let (code, output, status) = world.run(&["-f", "json", query]);
    assert_eq!(code, 1, "{status}");
    serde_json::from_str::<serde_json::Value>(&output).unwrap_err();
    // A file that is complete or missing needs no note, nor does an answer without a row.
    for args in [
        ["-o", &world.path("rows.csv"), query],
        [
            "-f",
            "csv",
            "SELECT 1 / (1 - k) AS n FROM (VALUES 1, 2, 3) AS t (k)",
        ],
    ] {
        let (code, _, status) = world.run(&args);
        assert_eq!(code, 1, "{args:?}: {status}");
        assert!(!status.contains("incomplete"), "{args:?}: {status}");
    }
}

/// A renamed file would replace the pipe, and its reader would wait for ever.
#[test]
fn a_pipe_gets_the_answer_and_stays() {
    let world = World::new();
    let pipe = world.path("pipe");
    let created = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(created.unwrap().success());
    let reader = std::thread::spawn({
        let pipe = pipe.clone();
        move || fs::read_to_string(pipe).unwrap()
    });
    world.answer(&["-o", &pipe, "-f", "csv", "SELECT 1 AS one"]);
    assert_eq!(reader.join().unwrap(), "one\n1\n");
    assert!(!fs::metadata(&pipe).unwrap().is_file());
}

#[test]
fn the_answer_and_the_page_are_not_one_file() {
    let world = World::new();
    let file = world.path("x.csv");
    let (code, output, status) = world.run(&["-o", &file, "--html", &file, "SELECT 1 AS one"]);
    assert_eq!((code, output.as_str()), (2, ""), "{status}");
    assert!(status.contains("name the same file"), "{status}");
    assert!(!fs::exists(&file).unwrap());
}

/// An object or a Parquet file cannot have them.
#[test]
fn two_columns_of_one_name_are_lists_in_json() {
    let world = World::new();
    let query = "SELECT a.k, b.k FROM (VALUES 1, 2) AS a (k), (VALUES 5) AS b (k) ORDER BY 1";
    assert_eq!(world.answer(&["-f", "jsonl", query]), "[1,5]\n[2,5]\n");
    assert_eq!(world.answer(&["-f", "csv", query]), "k,k\n1,5\n2,5\n");
    let json = world.answer(&["-f", "json", query]);
    assert!(json.contains("\"rows\":[[1,5],[2,5]]"), "{json}");
    let (code, _, status) = world.run(&["-o", &world.path("out.parquet"), query]);
    assert_eq!(code, 2, "{status}");
    assert!(status.contains("two columns are called `k`"), "{status}");
    let named = query.replace("b.k", "b.k AS other");
    world.answer(&["-o", &world.path("out.parquet"), &named]);
}

#[test]
fn a_parquet_file_has_types_and_nulls() {
    let world = World::new();
    let file = world.path("out.parquet");
    world.answer(&["-o", &file, &prices()]);
    let reader = ParquetRecordBatchReaderBuilder::try_new(fs::File::open(&file).unwrap()).unwrap();
    let names: Vec<_> = reader
        .schema()
        .fields()
        .iter()
        .map(|field| field.name().clone())
        .collect();
    assert_eq!(names, ["token", "price", "volume", "note"]);
    let batches: Vec<_> = reader.build().unwrap().map(Result::unwrap).collect();
    let rows: usize = batches
        .iter()
        .map(arrow::array::RecordBatch::num_rows)
        .sum();
    let nulls: usize = batches
        .iter()
        .map(|batch| batch.column(2).null_count())
        .sum();
    assert_eq!((rows, nulls), (3, 1));
}

#[test]
fn a_chart_is_drawn_instead_of_the_rows() {
    let world = World::new();
    let query = format!("SELECT ts, price FROM ticks WHERE {FIRST_DAY} AND token = 'BTC'");
    let drawing = world.answer(&["--chart", &query]);
    assert!(
        drawing.starts_with("price\n") && drawing.contains("39500 ┤"),
        "{drawing}"
    );
    let (code, _, status) = world.run(&["--chart=volume", &query]);
    assert_eq!(code, 2);
    assert!(
        status.contains("the answer has no numeric column of that name; it has ts, price"),
        "{status}"
    );
}

#[test]
fn a_page_has_the_plot_the_rows_and_the_query() {
    let world = World::new();
    let file = world.path("page.html");
    let query = format!("SELECT ts, price, volume FROM ticks WHERE {FIRST_DAY}");
    let rows = world.answer(&["--html", &file, "-f", "csv", &query]);
    assert_eq!(rows.lines().count(), 4);
    let page = fs::read_to_string(&file).unwrap();
    for part in [
        "<polyline",
        "<td>39432.48</td>",
        "<td class=\"null\">NULL</td>",
        "SELECT ts, price, volume",
        "3 rows in",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
}

#[test]
fn the_statement_may_come_from_standard_input_or_a_file() {
    let world = World::new();
    let query = format!("-- how many\nSELECT count(*) AS n\nFROM ticks WHERE {FIRST_DAY};\n");
    for args in [
        &["--format", "csv", "-"][..],
        &["--format", "csv"],
        &["run", "-f", "csv"],
    ] {
        let (code, output, _) = world.run_with(args, &query);
        assert_eq!((code, output.as_str()), (0, "n\n3\n"), "{args:?}");
    }
    fs::write(world.path("count.sql"), &query).unwrap();
    assert_eq!(world.rows(&["run", &world.path("count.sql")]), "3\n");
    assert_eq!(world.rows(&["count.sql"]), "3\n");
}

#[test]
fn a_cut_answer_says_so_on_standard_error_only() {
    let world = World::new();
    let query = format!("SELECT token FROM ticks WHERE {FIRST_DAY} ORDER BY ts");
    let (code, output, status) = world.run(&["--format", "csv", "--max-rows", "2", &query]);
    assert_eq!((code, output.as_str()), (0, "token\nBTC\nETH\n"));
    assert!(
        status.contains("2 rows") && status.contains("--max-rows above 2"),
        "{status}"
    );
    // It does not look complete with --quiet either.
    let (code, _, status) = world.run(&["-q", "-f", "csv", "--max-rows", "2", &query]);
    let expected = "note: the answer is cut at 2 rows: pass --max-rows above 2, or a LIMIT\n";
    assert_eq!((code, status.as_str()), (0, expected));
    let (_, _, status) = world.run(&["-q", "-f", "csv", "--max-rows", "3", &query]);
    assert_eq!(status, "");
    let (_, _, status) = world.run(&["--format", "csv", "--max-rows", "3", &query]);
    assert!(
        status.contains("3 rows") && !status.contains("--max-rows"),
        "{status}"
    );
}

#[test]
fn only_a_table_is_cut_by_default() {
    let world = World::new();
    let query = "SELECT a.value FROM UNNEST(ARRAY[1,2,3,4,5,6,7,8,9,10,11,12]) a(value), \
                 UNNEST(ARRAY[1,2,3,4,5,6,7,8,9,10]) b(v), UNNEST(ARRAY[1,2,3,4,5,6,7,8,9,10]) c(v), \
                 UNNEST(ARRAY[1,2,3,4,5,6,7,8,9,10]) d(v)";
    assert_eq!(world.rows(&[query]).lines().count(), 12_000);
    let (_, output, status) = world.run(&[query]);
    assert_eq!(output.lines().count(), 10_000 + 4);
    assert!(status.contains("--max-rows above 10000"), "{status}");
}

#[test]
fn an_empty_answer_has_its_header_and_a_note_on_the_days() {
    let world = World::new();
    let query = "SELECT token, price FROM ticks WHERE year = 2026 AND month = 3 AND day = 9";
    let (code, output, status) = world.run(&["--format", "csv", query]);
    assert_eq!((code, output.as_str()), (0, "token,price\n"));
    assert!(
        status.contains("note: the archive has none of the requested days; it has 2 days, from 2026-03-07 to 2026-03-08\n"),
        "{status}"
    );
    assert!(
        status.lines().last().unwrap().starts_with("0 rows in "),
        "{status}"
    );
    // A count of nothing is a row, and there is still a note.
    let query = "SELECT count(*) AS n FROM ticks WHERE year = 2025";
    let (_, output, status) = world.run(&["--format", "csv", query]);
    assert_eq!(output, "n\n0\n");
    assert!(status.contains("note: the archive has none"), "{status}");
    // The days are there; only the token is not.
    let (_, _, status) = world.run(&[&format!(
        "SELECT 1 FROM ticks WHERE {FIRST_DAY} AND token = 'X'"
    )]);
    assert!(!status.contains("note:"), "{status}");
}

#[test]
fn quiet_reports_nothing_if_nothing_is_wrong() {
    let world = World::new();
    let (code, output, status) = world.run(&["--quiet", "-f", "csv", "SELECT 1 AS one"]);
    assert_eq!(
        (code, output.as_str(), status.as_str()),
        (0, "one\n1\n", "")
    );
    let (code, _, status) = world.run(&["--quiet", "SELEC 1"]);
    assert_eq!(code, 1);
    assert!(status.contains("syntax error"), "{status}");
}

/// `ticksql … | head -1`: the reader goes before all is written.
#[test]
fn a_reader_that_leaves_is_not_a_failure() {
    let world = World::new();
    let (a, b) = (numbers(300, "a"), numbers(1_000, "b"));
    let query = format!("SELECT a.k, 'a text that fills the pipe' AS text FROM {a} CROSS JOIN {b}");
    let mut command = world.command(&["--format", "csv", &query]);
    let mut process = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(process.stdout.take());
    let (code, _, status) = outcome_of(&process.wait_with_output().unwrap());
    assert_eq!(code, 0, "{status}");
    assert!(!status.contains("panicked"), "{status}");
}
