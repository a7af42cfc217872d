//! A queue with the metrics that SQS documents: "Available CloudWatch metrics for Amazon SQS"
//! (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html>).

use crate::alarm_evaluator::{MetricId, Metrics};

/// `VisibilityTimeout` of the template, 190 s, in whole minutes.
const HIDDEN_MINUTES: i64 = 4;

/// `ApproximateAgeOfOldestMessage` leaves out messages that were received so often and are still there.
const LEFT_OUT_AFTER_RECEIVES: u32 = 3;

struct Message {
    sent: i64,
    receives: u32,
    hidden_until: i64,
}

/// A queue that Lambda polls.
#[derive(Default)]
pub(super) struct RedriveQueue(Vec<Message>);

/// What Lambda does with the visible messages of a minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Polled {
    /// All are done.
    Done,
    /// All fail, and are hidden for a while.
    Failed,
    /// Nobody polls.
    No,
}

impl RedriveQueue {
    pub(super) fn send(&mut self, minute: i64, count: u64) {
        for _ in 0..count {
            self.0.push(Message {
                sent: minute,
                receives: 0,
                hidden_until: minute,
            });
        }
    }

    /// How many messages were received.
    pub(super) fn poll(&mut self, minute: i64, polled: Polled) -> u64 {
        let visible = |message: &Message| message.hidden_until <= minute;
        let received = self.0.iter().filter(|message| visible(message)).count() as u64;
        match polled {
            Polled::No => return 0,
            Polled::Done => self.0.retain(|message| !visible(message)),
            Polled::Failed => {
                for message in self
                    .0
                    .iter_mut()
                    .filter(|message| message.hidden_until <= minute)
                {
                    message.receives += 1;
                    message.hidden_until = minute + HIDDEN_MINUTES;
                }
            }
        }
        received
    }

    /// The metrics at the end of a minute. The queue is active, since messages are sent or Lambda polls.
    pub(super) fn measure(&self, metrics: &mut Metrics, queue: &str, minute: i64) {
        let metric = |name| MetricId::new("AWS/SQS", name, &[("QueueName", queue)]);
        let hidden = self
            .0
            .iter()
            .filter(|message| message.hidden_until > minute)
            .count();
        let visible = self.0.len() - hidden;
        metrics.put(
            metric("ApproximateNumberOfMessagesVisible"),
            minute,
            visible as f64,
        );
        if hidden > 0 {
            metrics.put(
                metric("ApproximateNumberOfMessagesNotVisible"),
                minute,
                hidden as f64,
            );
        }
        let counted = self
            .0
            .iter()
            .filter(|message| message.receives < LEFT_OUT_AFTER_RECEIVES);
        if let Some(oldest) = counted.map(|message| message.sent).min() {
            let age_s = (minute - oldest) * 60;
            metrics.put(
                metric("ApproximateAgeOfOldestMessage"),
                minute,
                age_s as f64,
            );
        }
    }
}

/// Why the alarm on waiting ticks does not use the age.
#[test]
fn the_age_says_nothing_of_messages_that_keep_failing() {
    let (mut queue, mut metrics) = (RedriveQueue::default(), Metrics::default());
    for minute in 0..300 {
        queue.send(minute, 2);
        queue.poll(minute, Polled::Failed);
        queue.measure(&mut metrics, "q", minute);
    }
    let most = |name| {
        let metric = MetricId::new("AWS/SQS", name, &[("QueueName", "q")]);
        metrics.value(&metric, "Maximum", 0..300)
    };
    assert!(most("ApproximateAgeOfOldestMessage") < Some(900.0));
    assert_eq!(most("ApproximateNumberOfMessagesNotVisible"), Some(600.0));
}
