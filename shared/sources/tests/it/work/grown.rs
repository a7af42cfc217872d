//! Fixtures in which one or more places are grown to a size.

use serde_json::Value;

/// A place in a document, from the top.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Element(usize),
    Member(String),
}

/// How a place is grown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Growth {
    /// The same elements again.
    Repeat,
    /// The elements or members again, with other texts, or under other names.
    Vary,
    /// Unknown members.
    Unknown,
    /// A text that is long, plain or with an escape.
    Long,
    Escaped,
    /// Digits: zeros in front of the number, or after it.
    ZerosBefore,
    ZerosAfter,
}

#[derive(Debug, Clone)]
pub(super) struct Grow {
    path: Vec<Step>,
    growth: Growth,
    /// Whether the place is an array.
    is_list: bool,
}

impl Grow {
    pub(super) fn is_list(&self) -> bool {
        self.is_list
    }
}

/// A part inside of a part that is grown is itself grown to this size.
const INNER_BYTES: usize = 2_048;

/// All places of the first entry of a document, and all ways to grow them.
pub(super) fn places(fixture: &str) -> Vec<Grow> {
    let mut places = Vec::new();
    if let Some(document) = document(fixture) {
        collect(&document, &mut Vec::new(), &mut places);
    }
    places
}

/// Entries that are like the first are left out; the list itself is grown, too.
fn document(fixture: &str) -> Option<Value> {
    let fixture = fixture.replace("1e400", "1e40").replace("\\ud800", "");
    let mut document: Value = serde_json::from_str(&fixture).ok()?;
    if let Value::Array(entries) = &mut document {
        entries.truncate(1);
    }
    Some(document)
}

fn collect(value: &Value, path: &mut Vec<Step>, places: &mut Vec<Grow>) {
    let growths: &[Growth] = match value {
        Value::Array(_) => &[Growth::Repeat, Growth::Vary],
        Value::Object(_) => &[Growth::Vary, Growth::Unknown],
        Value::String(_) | Value::Number(_) => &[
            Growth::Long,
            Growth::Escaped,
            Growth::ZerosBefore,
            Growth::ZerosAfter,
        ],
        Value::Null | Value::Bool(_) => &[],
    };
    places.extend(growths.iter().map(|growth| Grow {
        path: path.clone(),
        growth: *growth,
        is_list: value.is_array(),
    }));
    match value {
        Value::Array(elements) => {
            // Elements after the second have the form of one of them.
            for (index, element) in elements.iter().enumerate().take(2) {
                path.push(Step::Element(index));
                collect(element, path, places);
                path.pop();
            }
        }
        Value::Object(members) => {
            for (name, member) in members {
                path.push(Step::Member(name.clone()));
                collect(member, path, places);
                path.pop();
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The document with these places grown, so that it has about `bytes`.
pub(super) fn body(fixture: &str, grows: &[Grow], bytes: usize) -> Option<String> {
    let mut document = document(fixture)?;
    let mut grows = grows.to_vec();
    grows.sort_by(|a, b| b.path.len().cmp(&a.path.len()).then(a.path.cmp(&b.path)));
    grows.dedup_by(|a, b| a.path == b.path);
    let is_inner = |grow: &Grow| {
        let mut others = grows.iter();
        others.any(|outer| outer.path != grow.path && grow.path.starts_with(&outer.path))
    };
    let outer = grows.iter().filter(|grow| !is_inner(grow)).count();
    let mut texts = Vec::new();
    for grow in &grows {
        let share = if is_inner(grow) {
            INNER_BYTES
        } else {
            bytes / outer
        };
        let place = find(&mut document, &grow.path)?;
        texts.push(grown(place, grow.growth, share, &texts)?);
        *place = Value::from(mark(texts.len() - 1));
    }
    Some(written(&document, &texts))
}

fn find<'v>(document: &'v mut Value, path: &[Step]) -> Option<&'v mut Value> {
    path.iter()
        .try_fold(document, |value, step| match (step, value) {
            (Step::Element(index), Value::Array(elements)) => elements.get_mut(*index),
            (Step::Member(name), Value::Object(members)) => members.get_mut(name),
            _ => None,
        })
}

/// Stands for a text that is written later.
fn mark(index: usize) -> String {
    format!("\u{e000}{index}\u{e001}")
}

fn written(value: &Value, texts: &[String]) -> String {
    let mut text = value.to_string();
    for (index, grown) in texts.iter().enumerate().rev() {
        text = text.replace(&format!("\"{}\"", mark(index)), grown);
    }
    text
}

fn grown(value: &Value, growth: Growth, bytes: usize, texts: &[String]) -> Option<String> {
    let scalar = match value {
        Value::String(text) => text.clone(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            value.to_string()
        }
    };
    Some(match (value, growth) {
        (Value::Array(elements), _) => {
            let mut elements = elements.clone();
            if elements.is_empty() {
                elements = vec![Value::from("x"), Value::from(0)];
            }
            let element = |index: usize| {
                let element = elements.get(index % elements.len());
                let element = element.cloned().unwrap_or_default();
                if growth == Growth::Vary {
                    written(&varied(&element, index), texts)
                } else {
                    written(&element, texts)
                }
            };
            format!("[{}]", filled(bytes, element))
        }
        (Value::Object(members), Growth::Vary) => {
            let members: Vec<_> = members.iter().collect();
            let own = written(value, texts);
            let member = |index: usize| match members.get(index % members.len().max(1)) {
                Some((name, member)) => {
                    format!(
                        "{}:{}",
                        Value::from(format!("{name}{index}")),
                        written(member, texts)
                    )
                }
                None => format!("\"m{index}\":0"),
            };
            joined(&own, &filled(bytes, member))
        }
        (Value::Object(_), _) => {
            let own = written(value, texts);
            joined(
                &own,
                &filled(bytes, |index| format!("\"{:x}\":0", index % 4_096)),
            )
        }
        (_, Growth::Escaped) => format!("\"{scalar}\\u0030{}\"", "0".repeat(bytes)),
        (_, Growth::ZerosBefore) => format!("\"{}{scalar}\"", "0".repeat(bytes)),
        (Value::Number(_), Growth::ZerosAfter) => format!("1{}", "0".repeat(bytes)),
        (_, Growth::ZerosAfter) => format!("\"{scalar}{}\"", "0".repeat(bytes)),
        (_, _) => format!("\"{scalar}{}\"", "a".repeat(bytes)),
    })
}

/// Adds members at the end of an object.
fn joined(object: &str, members: &str) -> String {
    let own = object.strip_suffix('}').unwrap_or(object);
    let comma = if own.ends_with('{') { "" } else { "," };
    format!("{own}{comma}{members}}}")
}

fn filled(bytes: usize, part: impl Fn(usize) -> String) -> String {
    let mut text = String::new();
    let mut index = 0;
    while text.len() < bytes {
        if index > 0 {
            text.push(',');
        }
        text.push_str(&part(index));
        index += 1;
    }
    text
}

/// The value with other texts.
fn varied(value: &Value, index: usize) -> Value {
    match value {
        Value::String(text) if !text.starts_with('\u{e000}') => {
            Value::from(format!("{text}{index}"))
        }
        Value::Array(elements) => elements.iter().map(|e| varied(e, index)).collect(),
        Value::Object(members) => members
            .iter()
            .map(|(name, member)| (name.clone(), varied(member, index)))
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}
