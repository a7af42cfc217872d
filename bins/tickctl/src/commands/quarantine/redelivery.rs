//! Replays entries: a running tickstream does it itself; on AWS, they are delivered to the webhook again, and what
//! became of them is recorded in the bucket.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use app::pace::{at_once, wait_for_turn};
use app::ports::PortError;
use app::quarantine_review::{
    EntryDelivery, EntryOutcome, QUARANTINED_HEADER, QuarantineReview, ReplayRecord, ReviewedEntry,
    replay_entry,
};
use async_trait::async_trait;
use bytes::Bytes;
use clap::{Args, value_parser};
use domain::count_of;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, StatusCode, Uri};
use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;

use super::entry_text::{Summary, replayed_line};
use crate::client::{Answer, Transport, innermost_cause};
use crate::process::{BadInput, ProcessContext, print_line};
use crate::server_client::ServerClient;
use crate::target::{Secret, Target, parse_base};

/// The most entries of a request to a tickstream; at a lower rate, those of a second.
const IDS_PER_REQUEST: usize = 20;

/// The most bytes of a webhook's response that are read.
const RESPONSE_BYTES_MAX: usize = 1_024 * 1_024;

/// Where entries on AWS are delivered again.
#[derive(Debug, Args)]
pub(super) struct InboxOptions {
    /// With --bucket: the address of the webhook, without /webhooks.
    #[arg(long, value_name = "URL", value_parser = parse_base)]
    pub(super) into: Option<Uri>,
    /// With --into: a plain one of the webhook's WEBHOOK_SECRETS. Prefer the environment variable.
    #[arg(long, value_name = "SECRET", env = "TICKCTL_SECRET", hide_env_values = true, value_parser = Secret::read)]
    secret: Option<Secret>,
    /// With --into: seconds after which a delivery without a response fails.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = value_parser!(u64).range(1..=600))]
    delivery_timeout: u64,
}

impl InboxOptions {
    pub(super) fn open(&self) -> anyhow::Result<Box<Inbox>> {
        let Some(to) = self.into.clone() else {
            let rule = "entries on AWS are delivered to the webhook again: pass its address with --into URL, and a \
                        secret of its senders in TICKCTL_SECRET";
            return Err(BadInput(rule.to_owned()).into());
        };
        let target = Target {
            to: to.clone(),
            option: "--into",
            secret: self.secret.clone(),
            timeout: self.delivery_timeout,
        };
        Ok(Box::new(Inbox {
            transport: Transport::new(&to, 1)?,
            base: to.to_string().trim_end_matches('/').to_owned(),
            authorization: target.authorization()?,
            timeout: Duration::from_secs(self.delivery_timeout),
        }))
    }
}

/// A webhook that entries are delivered to again.
pub(super) struct Inbox {
    transport: Transport,
    base: String,
    authorization: Option<HeaderValue>,
    timeout: Duration,
}

/// Replays entries, and records what became of them.
pub(super) enum Replayer<'a> {
    Server(&'a ServerClient),
    Webhook {
        review: Arc<dyn QuarantineReview>,
        inbox: Box<Inbox>,
    },
}

/// What a tickstream says of one entry.
#[derive(Deserialize)]
struct Replayed {
    replayed: EntryOutcome,
}

#[derive(Deserialize)]
struct Outcomes {
    outcomes: Vec<Replayed>,
}

