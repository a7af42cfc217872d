//! Evaluates a template with its parameters like CloudFormation: conditions, references and functions.
//!
//! A reference to a resource becomes `ref:Id`, an attribute `att:Id.Attribute`, another stack's
//! output `import:Name`.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::reader::read;

/// The project that the tests deploy.
pub(crate) const PROJECT: &str = "prices";
pub(crate) const ACCOUNT: &str = "111122223333";
pub(crate) const REGION: &str = "eu-central-1";

/// All templates.
pub(crate) const TEMPLATES: [&str; 4] = [
    "data.yaml",
    "service.yaml",
    "alarms.yaml",
    "alarms-math.yaml",
];

/// A template with its parameters.
pub(crate) struct Stack {
    template: Value,
    parameters: BTreeMap<String, Value>,
}

/// A resource of a stack.
pub(crate) struct Resource {
    pub(crate) id: String,
    pub(crate) kind: String,
    /// All of its attributes, such as `DeletionPolicy`.
    pub(crate) whole: Value,
    /// Its properties; `null` if it has none.
    pub(crate) properties: Value,
}

impl Resource {
    /// A property by its JSON pointer; it must exist.
    #[track_caller]
    pub(crate) fn at(&self, pointer: &str) -> &Value {
        self.find(pointer)
            .unwrap_or_else(|| panic!("{} has no {pointer}", self.id))
    }

    pub(crate) fn find(&self, pointer: &str) -> Option<&Value> {
        self.properties.pointer(pointer)
    }

    #[track_caller]
    pub(crate) fn text(&self, pointer: &str) -> &str {
        let value = self.at(pointer);
        value
            .as_str()
            .unwrap_or_else(|| panic!("{}{pointer} is {value}", self.id))
    }

    #[track_caller]
    pub(crate) fn number(&self, pointer: &str) -> u64 {
        let value = self.at(pointer);
        value
            .as_u64()
            .unwrap_or_else(|| panic!("{}{pointer} is {value}", self.id))
    }
}

/// A stack of the tests' project, with additional parameters.
#[track_caller]
pub(crate) fn stack(file: &str, given: &[(&str, &str)]) -> Stack {
    let template = read(file);
    let declared = template["Parameters"].as_object().unwrap().clone();
    for (name, _) in given {
        assert!(declared.contains_key(*name), "{file} has no {name}");
    }
    let given: BTreeMap<_, _> = given.iter().copied().collect();
    let parameters = declared.iter().map(|(name, declaration)| {
        let value = match given.get(name.as_str()) {
            Some(text) if declaration["Type"] == "Number" => json!(text.parse::<u64>().unwrap()),
            Some(text) => json!(text),
            None if name == "Project" => json!(PROJECT),
            // The parameters without a default.
            None if name.starts_with("Code") => json!(name.to_lowercase()),
            None => declaration["Default"].clone(),
        };
        (name.clone(), value)
    });
    Stack {
        parameters: parameters.collect(),
        template,
    }
}

impl Stack {
    /// The resources whose condition holds.
    pub(crate) fn resources(&self) -> Vec<Resource> {
        let all = self.template["Resources"].as_object().unwrap();
        all.iter()
            .filter(|(_, whole)| {
                whole["Condition"]
                    .as_str()
                    .is_none_or(|condition| self.holds(condition))
            })
            .map(|(id, whole)| {
                let properties = whole.get("Properties").cloned().unwrap_or_default();
                Resource {
                    id: id.clone(),
                    kind: whole["Type"].as_str().unwrap().to_owned(),
                    whole: whole.clone(),
                    properties: self.resolve(&properties).unwrap_or_default(),
                }
            })
            .collect()
    }

    /// The resources of a type; at least one.
    #[track_caller]
    pub(crate) fn all(&self, kind: &str) -> Vec<Resource> {
        let found: Vec<_> = self
            .resources()
            .into_iter()
            .filter(|resource| resource.kind == kind)
            .collect();
        assert!(!found.is_empty(), "no {kind}");
        found
    }

    /// A resource by its id.
    #[track_caller]
    pub(crate) fn one(&self, id: &str) -> Resource {
        self.resources()
            .into_iter()
            .find(|resource| resource.id == id)
            .unwrap_or_else(|| panic!("no {id}"))
    }

    pub(crate) fn has(&self, id: &str) -> bool {
        self.resources().iter().any(|resource| resource.id == id)
    }

    /// An output's value.
    #[track_caller]
    pub(crate) fn output(&self, name: &str) -> Value {
        let value = &self.template["Outputs"][name]["Value"];
        assert!(!value.is_null(), "no output {name}");
        self.resolve(value).unwrap()
    }

    fn holds(&self, condition: &str) -> bool {
        let rule = &self.template["Conditions"][condition];
        assert!(!rule.is_null(), "no condition {condition}");
        self.resolve(rule) == Some(Value::Bool(true))
    }

