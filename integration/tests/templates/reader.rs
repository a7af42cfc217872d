//! Reads a template's YAML as JSON, with short tags in their long form: `!Ref x` is `{"Ref": "x"}`.

use std::fmt;
use std::fs;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value, json};
use serde_saphyr::Tagged;

/// A file of `infra/`, such as `data.yaml`.
#[track_caller]
pub(crate) fn read(file: &str) -> Value {
    let path = format!("{}/../infra/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    parse(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn parse(text: &str) -> Result<Value, serde_saphyr::Error> {
    serde_saphyr::from_str::<Node>(text).map(|Node(value)| value)
}

/// A value with its tag resolved.
struct Node(Value);

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Tagged(Plain(value), tag) = Tagged::deserialize(deserializer)?;
        match tag.as_deref() {
            None => Ok(Self(value)),
            Some("!Ref") => Ok(Self(json!({ "Ref": value }))),
            Some("!GetAtt") => Ok(Self(json!({ "Fn::GetAtt": value }))),
            Some(tag) => match tag.strip_prefix('!') {
                Some(function) => {
                    let function = format!("Fn::{function}");
                    Ok(Self(json!({ function: value })))
                }
                None => Err(D::Error::custom(format!("unknown tag {tag}"))),
            },
        }
    }
}

/// A value without its own tag.
struct Plain(Value);

impl<'de> Deserialize<'de> for Plain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PlainVisitor).map(Self)
    }
}

struct PlainVisitor;

impl<'de> Visitor<'de> for PlainVisitor {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("YAML that is also JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("not a JSON number"))?;
        Ok(Value::Number(number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Node(value)) = sequence.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some((key, Node(value))) = entries.next_entry::<String, Node>()? {
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

#[track_caller]
fn check(yaml: &str, expected: &Value) {
    assert_eq!(&parse(yaml).unwrap(), expected, "{yaml}");
}

#[test]
fn short_tags_are_expanded() {
    check("a: !Ref Queue", &json!({"a": {"Ref": "Queue"}}));
    check("!GetAtt Queue.Arn", &json!({"Fn::GetAtt": "Queue.Arn"}));
    check("!Sub '${A}-b'", &json!({"Fn::Sub": "${A}-b"}));
    check(
        "!If [C, !Ref A, 1]",
        &json!({"Fn::If": ["C", {"Ref": "A"}, 1]}),
    );
    check(
        "!ImportValue { 'Fn::Sub': x }",
        &json!({"Fn::ImportValue": {"Fn::Sub": "x"}}),
    );
    check(
        "- !Sub ['${R}', { R: !Ref X }]",
        &json!([{"Fn::Sub": ["${R}", {"R": {"Ref": "X"}}]}]),
    );
}

#[test]
fn quoted_words_are_strings() {
    check(
        "{ a: 'true', b: true, c: '2', d: 2, e: 0.5 }",
        &json!({"a": "true", "b": true, "c": "2", "d": 2, "e": 0.5}),
    );
    // CloudFormation also reads YAML 1.1.
    check("{ a: 'OFF', b: OFF }", &json!({"a": "OFF", "b": false}));
}