impl Replayer<'_> {
    /// Replays entries in their order. What was recorded before an error stays recorded.
    pub(super) async fn replay(
        &self,
        entries: &[ReviewedEntry],
        who: &str,
        per_second_max: u32,
        json: bool,
        process: &ProcessContext,
    ) -> anyhow::Result<Summary> {
        let mut summary = Summary::default();
        let started = Instant::now();
        let stopped = || process.stop.is_cancelled();
        for chunk in entries.chunks(at_once(per_second_max, IDS_PER_REQUEST)) {
            let done = summary.replayed;
            if wait_for_turn(started, done, per_second_max, &stopped)
                .await
                .is_err()
            {
                summary.stopped = true;
                break;
            }
            let outcomes = match self {
                Self::Server(server) => of_server(server, chunk, who).await?,
                Self::Webhook { review, inbox } => {
                    let now_ms = (process.now_ms)();
                    delivered_again(review.as_ref(), inbox.as_ref(), chunk, who, now_ms).await?
                }
            };
            for (entry, outcome) in chunk.iter().zip(outcomes) {
                summary.add(&outcome);
                print_line(&match json {
                    true => json!({"id": entry.id, "replayed": outcome}).to_string(),
                    false => replayed_line(entry, &outcome),
                })?;
            }
        }
        Ok(summary)
    }
}

async fn of_server(
    server: &ServerClient,
    entries: &[ReviewedEntry],
    who: &str,
) -> anyhow::Result<Vec<EntryOutcome>> {
    let ids: Vec<&str> = entries.iter().map(|entry| entry.id.as_str()).collect();
    let body = json!({"ids": ids, "who": who});
    let replayed = server.call(Method::POST, "/api/quarantine/replay", Some(&body));
    let replayed: Outcomes = replayed.await.map_err(|error| server.explain(error))?;
    if replayed.outcomes.len() != ids.len() {
        bail!(
            "the server named {} of {}",
            count_of(replayed.outcomes.len() as u64, "outcome"),
            count_of(ids.len() as u64, "entry")
        );
    }
    Ok(replayed
        .outcomes
        .into_iter()
        .map(|it| it.replayed)
        .collect())
}

/// Delivers entries one after the other, and records what became of them, also of those before a failure.
async fn delivered_again(
    review: &dyn QuarantineReview,
    inbox: &Inbox,
    entries: &[ReviewedEntry],
    who: &str,
    now_ms: i64,
) -> anyhow::Result<Vec<EntryOutcome>> {
    let mut outcomes = Vec::with_capacity(entries.len());
    let mut failed = None;
    for entry in entries {
        match replay_entry(inbox, &entry.kept).await {
            Ok(outcome) => outcomes.push(outcome),
            Err(error) => {
                failed = Some(error);
                break;
            }
        }
    }
    let records: Vec<_> = entries
        .iter()
        .zip(&outcomes)
        .map(|(entry, outcome)| {
            let record = ReplayRecord {
                at_ms: now_ms,
                who: who.to_owned(),
                outcome: outcome.clone(),
            };
            (entry.id.clone(), record)
        })
        .collect();
    if !records.is_empty() {
        let recorded = review.record(&records).await;
        recorded.context("what became of the entries could not be recorded")?;
    }
    match failed {
        None => Ok(outcomes),
        Some(error) => Err(anyhow::anyhow!("{}", error.source)).with_context(|| {
            format!(
                "an entry could not be delivered to {}; repeating the command is safe",
                inbox.base
            )
        }),
    }
}

#[async_trait]
impl EntryDelivery for Inbox {
    async fn deliver_again(&self, source: &str, raw: &str) -> Result<EntryOutcome, PortError> {
        let failed = |cause: String| PortError {
            operation: "deliver an entry again",
            retryable: true,
            source: cause.into(),
        };
        // A source that was misspelled in an address is in the quarantine as it was sent.
        if !source
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        {
            return Ok(EntryOutcome::NotReplayable {
                why: "it came from a source that cannot exist".to_owned(),
            });
        }
        let uri = format!("{}/webhooks/{source}", self.base);
        let uri: Uri = uri
            .parse()
            .map_err(|_| failed(format!("{uri} is not an address")))?;
        let mut request = Request::new(Full::new(Bytes::from(raw.to_owned())));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(QUARANTINED_HEADER, HeaderValue::from_static("1"));
        if let Some(authorization) = &self.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        let responding = async {
            let response = self.transport.request(request).await;
            let (head, body) = response
                .map_err(|error| innermost_cause(&error))?
                .into_parts();
            let read = Limited::new(body, RESPONSE_BYTES_MAX).collect().await;
            let bytes = read.map_err(|error| innermost_cause(&*error))?.to_bytes();
            Ok::<_, String>((head.status, bytes))
        };
        let answered = tokio::time::timeout(self.timeout, responding).await;
        let late = |_| failed(format!("no response within {} s", self.timeout.as_secs()));
        let (status, body) = answered.map_err(late)?.map_err(failed)?;
        outcome(status, &body).map_err(failed)
    }
}

