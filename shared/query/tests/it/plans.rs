//! The plan that runs is the plan that EXPLAIN shows.

use testkit::market::market;

use crate::answer::{archive_of, open, rows};

#[tokio::test]
async fn explain_shows_the_plan_that_runs() {
    let data = archive_of(&market(30));
    let sql = open(data.path()).await;
    let check = async |query: &str, above: &str, below: &str| {
        let plan = rows(&sql, &format!("EXPLAIN {query}")).await.to_string();
        let position = |operator: &str| plan.find(operator);
        assert!(position(above).is_some(), "{query}: no {above} in {plan}");
        assert!(position(above) < position(below), "{query}: {plan}");
        rows(&sql, query).await
    };
    // Texts are compact before a sort, and a join yields.
    let sorted = "SELECT token, price FROM ticks ORDER BY token, price";
    check(sorted, "SortExec", "CompactStringViewsExec").await;
    let joined = "SELECT sum(a.price * b.price) FROM ticks a CROSS JOIN ticks b";
    check(joined, "CooperativeExec", "CrossJoinExec").await;
    // A call becomes the engine's own function, ordered by each field of a row by itself.
    let by_row = "SELECT token, max_by(price, ROW(ts, coalesce(sequence, -1), tick_id)) \
                  FROM ticks GROUP BY token";
    check(
        by_row,
        "first_value(ticks.price) ORDER BY [present(ticks.ts) DESC NULLS LAST, \
         CASE WHEN ticks.sequence IS NOT NULL THEN ticks.sequence ELSE Int64(-1) END DESC NULLS LAST, \
         present(ticks.tick_id) DESC",
        "price_archive",
    )
    .await;
}

/// A filter that the files' statistics imply is not evaluated, and its column is not read.
#[tokio::test]
async fn a_filter_that_statistics_imply_is_not_in_the_plan() {
    let data = archive_of(&market(30));
    let sql = open(data.path()).await;
    let plan = async |condition: &str| {
        let query = format!("EXPLAIN SELECT sum(price) FROM price_archive WHERE {condition}");
        let rows = rows(&sql, &query).await;
        rows[1]["plan"].as_str().unwrap().to_owned()
    };
    let implied = plan("year = 2026 AND ts >= 0").await;
    assert!(!implied.contains("ts@"), "{implied}");
    let evaluated = plan("year = 2026 AND ts >= 1772841605000").await;
    assert!(evaluated.contains("ts@"), "{evaluated}");
}
