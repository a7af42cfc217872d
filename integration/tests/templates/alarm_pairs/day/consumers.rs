//! What happens to ticks after the webhook, to the tables, and by schedules.

use std::collections::BTreeMap;

use aws::emf::STATES_SET_ASIDE;

use super::super::failure::Failure;
use super::super::redrive_queue::Polled;
use super::{Day, HOUR, SHARDS};
use crate::alarm_evaluator::MetricId;

/// An empty queue becomes active, and shows its metrics, up to 15 minutes after it gets a message.
const QUEUE_WAKES_AFTER_MINUTES: i64 = 15;

impl Day {
    /// Returns the records that redrive appends.
    pub(super) fn pass_redrive(&mut self, redriven: u64) -> u64 {
        self.redrive.send(self.minute, redriven);
        let refuses = self.fails(Failure::StreamRefuses) || self.fails(Failure::StreamForbidden);
        let polled = match () {
            () if self.fails(Failure::MappingStops("redrive")) => Polled::No,
            () if refuses || self.fails(Failure::FunctionFails("redrive")) => Polled::Failed,
            () => Polled::Done,
        };
        let mut received = self.redrive.poll(self.minute, polled);
        // A failure of the function shows when it has something to do.
        if self.fails(Failure::FunctionFails("redrive")) {
            received = received.max(1);
        }
        if received > 0 {
            // Nothing progressed, so the function returns an error.
            self.invoke("redrive", polled == Polled::Failed);
        }
        self.poll_source("redrive");
        self.redrive
            .measure(&mut self.metrics, "prices-redrive", self.minute);
        self.dead_letters("redrive-dlq");
        if polled == Polled::Done { received } else { 0 }
    }

    /// Lambda's pollers write a sample for each poll, 0 for an empty one, and none while a mapping does not poll.
    fn poll_source(&mut self, function: &'static str) {
        if !self.fails(Failure::MappingStops(function)) {
            let mapping = format!("import:prices-{function}-source");
            self.put(
                ("AWS/Lambda", "PolledEventCount"),
                ("EventSourceMappingUUID", &mapping),
                0.0,
            );
        }
    }

    /// A queue that nobody polls is active only for a while after it got a message.
    fn dead_letters(&mut self, queue: &'static str) {
        if self
            .failing_for(Failure::DeadLetters(queue))
            .is_some_and(|minutes| minutes >= QUEUE_WAKES_AFTER_MINUTES)
        {
            let name = format!("prices-{queue}");
            self.put(
                ("AWS/SQS", "ApproximateNumberOfMessagesVisible"),
                ("QueueName", &name),
                1.0,
            );
        }
    }

    /// Returns the records that arrived.
    pub(super) fn pass_stream(&mut self, offered: u64) -> u64 {
        let stream = ("StreamName", "prices-ticks");
        let capacity = SHARDS * 1_000 * 60;
        let arrived = match self.fails(Failure::StreamNearlyFull) {
            true => capacity * 95 / 100,
            false => offered,
        };
        if arrived > 0 {
            self.put(("AWS/Kinesis", "IncomingRecords"), stream, arrived as f64);
            self.put(
                ("AWS/Kinesis", "IncomingBytes"),
                stream,
                arrived as f64 * 312.0,
            );
        }
        let refused = self.fails(Failure::StreamRefuses);
        if refused || arrived > 0 {
            let refused = f64::from(u8::from(refused)) * 30.0;
            self.put(
                ("AWS/Kinesis", "WriteProvisionedThroughputExceeded"),
                stream,
                refused,
            );
        }
        let throttled = f64::from(u8::from(self.fails(Failure::TooManyReaders)));
        self.put(
            ("AWS/Kinesis", "ReadProvisionedThroughputExceeded"),
            stream,
            throttled,
        );
        arrived
    }

    pub(super) fn pass_analytics(&mut self, arrived: u64) {
        self.poll_source("analytics");
        self.dead_letters("analytics-failed");
        if self.minute % HOUR == 0 {
            // The hourly schedule, which goes on without the mapping.
            self.invoke("analytics", false);
        }
        if arrived == 0 || self.fails(Failure::MappingStops("analytics")) {
            return;
        }
        // One failure that its retry repairs.
        let once = self.clock() == 11 * HOUR;
        self.invoke(
            "analytics",
            once || self.fails(Failure::FunctionFails("analytics")),
        );
        let behind_minutes = self.failing_for(Failure::AnalyticsSlow).unwrap_or(0) as f64 / 2.0;
        self.lambda(
            "IteratorAge",
            "analytics",
            300.0 + behind_minutes * 60_000.0,
        );
        if self.fails(Failure::StateUnreadable) {
            self.analytics.add(STATES_SET_ASIDE, 1);
        }
        self.analytics.flush();
    }

