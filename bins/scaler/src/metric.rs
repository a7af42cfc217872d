//! The number of open shards as a metric, which the alarms and the next calls read.

use std::collections::BTreeMap;
use std::io::Write;

use aws::emf::{EmfWriter, OPEN_SHARDS};

/// Writes the number of open shards.
pub struct ShardMetric(EmfWriter);

impl ShardMetric {
    /// The metric of a function, written to `out`: in Lambda, standard output.
    #[must_use]
    pub fn new(out: impl Write + Send + 'static, function_name: impl Into<String>) -> Self {
        Self(EmfWriter::new(out, function_name))
    }

    /// Writes how many shards are open at a time in epoch milliseconds. A failure is only logged,
    /// since the shards are unaffected.
    pub fn write(&self, open: u32, now_ms: i64) {
        let counts = [(OPEN_SHARDS, u64::from(open))];
        if let Err(error) = self.0.write_counts(now_ms, &counts, BTreeMap::new()) {
            tracing::warn!(error = %error, open, "the metric of open shards was not written");
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use testkit::written::Written;

    use super::*;

    #[test]
    fn the_line_is_a_metric_that_the_alarms_read() {
        let output = Written::default();
        ShardMetric::new(output.clone(), "prices-scaler").write(4, 1_767_225_600_000);
        assert_eq!(
            output.json_lines(),
            [json!({
                "_aws": {
                    "Timestamp": 1_767_225_600_000_i64,
                    "CloudWatchMetrics": [{
                        "Namespace": "Tickstream",
                        "Dimensions": [["FunctionName"]],
                        "Metrics": [{"Name": "OpenShards"}],
                    }],
                },
                "FunctionName": "prices-scaler",
                "OpenShards": 4,
            })]
        );
    }
}