    /// An evaluated value; `None` for `AWS::NoValue`.
    fn resolve(&self, value: &Value) -> Option<Value> {
        match value {
            Value::Array(items) => {
                Some(items.iter().filter_map(|item| self.resolve(item)).collect())
            }
            Value::Object(map) => match map.iter().next() {
                Some((name, argument)) if map.len() == 1 && is_function(name) => {
                    self.call(name, argument)
                }
                _ => {
                    let entries = map
                        .iter()
                        .filter_map(|(key, value)| Some((key.clone(), self.resolve(value)?)));
                    Some(Value::Object(entries.collect()))
                }
            },
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                Some(value.clone())
            }
        }
    }

    fn call(&self, function: &str, argument: &Value) -> Option<Value> {
        let item = |index: usize| self.resolve(&argument[index]).unwrap();
        match function {
            "Ref" => self.reference(argument.as_str().unwrap()),
            "Fn::GetAtt" => Some(self.attribute(argument.as_str().unwrap())),
            "Fn::Sub" => Some(Value::String(self.substitute(argument))),
            "Fn::If" => {
                let branch = if self.holds(argument[0].as_str().unwrap()) {
                    1
                } else {
                    2
                };
                self.resolve(&argument[branch])
            }
            "Fn::Equals" => Some(Value::Bool(text(&item(0)) == text(&item(1)))),
            "Fn::And" => {
                let mut rules = argument.as_array().unwrap().iter();
                let all = rules.all(|rule| self.resolve(rule) == Some(Value::Bool(true)));
                Some(Value::Bool(all))
            }
            // Only among conditions; elsewhere a condition is a property of its own.
            "Fn::Condition" => Some(Value::Bool(self.holds(argument.as_str().unwrap()))),
            "Fn::Not" => Some(Value::Bool(item(0) == Value::Bool(false))),
            "Fn::Join" => {
                let (with, parts) = (item(0), item(1));
                let parts: Vec<_> = parts.as_array().unwrap().iter().map(text).collect();
                Some(Value::String(parts.join(&text(&with))))
            }
            "Fn::Split" => Some(
                text(&item(1))
                    .split(&text(&item(0)))
                    .map(Value::from)
                    .collect(),
            ),
            "Fn::ImportValue" => {
                let name = self.resolve(argument).unwrap();
                Some(Value::String(format!("import:{}", text(&name))))
            }
            other => panic!("the tests do not support {other}"),
        }
    }

    fn reference(&self, name: &str) -> Option<Value> {
        let pseudo = match name {
            "AWS::NoValue" => return None,
            "AWS::AccountId" => ACCOUNT,
            "AWS::Region" => REGION,
            "AWS::Partition" => "aws",
            "AWS::URLSuffix" => "amazonaws.com",
            _ => {
                let parameter = self.parameters.get(name).cloned();
                return Some(parameter.unwrap_or_else(|| {
                    self.must_have(name);
                    Value::String(format!("ref:{name}"))
                }));
            }
        };
        Some(Value::String(pseudo.to_owned()))
    }

    fn attribute(&self, path: &str) -> Value {
        self.must_have(path.split('.').next().unwrap());
        Value::String(format!("att:{path}"))
    }

    fn must_have(&self, id: &str) {
        assert!(
            !self.template["Resources"][id].is_null(),
            "{id} is neither parameter nor resource"
        );
    }

    fn substitute(&self, argument: &Value) -> String {
        let none = Map::new();
        let (pattern, own) = match argument.as_str() {
            Some(pattern) => (pattern, &none),
            None => (
                argument[0].as_str().unwrap(),
                argument[1].as_object().unwrap(),
            ),
        };
        let mut parts = pattern.split("${");
        let mut out = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let (name, rest) = part.split_once('}').unwrap();
            match (name.strip_prefix('!'), own.get(name)) {
                (Some(literal), _) => out.push_str(&format!("${{{literal}}}")),
                (None, Some(value)) => out.push_str(&text(&self.resolve(value).unwrap())),
                (None, None) if name.contains('.') => out.push_str(&text(&self.attribute(name))),
                (None, None) => out.push_str(&text(&self.reference(name).unwrap())),
            }
            out.push_str(rest);
        }
        out
    }
}

fn is_function(name: &str) -> bool {
    name == "Ref" || name.starts_with("Fn::")
}

/// A value as CloudFormation converts it to text.
pub(crate) fn text(value: &Value) -> String {
    match value.as_str() {
        Some(text) => text.to_owned(),
        None => value.to_string(),
    }
}

/// The texts of an array, or of a single text.
pub(crate) fn texts(value: &Value) -> Vec<String> {
    match value.as_array() {
        Some(items) => items.iter().map(text).collect(),
        None => vec![text(value)],
    }
}

#[test]
fn references_and_conditions_are_evaluated() {
    let here = stack("service.yaml", &[]);
    assert_eq!(
        here.one("WebhookFunction").text("/Code/S3Key"),
        "codeversion/webhook.zip"
    );
    assert_eq!(
        here.one("BroadcastSource").at("/EventSourceArn"),
        "att:BroadcastQueue.Arn"
    );
    assert!(!here.has("WebhookUrl"));
    assert!(stack("service.yaml", &[("WebhookFunctionUrl", "true")]).has("WebhookUrl"));
}

#[test]
fn names_start_with_the_project() {
    let mut named = 0;
    for file in TEMPLATES {
        let given: &[_] = match file {
            "service.yaml" => &[("StreamMode", "PROVISIONED")],
            _ => &[],
        };
        for resource in stack(file, given).resources() {
            let names = resource
                .properties
                .as_object()
                .into_iter()
                .flatten()
                .filter(|(key, _)| {
                    matches!(
                        key.as_str(),
                        "TableName"
                            | "QueueName"
                            | "TopicName"
                            | "BucketName"
                            | "AlarmName"
                            | "DeliveryStreamName"
                            | "DashboardName"
                            | "LogGroupName"
                    ) || (key.as_str() == "FunctionName"
                        && resource.kind == "AWS::Lambda::Function")
                });
            for (key, name) in names {
                named += 1;
                let name = text(name);
                assert!(
                    name == PROJECT
                        || name.starts_with("ref:")
                        || name.contains(&format!("{PROJECT}-")),
                    "{}: {key} {name} would conflict with another project's",
                    resource.id
                );
            }
        }
    }
    assert!(named > 50, "only {named} names were seen");
}
