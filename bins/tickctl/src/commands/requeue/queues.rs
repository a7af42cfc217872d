//! The DLQs of a project on AWS, and where their messages go.

use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use app::ports::PortError;
use app::requeue::{
    DeadLetters as _, LetterAction, LetterDestination, LetterFilter, LetterKind, RequeueReport,
    requeue,
};
use app::requeue_batches::StreamAgain;
use aws::kinesis::KinesisStream;
use aws::kinesis::shard_log::KinesisLog;
use aws::sqs::dead_letters::{SourceQueue, SqsDeadLetters, queue_url};
use domain::count_of;

use super::report_text::{count_text, json, text};
use super::{Kind, Queue, RequeueArgs};
use crate::moment::{Moment, range_ms};
use crate::process::{ProcessContext, print_line};

/// How long a destination may take to accept a few letters, with retries.
const ACCEPT_WITHIN: Duration = Duration::from_secs(20);

/// Older letters of the broadcast queue are left alone unless they are asked for: the queue itself keeps prices no
/// longer.
const BROADCAST_MS: i64 = 60 * 60 * 1_000;

impl Queue {
    pub(super) const ALL: [Self; 3] = [Self::Broadcast, Self::Redrive, Self::Analytics];

    /// Its DLQ, without the project.
    pub(super) fn dlq(self) -> &'static str {
        match self {
            Self::Broadcast => "broadcast-dlq",
            Self::Redrive => "redrive-dlq",
            Self::Analytics => "analytics-failed",
        }
    }

    /// Where they go.
    pub(super) fn destination(self) -> &'static str {
        match self {
            Self::Broadcast => "broadcast",
            Self::Redrive => "redrive",
            Self::Analytics => "ticks",
        }
    }
}

impl From<Kind> for LetterKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Tick => Self::Tick,
            Kind::Results => Self::Results,
            Kind::FailedBatch => Self::FailedBatch,
            Kind::Unreadable => Self::Unreadable,
        }
    }
}

/// The letters that the options select.
fn filter(queue: Queue, args: &RequeueArgs, now_ms: i64) -> anyhow::Result<LetterFilter> {
    let from = match (args.from, queue) {
        (Some(from), _) => from,
        (None, Queue::Broadcast) => Moment::Ago(BROADCAST_MS),
        (None, Queue::Redrive | Queue::Analytics) => Moment::At(0),
    };
    let (from_ms, to_ms) = range_ms(from, args.to, now_ms)?;
    Ok(LetterFilter {
        from_ms,
        to_ms,
        kind: args.kind.map(LetterKind::from),
        reason: args.reason.clone(),
    })
}

pub(super) async fn run(
    project: &str,
    args: &RequeueArgs,
    process: &ProcessContext,
) -> anyhow::Result<()> {
    let now_ms = (process.now_ms)();
    let config = aws::client::config(aws::client::BATCH).await;
    aws::client::check(&config).await?;
    let queues = aws::clients::sqs(&config);
    let Some(queue) = args.queue else {
        for queue in Queue::ALL {
            let name = format!("{project}-{}", queue.dlq());
            let url = queue_url(&queues, &name)
                .await
                .map_err(|it| named(it, &name))?;
            let letters = SqsDeadLetters::new(&queues, url);
            let count = letters.count().await.map_err(|it| named(it, &name))?;
            print_line(&count_text(queue, &name, count, args.json))?;
        }
        return Ok(());
    };
    let filter = filter(queue, args, now_ms)?;
    let name = format!("{project}-{}", queue.dlq());
    let url = queue_url(&queues, &name)
        .await
        .map_err(|it| named(it, &name))?;
    let letters = SqsDeadLetters::new(&queues, url);
    let destination: Option<Box<dyn LetterDestination>> = match (args.apply, queue) {
        (false, _) => None,
        (true, Queue::Analytics) => {
            let streams = aws::clients::kinesis(&config);
            let stream = format!("{project}-ticks");
            Some(Box::new(StreamAgain {
                range: Arc::new(KinesisLog::new(&streams, &*stream)),
                stream: Arc::new(KinesisStream::new(&streams, stream, ACCEPT_WITHIN)),
            }))
        }
        (true, Queue::Broadcast | Queue::Redrive) => {
            let source = format!("{project}-{}", queue.destination());
            let url = queue_url(&queues, &source)
                .await
                .map_err(|it| named(it, &source))?;
            Some(Box::new(SourceQueue::new(&queues, url, ACCEPT_WITHIN)))
        }
    };
    let action = match &destination {
        None => LetterAction::Show,
        Some(to) => LetterAction::Send {
            to: to.as_ref(),
            per_second_max: args.rate,
        },
    };
    let stop = process.stop.clone();
    let stopped = move || stop.is_cancelled();
    let (report, done) = requeue(&letters, &filter, args.limit, action, &stopped).await;
    print_line(&match args.json {
        true => json(queue, &report).to_string(),
        false => text(queue, &name, &report, args),
    })?;
    done.map_err(|error| named(error, &name))?;
    failure(&report)
}

fn failure(report: &RequeueReport) -> anyhow::Result<()> {
    if report.stopped {
        bail!("stopped; messages that were not sent are in the queue");
    }
    let refused: u64 = report.refused.values().sum();
    if refused > 0 {
        bail!(
            "not accepted, and still in the queue: {}",
            count_of(refused, "message")
        );
    }
    Ok(())
}

fn named(error: PortError, queue: &str) -> anyhow::Error {
    anyhow::Error::new(error).context(queue.to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    const NOW_MS: i64 = 1_767_312_000_000;

    fn args(options: &[&str]) -> RequeueArgs {
        let cli = Cli::try_parse_from([&["tickctl", "requeue"], options].concat()).unwrap();
        let Command::Requeue(args) = cli.command else {
            panic!("{options:?} is another command");
        };
        args
    }

    #[test]
    fn old_prices_are_only_broadcast_if_they_are_asked_for() {
        let from = |queue, options: &[&str]| filter(queue, &args(options), NOW_MS).unwrap().from_ms;
        assert_eq!(
            from(Queue::Broadcast, &["broadcast"]),
            NOW_MS - BROADCAST_MS
        );
        assert_eq!(
            from(Queue::Broadcast, &["broadcast", "--from", "1d"]),
            NOW_MS - 86_400_000
        );
        assert_eq!(from(Queue::Redrive, &["redrive"]), 0);
        let reversed = filter(
            Queue::Redrive,
            &args(&["--from", "1h", "--to", "2h"]),
            NOW_MS,
        );
        assert!(reversed.is_err());
    }

    #[test]
    fn only_a_named_queue_is_changed() {
        let refused = Cli::try_parse_from(["tickctl", "requeue", "--apply"]).unwrap_err();
        assert!(refused.to_string().contains("QUEUE"), "{refused}");
    }
}
