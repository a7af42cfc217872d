//! What Athena's API does with a statement: parameters, results as an object and by page, failures, cancelling.

use domain::{Price, Tick};
use integration::emulator::{self, Emulator};
use testkit::golden;

use super::analyst_on;
use super::athena_engine::{self, AthenaEngine};
use crate::sql::analyst::Analyst;
use crate::sql::files::Bucket;

const DAY: &str = "year = 2026 AND month = 3 AND day = 30";

/// Some rows more than two pages, with values that a CSV could lose: NULL, the empty text, quotes, lines, commas.
const MANY: &str = "SELECT n, text, CASE WHEN n % 3 = 0 THEN n / 7e0 END AS third, DECIMAL '1.50' AS amount, \
                    n % 2 = 0 AS even, from_unixtime(n) AS at, ARRAY[n, NULL] AS list, to_utf8(text) AS bytes \
                    FROM UNNEST(sequence(1, 2300)) AS numbers (n) \
                    CROSS JOIN (VALUES NULL, '', 'say \"no\"', concat('two', chr(10), 'lines'), 'a,b') AS texts (text) \
                    WHERE n % 5 < :m AND n % 5 = coalesce(length(text), 3) % 5 ORDER BY n, text";

struct Fixture {
    emulator: &'static Emulator,
    engine: &'static AthenaEngine,
    analyst: Analyst,
    bucket: Bucket,
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_run_as_on_athena() {
    let emulator = emulator::start().await.unwrap();
    let unshown = "requests to Athena on its engine";
    let Some(engine) = athena_engine::start(emulator, unshown).await else {
        return;
    };
    let name = format!("{}-archive", emulator.unique_project());
    let bucket = Bucket::make(emulator, &name).await;
    bucket
        .put_archived(&[golden::ranges().swap_remove(0)])
        .await;
    bucket.quarantine(&golden::quarantined()).await;
    let analyst = analyst_on(engine, emulator, &bucket).await;
    let fixture = Fixture {
        emulator,
        engine,
        analyst,
        bucket,
    };
    fixture.tables_are_found_again().await;
    fixture.parameters_are_values().await;
    fixture.limits_are_bare_integers().await;
    fixture
        .results_are_the_same_from_the_object_and_by_page()
        .await;
    fixture.failures_say_where_and_what_to_do().await;
    fixture.stopped_queries_end_on_the_engine().await;
    fixture.the_history_has_them_all().await;
}

/// The ticks of [`DAY`], in order of time.
fn ticks_of_the_day() -> Vec<Tick> {
    let mut ticks = golden::ranges().swap_remove(0);
    ticks.retain(|tick| tick.timestamp_ms < 1_774_915_200_000);
    ticks.sort_by_key(|tick| tick.timestamp_ms);
    ticks
}

impl Fixture {
    /// Checks the only row of an answer.
    async fn row(&self, sql: &str, more: &[&str], expected: &[&str]) {
        let output = self.analyst.ask(sql, more).await;
        let (_, rows) = output.csv();
        let expected = expected
            .iter()
            .map(|text| (!text.is_empty()).then(|| (*text).to_owned()));
        assert_eq!(rows, [expected.collect::<Vec<_>>()], "{sql} {more:?}");
    }

    async fn fails(&self, sql: &str, more: &[&str], code: i32, parts: &[&str]) {
        let output = self.analyst.ask(sql, more).await;
        assert_eq!(output.code, code, "{sql}: {output:?}");
        assert!(output.out.is_empty(), "{sql}: {output:?}");
        for part in parts {
            assert!(output.err.contains(part), "{part} of {sql}: {}", output.err);
        }
    }

