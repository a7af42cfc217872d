//! Conditions of writes.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use super::Item;

/// Knows `attribute_exists`, `attribute_not_exists`, `=`, `<`, `<=`, `AND`, `OR` and parentheses.
pub(super) fn holds(fields: &Value, item: Option<&Item>) -> bool {
    fields["ConditionExpression"]
        .as_str()
        .is_none_or(|condition| evaluate(condition.trim(), fields, item))
}

fn evaluate(condition: &str, fields: &Value, item: Option<&Item>) -> bool {
    if let Some((one, other)) = split_outside(condition, " AND ") {
        return evaluate(one, fields, item) && evaluate(other, fields, item);
    }
    if let Some((one, other)) = split_outside(condition, " OR ") {
        return evaluate(one, fields, item) || evaluate(other, fields, item);
    }
    let attribute = |name: &str| {
        let name = fields["ExpressionAttributeNames"][name.trim_end_matches(')')]
            .as_str()
            .unwrap();
        item.and_then(|item| item.get(name))
    };
    if let Some(inner) = condition.strip_prefix('(') {
        return evaluate(inner.strip_suffix(')').unwrap(), fields, item);
    }
    if let Some(name) = condition.strip_prefix("attribute_not_exists(") {
        return attribute(name).is_none();
    }
    if let Some(name) = condition.strip_prefix("attribute_exists(") {
        return attribute(name).is_some();
    }
    let value = |name: &str| &fields["ExpressionAttributeValues"][name];
    let (name, operator, operand) = condition
        .split_once(' ')
        .and_then(|(name, rest)| rest.split_once(' ').map(|(op, of)| (name, op, of)))
        .unwrap();
    let operand = value(operand);
    attribute(name).is_some_and(|held| match operator {
        "=" => held == operand,
        "<" => sort_key(held) < sort_key(operand),
        "<=" => sort_key(held) <= sort_key(operand),
        other => panic!("the model does not know {other}"),
    })
}

/// What texts and binary values are compared by.
fn sort_key(value: &Value) -> Vec<u8> {
    match value["B"].as_str() {
        Some(binary) => BASE64_STANDARD.decode(binary).unwrap(),
        None => value["S"].as_str().unwrap().as_bytes().to_vec(),
    }
}

/// The two sides of the first operator that is not within parentheses.
fn split_outside<'a>(condition: &'a str, operator: &str) -> Option<(&'a str, &'a str)> {
    condition.match_indices(operator).find_map(|(at, _)| {
        let (before, after) = condition.split_at(at);
        let depth = before.matches('(').count() - before.matches(')').count();
        (depth == 0).then(|| (before, &after[operator.len()..]))
    })
}
