//! Ledger counters as metrics (EMF).

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use app::ledger::LedgerEntry;
use app::ports::{Clock, LedgerWriter};
use aws::emf::{EmfLedger, InvocationMetrics, METRICS};
use domain::Reason;
use serde_json::{Value, json};

struct Fixed;

impl Clock for Fixed {
    fn now_ms(&self) -> i64 {
        1_767_225_600_000
    }
}

#[derive(Clone, Default)]
struct Output(Arc<Mutex<Vec<u8>>>);

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Full;

impl Write for Full {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::StorageFull.into())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn entry() -> LedgerEntry {
    LedgerEntry {
        received: 12,
        stored: 6,
        duplicate: 2,
        rejected_by_reason: BTreeMap::from([(Reason::InvalidPrice, 2), (Reason::MissingField, 1)]),
        ignored: 1,
        in_cohort: 5,
        streamed: 3,
        redriven: 1,
    }
}

#[tokio::test]
async fn a_delivery_is_one_line_whose_counts_balance() {
    let output = Output::default();
    let ledger = EmfLedger::new(output.clone(), Arc::new(Fixed), "prices-webhook");
    ledger.commit(None, entry()).await.unwrap();
    let one = LedgerEntry {
        received: 1,
        stored: 1,
        ..LedgerEntry::default()
    };
    ledger.commit(None, one).await.unwrap();
    let text = String::from_utf8(output.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 2);

    let line = &lines[0];
    let count = |name: &str| line[name].as_u64().unwrap();
    assert_eq!(
        count("Received"),
        count("Stored") + count("Duplicate") + count("Rejected") + count("Ignored")
    );
    assert_eq!(
        5,
        count("Streamed") + count("Redriven") + count("Pending"),
        "the cohort"
    );
    assert_eq!(
        (count("Received"), count("Rejected"), count("Pending")),
        (12, 3, 1)
    );
    assert_eq!(line["FunctionName"], "prices-webhook");
    assert_eq!(
        line["RejectedByReason"],
        json!({"invalid_price": 2, "missing_field": 1})
    );

    let metadata = &line["_aws"];
    assert_eq!(metadata["Timestamp"], 1_767_225_600_000_i64);
    let directive = &metadata["CloudWatchMetrics"][0];
    assert_eq!(directive["Namespace"], "Tickstream");
    assert_eq!(directive["Dimensions"], json!([["FunctionName"]]));
    let declared = directive["Metrics"].as_array().unwrap();
    assert_eq!(declared.len(), METRICS.len());
    for metric in declared {
        assert!(line[metric["Name"].as_str().unwrap()].is_u64(), "{metric}");
    }

    // What is 0 is left out.
    let line = lines[1].as_object().unwrap();
    let names: Vec<&str> = line.keys().map(String::as_str).collect();
    assert_eq!(names, ["FunctionName", "Received", "Stored", "_aws"]);
    assert_eq!(
        line["_aws"]["CloudWatchMetrics"][0]["Metrics"],
        json!([{"Name": "Received"}, {"Name": "Stored"}])
    );
}

#[test]
fn an_invocation_is_one_line_with_what_was_counted() {
    let output = Output::default();
    let metrics = InvocationMetrics::new(output.clone(), Arc::new(Fixed), "prices-analytics");
    metrics.flush();
    metrics.add("FailedItems", 0);
    metrics.flush();
    assert!(output.0.lock().unwrap().is_empty(), "nothing was counted");
    metrics.add("LateTicks", 2);
    metrics.add("FailedItems", 3);
    metrics.add("LateTicks", 1);
    metrics.flush();
    metrics.flush();
    let text = String::from_utf8(output.0.lock().unwrap().clone()).unwrap();
    let line: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (&line["FailedItems"], &line["LateTicks"]),
        (&json!(3), &json!(3))
    );
}

#[tokio::test]
async fn a_delivery_does_not_fail_if_its_metrics_cannot_be_written() {
    let ledger = EmfLedger::new(Full, Arc::new(Fixed), "prices-webhook");
    assert!(ledger.commit(None, entry()).await.is_ok());
}