    async fn tables_are_found_again(&self) {
        let name = self.emulator.unique_project();
        let elsewhere = Analyst::of(self.emulator, &name, &name).on(self.engine);
        let lost = elsewhere.run(&["init"]).await;
        assert!(lost.code == 2 && lost.err.contains("--archive"), "{lost:?}");
        let again = self.analyst.run(&["init"]).await.ok_status();
        for part in ["quarantine: exists, over s3://", "ticks: exists, replaced"] {
            assert!(again.contains(part), "{part} in {again}");
        }
        assert!(
            !again.contains(": created") && !again.contains("lacks"),
            "{again}"
        );
        let day = "SELECT count(*) AS n, min(\"timestamp\") AS first FROM price_history WHERE ";
        let ticks = ticks_of_the_day();
        let expected = [ticks.len().to_string(), ticks[0].timestamp_ms.to_string()];
        self.row(
            &format!("{day}{DAY}"),
            &[],
            &expected.each_ref().map(String::as_str),
        )
        .await;
    }

    /// They go apart from the statement, and cannot become a part of it.
    async fn parameters_are_values(&self) {
        let query = format!("SELECT count(*) AS n FROM price_archive WHERE {DAY} AND token = :t");
        let ticks = ticks_of_the_day();
        let is_bitcoin = |tick: &&Tick| tick.token.as_str() == "BTC";
        let bitcoin = ticks.iter().filter(is_bitcoin).count().to_string();
        for (value, count) in [
            ("t=BTC", bitcoin.as_str()),
            ("t=x' OR '1'='1", "0"),
            ("t=x'; SELECT 1 --", "0"),
            ("t=?", "0"),
        ] {
            self.row(&query, &["-p", value], &[count]).await;
        }
        let id = self.newest().await;
        let sent = self.engine.query(&id).await;
        assert_eq!(
            sent["query"], "EXECUTE given USING '?'",
            "{}",
            sent["query"]
        );
        assert!(
            sent["preparedQuery"]
                .as_str()
                .unwrap()
                .contains("token = ?"),
            "{sent}"
        );
        let all = "-- @param n bigint\n-- @param x double\n-- @param yes boolean\n-- @param at timestamp\n\
                   SELECT count(*) AS n FROM price_archive WHERE year = 2026 AND month = 3 AND day = 30 \
                   AND price > :x AND ts < :at AND :yes AND :n = 9223372036854775807";
        let more = [
            "n=9223372036854775807",
            "x=1e2",
            "yes=true",
            "at=2026-03-30T12:00:00Z",
        ];
        let more: Vec<&str> = more.iter().flat_map(|pair| ["-p", *pair]).collect();
        let noon_ms = 1_774_872_000_000;
        let dear = ticks.iter().filter(|tick| {
            tick.timestamp_ms < noon_ms && tick.price > Price::new(100.into()).unwrap()
        });
        self.row(all, &more, &[&dear.count().to_string()]).await;
    }

    /// Athena takes no parameters there.
    async fn limits_are_bare_integers(&self) {
        let query = format!(
            "-- @param n bigint\n-- @param skip bigint\n-- @param t varchar\nSELECT ts FROM price_archive \
             WHERE {DAY} AND token = :t ORDER BY ts OFFSET :skip LIMIT :n"
        );
        let ticks = ticks_of_the_day();
        let third = ticks
            .iter()
            .filter(|tick| tick.token.as_str() == "BTC")
            .nth(2);
        let third = third.unwrap().timestamp_ms.to_string();
        let given = ["-p", "n=1", "-p", "skip=2", "-p", "t=BTC"];
        self.row(&query, &given, &[&third]).await;
        let sent = self.engine.query(&self.newest().await).await;
        let text = sent["preparedQuery"].as_str().unwrap();
        assert!(
            text.ends_with("token = ? ORDER BY ts OFFSET 2 LIMIT 1"),
            "{text}"
        );
        let first = query.replace("LIMIT :n", "FETCH FIRST :n ROWS ONLY");
        self.row(&first, &given, &[&third]).await;
    }

