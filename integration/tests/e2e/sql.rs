//! The real `ticksql` on the emulator: its Athena takes no parameters and keeps no views, and both are written into the
//! statement. What statements mean, `engine.rs` shows.

pub(crate) mod analyst;
pub(crate) mod files;

use testkit::golden;

use crate::flow::at_full;
use crate::operator::doctor_and_status_look_at_it;
use analyst::Analyst;
use files::Bucket;

#[tokio::test(flavor = "multi_thread")]
async fn statements_run_on_the_emulator() {
    let project = at_full().await;
    let analyst = Analyst::of(project.emulator, &project.name, &project.name);

    // From a deployed project to a result: `ticksql init`, `ticksql run`.
    let created = analyst.run(&["init"]).await.ok_status();
    for line in [
        format!("{}: exists", project.name),
        "price_archive: exists".to_owned(),
        "quarantine: created".to_owned(),
        "anomalies: created".to_owned(),
    ] {
        assert!(created.contains(&line), "{line} in\n{created}");
    }
    let again = analyst.run(&["init"]).await.ok_status();
    assert!(again.contains("quarantine: exists"), "{again}");
    assert!(!again.contains(": created"), "{again}");
    assert!(!again.contains("lacks"), "{again}");

    let bucket = Bucket::of(&project).await;
    bucket.put_archived(&golden::ranges()).await;
    views_are_added_to_the_statement(&analyst).await;
    values_cannot_inject_sql(&analyst).await;
    estimates_use_the_bucket(&analyst).await;
    errors_say_what_to_do(&analyst).await;
    a_query_over_its_timeout_is_stopped(&analyst).await;
    doctor_and_status_look_at_it(&project).await;
}

const TWO_DAYS: [&str; 4] = ["-p", "from=2026-03-30", "-p", "to=2026-04-01"];

const THREE_DAYS: [&str; 4] = ["-p", "from=2026-03-30", "-p", "to=2026-04-02"];

async fn views_are_added_to_the_statement(analyst: &Analyst) {
    let query = "SELECT min(\"timestamp\") AS first FROM price_history WHERE :days";
    let (_, rows) = analyst.ask(query, &TWO_DAYS).await.csv();
    assert_eq!(rows, [[Some("1774828801234".to_owned())]]);
}

/// A value cannot inject SQL.
async fn values_cannot_inject_sql(analyst: &Analyst) {
    let query = "SELECT count(*) AS n FROM price_archive WHERE :days AND token = :t";
    for (value, count) in [
        ("t=ETH", "35"),
        ("t=x' OR '1'='1", "0"),
        ("t=x'; SELECT 1 --", "0"),
    ] {
        let mut more = THREE_DAYS.to_vec();
        more.extend(["-p", value]);
        let (_, rows) = analyst.ask(query, &more).await.csv();
        assert_eq!(rows, [[Some(count.to_owned())]], "{value}");
    }
}

async fn estimates_use_the_bucket(analyst: &Analyst) {
    let query = "SELECT price FROM price_archive WHERE :days";
    let mut arguments = vec!["explain", query];
    arguments.extend(TWO_DAYS);
    let output = analyst.run(&arguments).await;
    let text = format!("{}{}", output.out, output.err);
    assert_eq!(output.code, 0, "{text}");
    for part in ["2026-03-30", "2026-03-31"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(!text.contains("2026-04-01"), "{text}");

    let mut small = TWO_DAYS.to_vec();
    small.extend(["--max-scan", "1kB"]);
    let refused = analyst.ask(query, &small).await;
    assert_eq!(refused.code, 3, "{refused:?}");
    let whole = analyst.ask("SELECT price FROM price_archive", &[]).await;
    assert_eq!(whole.code, 3, "{whole:?}");
}

async fn errors_say_what_to_do(analyst: &Analyst) {
    let check = async |query: &str, more: &[&str], code: i32, part: &str| {
        let output = analyst.ask(query, more).await;
        assert_eq!(output.code, code, "{query}: {output:?}");
        assert!(output.err.contains(part), "{part} in {output:?}");
        assert!(output.out.is_empty(), "{output:?}");
    };
    let day = "year = 2026 AND month = 3 AND day = 30";
    let failing = format!("SELECT CAST(token AS bigint) FROM price_archive WHERE {day}");
    check(&failing, &[], 1, "the query failed").await;
    check("SELECT 1 FROM nothing", &[], 1, "nothing").await;
    check("SELECT 1 FROM", &[], 1, "syntax").await;
    let one = "SELECT 1 AS one";
    check(one, &["--workgroup", "nobody"], 2, "ticksql init").await;
    let archive = format!("SELECT 1 FROM price_archive WHERE {day}");
    check(&archive, &["--database", "nowhere"], 2, "ticksql init").await;

    let bare = analyst.without(&["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]);
    let output = bare.ask(one, &[]).await;
    assert_eq!(output.code, 2, "{output:?}");
    assert!(output.err.contains("no AWS credentials"), "{output:?}");
    let nowhere = analyst.without(&["AWS_REGION", "AWS_DEFAULT_REGION"]);
    let output = nowhere.ask(one, &[]).await;
    assert_eq!(output.code, 2, "{output:?}");
    assert!(output.err.contains("AWS_REGION"), "{output:?}");

    let output = analyst.run(&["cancel", "no-such-query"]).await;
    assert_eq!(output.code, 2, "{output:?}");
    assert!(output.err.contains("no-such-query"), "{output:?}");
}

async fn a_query_over_its_timeout_is_stopped(analyst: &Analyst) {
    // It takes far longer than its timeout of a second: 390 ticks give 2.4 billion combinations.
    let query = "SELECT sum(ln(a.price * b.price * c.price * d.price)) AS s FROM price_archive a \
                 CROSS JOIN price_archive b CROSS JOIN price_archive c \
                 CROSS JOIN (SELECT price FROM price_archive LIMIT 40) d";
    let output = analyst.ask(query, &["--full-scan", "--timeout", "1"]).await;
    assert_eq!(output.code, 4, "{output:?}");
    assert!(output.err.contains("is cancelled"), "{output:?}");
    let past = analyst.run(&["history", "--count", "500"]).await.ok();
    assert!(
        past.contains("succeeded") && past.contains("failed"),
        "{past}"
    );
}
