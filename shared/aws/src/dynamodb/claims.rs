//! Claims of ticks whose event time is our own clock.
//!
//! Where a source gives no event time, the same event delivered again would get another time, and
//! with it another key. So its id is claimed first: whoever comes first writes its time down, and
//! everybody after it stores the tick under that time. A crash between claim and store is healed
//! by the sender's retry, which finds the claim.

use app::ports::PortError;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::ReturnValue;
use domain::Tick;
use tokio::time::{Instant, timeout_at};

use super::attributes::{EXPIRES_AT, ItemError, expires_at, number};
use super::tick_item::{CLAIMED_AT, claim_key, claimed_ms};
use crate::error::CallError;

/// What the call is for, in errors.
const OPERATION: &str = "claim a tick";

/// Whether a tick's event time is our clock's: its source gave none.
pub(crate) fn is_clocked(tick: &Tick) -> bool {
    tick.timestamp_ms == tick.ingested_at_ms
}

/// Claims a tick and answers the time under which it is to be stored, in milliseconds: its own
/// where it is the first of its id.
pub(crate) async fn claim(
    client: &Client,
    table: &str,
    tick: &Tick,
    retention_days: u32,
    deadline: Instant,
) -> Result<i64, PortError> {
    // One call claims or finds: what is there stays, and is answered.
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
    let late = || CallError::Unanswered("the time for the batch is up".to_owned());
    let answer = timeout_at(deadline, call)
        .await
        .map_err(|_| late().at(OPERATION))?
        .map_err(|error| CallError::of(&error).at(OPERATION))?;
    answer
        .attributes
        .ok_or(ItemError::Attribute(CLAIMED_AT))
        .and_then(|claim| claimed_ms(&claim))
        .map_err(|error| error.at(OPERATION))
}