    pub(super) fn pass_archive(&mut self, arrived: u64) {
        let archive = ("DeliveryStreamName", "prices-archive");
        if arrived == 0 || self.fails(Failure::FirehoseCannotRead) {
            return;
        }
        let firehose = |name| ("AWS/Firehose", name);
        self.put(
            firehose("DataReadFromKinesisStream.Records"),
            archive,
            arrived as f64,
        );
        // "The age of the oldest record in Firehose": a file is written each 5 minutes.
        let stuck = self.failing_for(Failure::FirehoseCannotWrite).unwrap_or(0);
        self.put(
            firehose("DeliveryToS3.DataFreshness"),
            archive,
            ((self.minute % 5 + stuck) * 60) as f64,
        );
        let unconverted = u64::from(self.fails(Failure::ConversionFails)) * arrived;
        self.put(
            firehose("FailedConversion.Records"),
            archive,
            unconverted as f64,
        );
        let exceeded = f64::from(u8::from(self.fails(Failure::TooManyPartitions)));
        self.put(firehose("PartitionCountExceeded"), archive, exceeded);
        if self.fails(Failure::PartitionQueryFails) {
            let group = ("LogGroupName", "/aws/kinesisfirehose/prices-archive");
            self.put(("AWS/Logs", "IncomingLogEvents"), group, 1.0);
        }
    }

    pub(super) fn pass_broadcast(&mut self, stored: u64) {
        self.poll_source("broadcast");
        self.dead_letters("broadcast-dlq");
        if stored == 0 {
            return;
        }
        let stopped = self.failing_for(Failure::MappingStops("broadcast"));
        let slow = self.failing_for(Failure::BroadcastSlow);
        // What is received three times moves to the DLQ, so the age has all messages.
        let age_minutes = stopped.or(slow).unwrap_or(0);
        let queue = ("QueueName", "prices-broadcast");
        self.put(
            ("AWS/SQS", "ApproximateAgeOfOldestMessage"),
            queue,
            (age_minutes * 60) as f64,
        );
        if stopped.is_none() {
            let once = self.clock() == 12 * HOUR;
            self.invoke(
                "broadcast",
                once || self.fails(Failure::FunctionFails("broadcast")),
            );
        }
    }

    /// DynamoDB writes these only when there is something to count.
    pub(super) fn pass_tables(&mut self) {
        for table in ["ticks", "analytics", "connections"] {
            let name = format!("prices-{table}");
            if self.fails(Failure::WritesThrottled(table)) {
                self.put(
                    ("AWS/DynamoDB", "WriteThrottleEvents"),
                    ("TableName", &name),
                    5.0,
                );
            }
            if self.fails(Failure::ReadsThrottled(table)) {
                self.put(
                    ("AWS/DynamoDB", "ReadThrottleEvents"),
                    ("TableName", &name),
                    5.0,
                );
            }
        }
        if self.fails(Failure::DynamoDbFails) {
            let dimensions = [
                ("TableName", "prices-ticks"),
                ("Operation", "BatchWriteItem"),
            ];
            let metric = MetricId::new("AWS/DynamoDB", "SystemErrors", &dimensions);
            self.metrics.put(metric, self.minute, 2.0);
        }
    }

    pub(super) fn pass_schedules(&mut self) {
        if !self.fails(Failure::ScalerStops) {
            self.invoke("scaler", self.fails(Failure::FunctionFails("scaler")));
            let shards = [("OpenShards", SHARDS)];
            self.scaler
                .write_counts(self.minute * 60_000, &shards, BTreeMap::new())
                .unwrap();
        }
        if self.clock() == 3 * HOUR && !self.fails(Failure::CompactionNotStarted) {
            self.invoke(
                "compaction",
                self.fails(Failure::FunctionFails("compaction")),
            );
        }
    }
}
