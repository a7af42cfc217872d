//! The number of open shards as a metric, in CloudWatch's embedded metric format: a line of the
//! function's log, without a call.

use std::io::Write;
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

/// The namespace, dimension and name that the alarms read.
const NAMESPACE: &str = "Tickstream";
const DIMENSION: &str = "FunctionName";
const NAME: &str = "OpenShards";

/// Tells the number of open shards.
pub struct ShardMetric {
    out: Mutex<Box<dyn Write + Send>>,
    function_name: String,
}

impl ShardMetric {
    /// Told under the function's name and written to `out`: in Lambda, standard output.
    #[must_use]
    pub fn new(out: impl Write + Send + 'static, function_name: impl Into<String>) -> Self {
        Self {
            out: Mutex::new(Box::new(out)),
            function_name: function_name.into(),
        }
    }

    /// Tells how many are open at a time in epoch milliseconds. A failure is logged: the shards
    /// are as they are.
    pub fn tell(&self, open: u32, now_ms: i64) {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        let written =
            writeln!(out, "{}", line(open, now_ms, &self.function_name)).and_then(|()| out.flush());
        if let Err(error) = written {
            tracing::warn!(error = %error, open, "the number of open shards was not told");
        }
    }
}

fn line(open: u32, now_ms: i64, function_name: &str) -> Value {
    json!({
        "_aws": {
            "Timestamp": now_ms,
            "CloudWatchMetrics": [{
                "Namespace": NAMESPACE,
                "Dimensions": [[DIMENSION]],
                "Metrics": [{"Name": NAME, "Unit": "Count"}],
            }],
        },
        DIMENSION: function_name,
        NAME: open,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_a_metric_that_the_alarms_read() {
        assert_eq!(
            line(4, 1_767_225_600_000, "prices-scaler"),
            json!({
                "_aws": {
                    "Timestamp": 1_767_225_600_000_i64,
                    "CloudWatchMetrics": [{
                        "Namespace": "Tickstream",
                        "Dimensions": [["FunctionName"]],
                        "Metrics": [{"Name": "OpenShards", "Unit": "Count"}],
                    }],
                },
                "FunctionName": "prices-scaler",
                "OpenShards": 4,
            })
        );
    }
}
