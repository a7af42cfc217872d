//! `tickctl detect` on series with known anomalies.

use std::fmt::Write as _;

use crate::process::{Run, tickctl_with};

fn detect(arguments: &[&str], input: &str) -> Run {
    tickctl_with(&[&["detect"], arguments].concat(), &[], input.as_bytes())
}

/// A load that goes up and down each day for two weeks, five minutes apart, with a jump that lasts an hour in the last
/// night.
const ROWS: usize = 14 * 288;
const ANOMALY: std::ops::Range<usize> = ROWS - 24..ROWS - 12;

fn series(time: impl Fn(i64) -> String, end: &str) -> String {
    let mut text = format!("timestamp,value{end}");
    for (row, ms) in (0..ROWS).zip((1_396_310_400_000_i64..).step_by(300_000)) {
        let step = f64::from(u16::try_from(row).unwrap());
        let daily = 40.0 - 20.0 * (step / 288.0 * std::f64::consts::TAU).cos();
        let noise = f64::from(u16::try_from(row * 7_919 % 101).unwrap()) / 50.0;
        let more = if ANOMALY.contains(&row) { 60.0 } else { 0.0 };
        write!(text, "{},{:.3}{end}", time(ms), daily + noise + more).unwrap();
    }
    text
}

fn utc(ms: i64, format: &str) -> String {
    let time = chrono::DateTime::from_timestamp_millis(ms).unwrap();
    time.format(format).to_string()
}

fn scores(run: &Run) -> Vec<f64> {
    assert_eq!(run.code, 0, "{}", run.stderr);
    let rows = run.stdout.lines().skip(1);
    rows.map(|row| row.split(',').nth(2).unwrap().parse().unwrap())
        .collect()
}

#[test]
fn each_row_gets_a_score_and_the_anomaly_the_highest() {
    let input = series(|ms| utc(ms, "%Y-%m-%d %H:%M:%S"), "\n");
    let run = detect(&[], &input);
    let found = scores(&run);
    assert_eq!(found.len(), ROWS);
    assert!(found.iter().all(|score| (0.0..1.0).contains(score)));
    let highest = found
        .iter()
        .enumerate()
        .max_by(|a, b| a.1.total_cmp(b.1))
        .unwrap();
    assert!(
        ANOMALY.contains(&highest.0) && *highest.1 >= 0.5,
        "{highest:?}"
    );
    // Times and values are written as they came.
    let both = input.lines().zip(run.stdout.lines());
    assert!(
        both.skip(1)
            .all(|(row, out)| out.starts_with(&format!("{row},")))
    );
    assert_eq!(
        run.stdout.lines().next(),
        Some("timestamp,value,anomaly_score")
    );
}

#[test]
fn the_format_of_times_and_of_line_ends_does_not_matter() {
    let expected = scores(&detect(&[], &series(|ms| ms.to_string(), "\n")));
    let with_zone = series(|ms| utc(ms, "%Y-%m-%dT%H:%M:%SZ"), "\r\n");
    assert_eq!(scores(&detect(&[], &with_zone)), expected);
}

#[test]
fn a_score_depends_on_no_later_row() {
    let input = series(|ms| ms.to_string(), "\n");
    let half: String = input.split_inclusive('\n').take(ROWS / 2 + 1).collect();
    let all = scores(&detect(&[], &input));
    assert_eq!(scores(&detect(&[], &half)), all[..ROWS / 2]);
}

#[test]
fn times_may_repeat_and_go_back() {
    let input = "timestamp,value\n3000,1\n3000,2\n1000,3\n2000,4\n";
    let run = detect(&[], input);
    assert_eq!(scores(&run), [0.0; 4]);
}

#[test]
fn the_explanation_names_kind_and_reason() {
    let mut input = "timestamp,value\n".to_owned();
    for row in 0..200_u32 {
        let price = if row == 150 {
            1_000.0
        } else {
            100.0 + f64::from(row * 37 % 11) / 10.0
        };
        writeln!(
            input,
            "{},{price}",
            1_700_000_000_000_u64 + u64::from(row) * 1_000
        )
        .unwrap();
    }
    let run = detect(&["--prices", "--explain"], &input);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let row = run.stdout.lines().nth(151).unwrap();
    assert!(
        row.contains(",wrong_decimals,\"at 1000 after 100") && row.ends_with('"'),
        "{row}"
    );
    assert!(run.stdout.lines().nth(2).unwrap().ends_with(",0.000000,,"));
}

#[test]
fn prices_of_0_are_marked_and_numbers_beyond_all_others_do_not_disturb_the_rest() {
    let rows = |wrong: &str| {
        let mut input = "timestamp,value\n".to_owned();
        for row in 0..600_u32 {
            let value = 100.0 + f64::from(row * 37 % 11) / 10.0;
            let value = if row == 400 {
                wrong.to_owned()
            } else {
                value.to_string()
            };
            writeln!(
                input,
                "{},{value}",
                1_700_000_000_000_u64 + u64::from(row) * 1_000
            )
            .unwrap();
        }
        input
    };
    for (arguments, wrong, reason) in [
        (vec!["--prices", "--explain"], "0", "\"at 0 after 100"),
        (
            vec!["--explain"],
            "1e300",
            "\"at 1.0000e300, above its range, which ends at 10",
        ),
    ] {
        let run = detect(&arguments, &rows(wrong));
        assert_eq!(run.code, 0, "{}", run.stderr);
        let marked = run
            .stdout
            .lines()
            .skip(1)
            .filter(|row| !row.contains(",0.0"));
        let marked: Vec<&str> = marked.collect();
        assert_eq!(marked.len(), 1, "{marked:?}");
        assert!(marked[0].contains(reason), "{marked:?}");
    }
}

#[test]
fn the_plot_shows_the_anomaly() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("marks.html");
    let input = series(|ms| ms.to_string(), "\n");
    let run = detect(&["--plot", path.to_str().unwrap()], &input);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let page = std::fs::read_to_string(path).unwrap();
    assert!(page.contains(&format!("anomalies in {ROWS} values")));
    // The row has milliseconds since the epoch; people read a time.
    let first = input.lines().nth(ANOMALY.start + 1).unwrap();
    let first = first.split(',').next().unwrap().parse().unwrap();
    let first = utc(first, "%Y-%m-%d %H:%M:%S UTC");
    assert!(
        page.contains(&format!("<title>{first} ")),
        "no mark at {first}"
    );
}

#[test]
fn a_wrong_row_is_named() {
    for (input, expected) in [
        (
            "time,value\n1,2\n",
            "the header needs the columns timestamp and value",
        ),
        (
            "timestamp,value\n1,2\nnow,3\n",
            "line 3: \"now\" is not a time",
        ),
        ("timestamp,value\n1,2\n2,\n", "line 3: \"\" is not a number"),
        (
            "timestamp,value\n1,NaN\n",
            "line 2: \"NaN\" is not a number",
        ),
        (
            "timestamp,value\n1396388745000000,2\n",
            "line 2: \"1396388745000000\" is not a time; use YYYY-MM-DD HH:MM:SS, RFC 3339 or epoch milliseconds",
        ),
    ] {
        let run = detect(&[], input);
        assert_eq!(run.code, 2, "{}", run.stderr);
        assert!(run.stderr.contains(expected), "{}", run.stderr);
    }
}
