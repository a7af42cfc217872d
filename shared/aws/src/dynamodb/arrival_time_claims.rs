//! Claims of arrival-stamped ticks, whose event time is that of our clock.
//!
//! If a source gives no event time, the same event delivered again would get another time, and
//! therefore another key. So its id is claimed first: the first delivery records its time, and
//! every later one looks for the tick under that time. After a crash between claim and store, the
//! sender's retry finds the claim.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::ReturnValue;
use domain::Tick;
use tokio::time::Instant;

use super::attributes::{EXPIRES_AT, ItemError, expires_at, number};
use super::tick_item::{CLAIMED_AT, claim_key, claimed_ms};
use crate::error::CallError;
use crate::retry::within;

/// The operation's name in errors.
pub(crate) const CLAIM: &str = "claim a tick";

/// Why a tick is not claimed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClaimError {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error(transparent)]
    Item(#[from] ItemError),
}

impl ClaimError {
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Call(error) => error.is_transient(),
            Self::Item(_) => false,
        }
    }
}

/// Claims a tick in one attempt, and returns the time under which it must be stored, in milliseconds:
/// its own if it is the first with its id.
pub(crate) async fn claim(
    client: &Client,
    table: &str,
    tick: &Tick,
    retention_days: u32,
    deadline: Instant,
) -> Result<i64, ClaimError> {
    // One call creates or finds the claim: existing values are kept and returned.
    let call = client
        .update_item()
        .table_name(table)
        .set_key(Some(claim_key(tick.tick_id)))
        .update_expression("SET #at = if_not_exists(#at, :at), #ttl = if_not_exists(#ttl, :ttl)")
        .expression_attribute_names("#at", CLAIMED_AT)
        .expression_attribute_names("#ttl", EXPIRES_AT)
        .expression_attribute_values(":at", number(tick.timestamp_ms))
        .expression_attribute_values(":ttl", expires_at(tick.ingested_at_ms, retention_days))
        .return_values(ReturnValue::AllNew)
        .send();
    let late = || CallError::Unanswered("the batch timed out".to_owned());
    let answer = within(deadline, call)
        .await
        .ok_or_else(late)?
        .map_err(|error| CallError::of(&error))?;
    let claim = answer.attributes.ok_or(ItemError::Attribute(CLAIMED_AT))?;
    Ok(claimed_ms(&claim)?)
}
