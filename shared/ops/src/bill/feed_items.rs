//! The live feed: the queue of ticks and results, the function, and the connections.

use super::flow::{
    Flow, GIB, KIB, SECONDS_PER_MONTH, batches_per_second, different, gb_seconds, ratio, steps,
};
use super::item::{Item, Part};
use super::load::Load;
use super::prices::Prices;
use super::units::{
    BROADCAST_MEMORY_MB, BROADCAST_MS, CONNECTION_ITEM_BYTES, FRAME_BYTES_PER_PAIR,
    MESSAGES_PER_REQUEST, POST_MS, POSTS_AT_ONCE, RECORD_BYTES, RESULT_BYTES_PER_PAIR,
    RESULT_MESSAGES_PER_BATCH,
};

/// A request to a queue is billed for each so many bytes that it begins.
const QUEUE_REQUEST_BYTES: f64 = 64.0 * KIB;

/// Lambda polls a queue with five pollers, each with batches of its own, also while there is nothing in it.
const POLLERS: f64 = 5.0;

/// How long a poll waits for messages.
const POLL_SECONDS: f64 = 20.0;

/// The broadcast queue, and the redrive queue, which is empty.
const QUEUES: f64 = 2.0;

/// API Gateway bills a message for each so many bytes that it begins.
const FRAME_STEP: f64 = 32.0 * KIB;

/// The largest message.
const FRAME_BYTES_MAX: f64 = 128.0 * KIB;

const READ_UNIT_BYTES: f64 = 4.0 * KIB;

/// A read that is not consistent costs a half.
const READ_UNITS_PER_QUERY: f64 = 0.5;

pub(super) fn items(load: &Load, flow: &Flow, prices: &Prices) -> Vec<Item> {
    let item = |name, quantity, price| Item::new(Part::Feed, name, quantity, price);
    let pairs = different(load.tokens, flow.records_per_batch);
    let result_bytes = pairs * RESULT_BYTES_PER_PAIR;
    let result_requests = flow.shard_batches * steps(result_bytes, QUEUE_REQUEST_BYTES);
    let per_delivery = (load.batch / MESSAGES_PER_REQUEST).floor();
    let of_rest = load.batch - per_delivery * MESSAGES_PER_REQUEST;
    let ticks = per_delivery + if of_rest > 0.0 { 1.0 } else { 0.0 };
    let sent = flow.deliveries * ticks + result_requests;
    let tick_requests = flow.ticks / MESSAGES_PER_REQUEST;
    let idle = POLLERS * SECONDS_PER_MONTH / POLL_SECONDS;
    let received = (tick_requests + result_requests).max(idle) + idle * (QUEUES - 1.0);
    let deleted =
        tick_requests + flow.shard_batches * RESULT_MESSAGES_PER_BATCH / MESSAGES_PER_REQUEST;

    let messages = flow.ticks + flow.shard_batches * RESULT_MESSAGES_PER_BATCH;
    let per_poller = messages / SECONDS_PER_MONTH / POLLERS;
    let batches = batches_per_second(per_poller) * POLLERS * SECONDS_PER_MONTH;
    let frames = Frames::of(load, flow, batches);
    let queries = if load.watchers > 0.0 {
        batches * steps(load.watchers * CONNECTION_ITEM_BYTES, READ_UNIT_BYTES)
    } else {
        batches.min(POLLERS * SECONDS_PER_MONTH)
    };
    let posts = frames.messages * load.watchers;
    let ms = BROADCAST_MS + steps(ratio(posts, batches), POSTS_AT_ONCE) * POST_MS;
    let ms = load.broadcast_ms.unwrap_or(ms);
    vec![
        item("SQS, sent", sent, &prices.sqs_requests),
        item("SQS, received", received, &prices.sqs_requests),
        item("SQS, deleted", deleted, &prices.sqs_requests),
        item("Lambda requests", batches, &prices.lambda_requests),
        item(
            "Lambda time",
            gb_seconds(batches, ms, BROADCAST_MEMORY_MB),
            &prices.lambda_gb_seconds,
        ),
        item(
            "DynamoDB reads",
            queries * READ_UNITS_PER_QUERY,
            &prices.dynamodb_reads,
        ),
        item(
            "WebSocket messages",
            frames.units * load.watchers,
            &prices.websocket_messages,
        ),
        item(
            "WebSocket connections",
            load.watchers * SECONDS_PER_MONTH / 60.0,
            &prices.websocket_minutes,
        ),
        item(
            "data to watchers",
            frames.bytes * load.watchers / GIB,
            &prices.data_transfer_out,
        ),
    ]
}

/// What one watcher gets in a month.
struct Frames {
    messages: f64,
    units: f64,
    bytes: f64,
}

impl Frames {
    fn of(load: &Load, flow: &Flow, batches: f64) -> Self {
        let watched = load.watched_tokens.unwrap_or(load.tokens);
        let ticks = ratio(flow.ticks * watched / load.tokens, batches);
        // With results for the ticks that are in the stream.
        let bytes_per_pair =
            RECORD_BYTES + (FRAME_BYTES_PER_PAIR - RECORD_BYTES) * load.percent / 100.0;
        let bytes = different(watched, ticks) * bytes_per_pair;
        // A batch without a tick of a watched token is not sent.
        let filled = batches * (1.0 - (-ticks).exp());
        let of_filled = ratio(bytes * batches, filled);
        Self {
            messages: filled * steps(of_filled, FRAME_BYTES_MAX),
            units: filled * steps(of_filled, FRAME_STEP),
            bytes: batches * bytes,
        }
    }
}