    async fn results_are_the_same_from_the_object_and_by_page(&self) {
        let more = ["-p", "m=5", "--max-rows", "10000"];
        let of_object = self.analyst.ask(MANY, &more).await.ok();
        assert!(of_object.lines().count() > 2_100, "{}", of_object.len());
        let (id, keys) = (
            self.newest().await,
            self.bucket.keys("athena-results/").await,
        );
        assert!(
            keys.contains(&format!("athena-results/{id}.csv")),
            "{id} of {keys:?}"
        );

        let name = self.emulator.unique_project();
        self.engine.create_workgroup_without_objects(&name).await;
        let with_group = [&more[..], &["--workgroup", &name]].concat();
        let by_page = self.analyst.ask(MANY, &with_group).await.ok();
        assert_eq!(of_object, by_page);
        let after = self.bucket.keys("athena-results/").await;
        assert_eq!(keys, after, "no object is written");

        // These have no object that could be read.
        let shown = self
            .analyst
            .ask("SHOW COLUMNS FROM quarantine", &[])
            .await
            .ok();
        assert!(shown.contains("received_at"), "{shown}");
    }

    async fn failures_say_where_and_what_to_do(&self) {
        let price = format!("SELECT prise FROM price_archive WHERE {DAY}");
        self.fails(
            &price,
            &[],
            1,
            &[
                "COLUMN_NOT_FOUND",
                "at line 1, column 8",
                "did you mean `price`",
            ],
        )
        .await;
        // Only Athena could know this statement.
        self.fails(
            "SELECT 1 FORM x y",
            &["--full-scan"],
            1,
            &["mismatched input 'x'", "at line 1, column 15"],
        )
        .await;
        let cast = format!("SELECT CAST(token AS bigint) FROM price_archive WHERE {DAY}");
        self.fails(
            &cast,
            &[],
            1,
            &["the query failed: INVALID_CAST_ARGUMENT: Cannot cast"],
        )
        .await;
        let zero = "SELECT n / 0 AS x FROM (VALUES 1) AS t (n)";
        self.fails(zero, &[], 1, &["the query failed: DIVISION_BY_ZERO"])
            .await;
        self.fails(
            "SELECT 1 FROM nothing",
            &[],
            1,
            &["'awsdatacatalog.", "nothing' does not exist"],
        )
        .await;
        let one = "SELECT 1 AS one";
        self.fails(
            one,
            &["--workgroup", "nobody"],
            2,
            &["no workgroup nobody", "ticksql init"],
        )
        .await;
        let archive = format!("SELECT 1 FROM price_archive WHERE {DAY}");
        self.fails(&archive, &["--database", "nowhere"], 2, &["ticksql init"])
            .await;
        self.fails("SELECT price FROM price_archive", &[], 3, &["WHERE"])
            .await;
    }

    async fn stopped_queries_end_on_the_engine(&self) {
        // It takes far longer than its timeout of a second.
        let numbers = "UNNEST(sequence(1, 10000))";
        let endless = format!(
            "SELECT sum(ln(a * b * c)) AS s FROM {numbers} AS x (a) CROSS JOIN {numbers} AS y (b) CROSS JOIN {numbers} AS z (c)"
        );
        self.fails(&endless, &["--timeout", "1"], 4, &["is cancelled"])
            .await;
        let id = self.newest().await;
        let ended = self.engine.query(&id).await;
        assert_eq!(
            (&ended["state"], &ended["errorCode"]["name"]),
            (&"FAILED".into(), &"USER_CANCELED".into())
        );
        let output = self.analyst.run(&["cancel", &id]).await;
        assert!(
            output.code == 2 && output.err.contains("was cancelled"),
            "{output:?}"
        );
        let output = self.analyst.run(&["cancel", "no-such-query"]).await;
        assert!(
            output.code == 2 && output.err.contains("no-such-query"),
            "{output:?}"
        );
    }

    async fn the_history_has_them_all(&self) {
        let past = self.analyst.run(&["history", "--count", "500"]).await.ok();
        for state in ["succeeded", "failed", "cancelled"] {
            assert!(past.contains(state), "{state} in {past}");
        }
    }

    /// The id of the newest query.
    async fn newest(&self) -> String {
        let past = self
            .analyst
            .run_as("jsonl", &["history", "--count", "1"])
            .await
            .ok();
        let past: serde_json::Value = serde_json::from_str(past.trim()).unwrap();
        past["id"].as_str().unwrap().to_owned()
    }
}