/// What a webhook's response says of the entry.
fn outcome(status: StatusCode, body: &[u8]) -> Result<EntryOutcome, String> {
    #[derive(Deserialize, Default)]
    struct Problem {
        #[serde(default)]
        detail: String,
        #[serde(default)]
        reason: String,
    }
    if status == StatusCode::OK {
        let answer: Answer = serde_json::from_slice(body)
            .map_err(|error| format!("the response is not from a tickstream: {error}"))?;
        // A release without the header answers so.
        return Ok(match answer.errors.first() {
            Some(error) if answer.stored + answer.duplicate == 0 => EntryOutcome::StillMalformed {
                reason: error.reason.clone(),
                message: error.message.clone(),
            },
            _ if answer.stored > 0 => EntryOutcome::Stored {
                ticks: answer.stored,
            },
            _ if answer.duplicate > 0 => EntryOutcome::Duplicate {
                ticks: answer.duplicate,
            },
            _ => EntryOutcome::Ignored {
                what: "not a price".to_owned(),
            },
        });
    }
    let problem: Problem = serde_json::from_slice(body).unwrap_or_default();
    if matches!(status, StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND)
        && !problem.reason.is_empty()
    {
        return Ok(EntryOutcome::StillMalformed {
            reason: problem.reason,
            message: problem.detail,
        });
    }
    let hint = match status {
        StatusCode::UNAUTHORIZED => "; set TICKCTL_SECRET to one of its plain WEBHOOK_SECRETS",
        _ => "",
    };
    let detail: String = problem.detail.chars().filter(|c| !c.is_control()).collect();
    Err(format!(
        "the webhook responded with {status}: {detail}{hint}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(status: u16, body: serde_json::Value, expected: Result<EntryOutcome, &str>) {
        let seen = outcome(
            StatusCode::from_u16(status).unwrap(),
            body.to_string().as_bytes(),
        );
        match (seen, expected) {
            (Ok(seen), Ok(expected)) => assert_eq!(seen, expected, "{body}"),
            (Err(seen), Err(expected)) => assert!(seen.contains(expected), "{seen}"),
            (seen, expected) => panic!("{seen:?}, not {expected:?}"),
        }
    }

    #[test]
    fn responses_are_outcomes_or_failures() {
        let answer = |stored: u64, duplicate: u64| json!({"received": 1, "stored": stored, "duplicate": duplicate});
        check(200, answer(1, 0), Ok(EntryOutcome::Stored { ticks: 1 }));
        check(200, answer(0, 1), Ok(EntryOutcome::Duplicate { ticks: 1 }));
        let nothing = EntryOutcome::Ignored {
            what: "not a price".to_owned(),
        };
        check(200, answer(0, 0), Ok(nothing));
        let malformed = || {
            Ok(EntryOutcome::StillMalformed {
                reason: "invalid_price".to_owned(),
                message: "no".to_owned(),
            })
        };
        let mut rejected = answer(0, 0);
        rejected["errors"] = json!([{"index": 0, "reason": "invalid_price", "message": "no"}]);
        check(200, rejected, malformed());
        check(
            400,
            json!({"detail": "no", "reason": "invalid_price"}),
            malformed(),
        );
        check(
            401,
            json!({"detail": "who?", "reason": "unauthorized"}),
            Err("TICKCTL_SECRET"),
        );
        check(503, json!({"detail": "later"}), Err("later"));
        check(404, json!({"message": "Not Found"}), Err("404"));
        check(200, json!([]), Err("not from a tickstream"));
    }
}
