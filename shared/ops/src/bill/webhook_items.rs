//! Deliveries and the table of ticks.

use super::flow::{DAYS_PER_MONTH, Flow, GIB, KIB, SECONDS_PER_MONTH, gb_seconds, steps};
use super::item::{Item, Part};
use super::load::Load;
use super::prices::Prices;
use super::units::{
    BODY_BYTES_PER_TICK, INDEX_BYTES_PER_ITEM, INSTANCES_PER_DAY, LOG_BYTES_PER_DELIVERY,
    LOGS_COMPRESSED_TO, LOGS_KEPT_MONTHS, READ_UNITS_PER_LISTED_TOKEN, READ_UNITS_PER_TICK,
    RESPONSE_BYTES, TICK_ITEM_BYTES, WEBHOOK_MS, WEBHOOK_MS_PER_TICK, WRITE_UNITS_PER_TICK,
};

/// API Gateway bills a request for each so many bytes of its body.
const REQUEST_BYTES: f64 = 512.0 * KIB;

pub(super) fn items(load: &Load, flow: &Flow, prices: &Prices) -> Vec<Item> {
    let item = |name, quantity, price| Item::new(Part::Webhook, name, quantity, price);
    let body = load.batch * load.body_bytes.unwrap_or(BODY_BYTES_PER_TICK);
    let ms = WEBHOOK_MS + WEBHOOK_MS_PER_TICK * load.batch;
    let ms = load.webhook_ms.unwrap_or(ms);
    // The list of the days of ticks: each instance looks for each token once a day, and one of them writes it.
    let at_once = flow.deliveries * ms / (1_000.0 * SECONDS_PER_MONTH);
    let instances = (at_once * INSTANCES_PER_DAY).max(1.0);
    let looked_up = (load.tokens * instances).min(load.ticks_per_day) * DAYS_PER_MONTH;
    let listed = load.tokens.min(load.ticks_per_day) * DAYS_PER_MONTH;
    let table = load.ticks_per_day * load.retention_days * (TICK_ITEM_BYTES + INDEX_BYTES_PER_ITEM);
    let table = table / GIB;
    let log = flow.deliveries * LOG_BYTES_PER_DELIVERY / GIB;
    let requests = if load.function_url {
        0.0
    } else {
        flow.deliveries * steps(body, REQUEST_BYTES)
    };
    vec![
        item("HTTP API requests", requests, &prices.http_api_requests),
        item("Lambda requests", flow.deliveries, &prices.lambda_requests),
        item(
            "Lambda time",
            gb_seconds(flow.deliveries, ms, load.webhook_memory_mb),
            &prices.lambda_gb_seconds,
        ),
        item(
            "DynamoDB writes",
            flow.ticks * WRITE_UNITS_PER_TICK + listed,
            &prices.dynamodb_writes,
        ),
        item(
            "DynamoDB reads",
            flow.ticks * READ_UNITS_PER_TICK + looked_up * READ_UNITS_PER_LISTED_TOKEN,
            &prices.dynamodb_reads,
        ),
        item("DynamoDB storage", table, &prices.dynamodb_storage),
        item("DynamoDB recovery", table, &prices.dynamodb_recovery),
        item(
            "responses to senders",
            flow.deliveries * RESPONSE_BYTES / GIB,
            &prices.data_transfer_out,
        ),
        item("logs", log, &prices.logs_ingest),
        item(
            "logs kept",
            log * LOGS_COMPRESSED_TO * LOGS_KEPT_MONTHS,
            &prices.logs_storage,
        ),
    ]
}
