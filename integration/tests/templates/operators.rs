//! The policies for people allow what `infra/deploy.sh`, `tickctl rollout` and the runbooks call; those of operators and of
//! whoever is on call allow nothing else.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::deploy::sandbox::{NO_TICKCTL, REGION as OPTION_REGION, Sandbox, tickctl_name};
use crate::stack::{ACCOUNT, PROJECT, REGION, stack, text, texts};

/// What `tickctl rollout`, `doctor` and `status` call, as their ports do (`bins/tickctl/src/operator_clients.rs` and
/// `cloud_verify.rs`).
const TICKCTL: [(&str, &str); 12] = [
    ("cloudwatch:DescribeAlarms", "*"),
    ("cloudwatch:GetMetricData", "*"),
    ("dynamodb:Query", "table/prices-ticks"),
    ("kinesis:DescribeStreamSummary", "stream/prices-ticks"),
    ("kinesis:GetRecords", "stream/prices-ticks"),
    ("kinesis:GetShardIterator", "stream/prices-ticks"),
    ("kinesis:ListShards", "stream/prices-ticks"),
    (
        "s3:GetObject",
        "prices-archive-111122223333-eu-central-1/price-archive/x",
    ),
    ("s3:ListBucket", "prices-archive-111122223333-eu-central-1"),
    ("ssm:GetParameter", "parameter/prices/rollout"),
    ("ssm:GetParameterHistory", "parameter/prices/rollout"),
    ("ssm:PutParameter", "parameter/prices/rollout"),
];

/// An action on a resource, which is the last part of its ARN.
type Call = (String, String);

/// The statements of a policy as pairs of patterns.
fn policy(id: &str) -> Vec<Call> {
    let policy = stack("operators.yaml", &[]).one(id);
    let statements = policy.at("/PolicyDocument/Statement").as_array().unwrap();
    let pairs = statements.iter().flat_map(|statement| {
        assert_eq!(statement["Effect"], "Allow");
        let resources: Vec<String> = list(&statement["Resource"])
            .iter()
            .map(|it| last_part(it))
            .collect();
        let actions = list(&statement["Action"]);
        actions.into_iter().flat_map(move |action| {
            let resources = resources.clone().into_iter();
            resources
                .map(move |resource| (action.clone(), resource))
                .collect::<Vec<_>>()
        })
    });
    pairs.collect()
}

fn list(value: &Value) -> Vec<String> {
    if value.is_array() {
        texts(value)
    } else {
        vec![text(value)]
    }
}

/// `arn:aws:ssm:eu-central-1:111122223333:parameter/x` is `parameter/x`.
fn last_part(arn: &str) -> String {
    let mut parts = arn.splitn(6, ':');
    parts.nth(5).unwrap_or(arn).to_owned()
}

/// Whether a text matches a pattern with `*`.
fn matches(pattern: &str, given: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| given.strip_prefix(first)) else {
        return false;
    };
    let mut ends_with_star = false;
    for part in parts {
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest = &rest[at + part.len()..];
        ends_with_star = part.is_empty();
    }
    rest.is_empty() || ends_with_star
}

fn allows((action, resource): &Call, (called, on): &Call) -> bool {
    matches(action, called) && matches(resource, on)
}

/// The calls that the scripts made: a line is the region, and the arguments of the CLI.
fn calls_of(lines: &str) -> BTreeSet<Call> {
    let mut calls = BTreeSet::new();
    for line in lines.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let option = |name: &str| {
            let at = words.iter().position(|word| *word == name);
            at.map(|at| words[at + 1].to_owned())
        };
        let [_, service, operation, ..] = words[..] else {
            continue;
        };
        let mut add = |action: &str, resource: &str| {
            calls.insert((format!("{service}:{action}"), resource.to_owned()));
        };
        match (service, operation) {
            ("rollout", _) | ("sts", _) => {}
            ("s3", "cp") => {
                let (from, to) = (words[4], words[5]);
                let [action, path] = match from.strip_prefix("s3://output/") {
                    Some(path) => ["GetObject", path],
                    None => ["PutObject", to.strip_prefix("s3://output/").unwrap()],
                };
                add(
                    action,
                    &format!("{PROJECT}-artifacts-{ACCOUNT}-{REGION}/{path}"),
                );
            }
            ("cloudformation", "deploy") => {
                let stack = format!("stack/{}/1", option("--stack-name").unwrap());
                // What the CLI's `deploy` calls.
                for action in [
                    "DescribeStacks",
                    "CreateChangeSet",
                    "DescribeChangeSet",
                    "ExecuteChangeSet",
                ] {
                    add(action, &stack);
                }
            }
            _ => {
                let resource = match service {
                    "ssm" => format!(
                        "parameter{}",
                        option("--name").unwrap_or("/prices/webhook-secrets".to_owned())
                    ),
                    "lambda" => option("--function-name")
                        .map_or("*".to_owned(), |name| format!("function:{name}")),
                    "cloudformation" => format!("stack/{}/1", option("--stack-name").unwrap()),
                    "logs" => format!("log-group:{}", option("--log-group-name").unwrap()),
                    _ => "*".to_owned(),
                };
                let pascal = operation
                    .split('-')
                    .map(|word| word[..1].to_uppercase() + &word[1..]);
                add(&pascal.collect::<String>(), &resource);
            }
        }
    }
    calls
}

/// What the verbs call, by who uses them: the operator's, and the deployer's in addition.
fn called() -> [BTreeSet<Call>; 2] {
    let sandbox = Sandbox::new();
    let deployed = sandbox.run("infra", &[OPTION_REGION]);
    deployed.ok();
    let version = deployed
        .out
        .lines()
        .find_map(|it| it.strip_prefix("version   "))
        .unwrap();
    sandbox.write("parameter-CodeVersion", version.split(',').next().unwrap());
    sandbox.write("parameter-CodeBucket", "output");
    sandbox.write(&tickctl_name(), "#!/usr/bin/env bash\n# another\n");
    for name in integration::bootstraps::FUNCTIONS {
        sandbox.write(&format!("next-prices-{name}"), "8\n");
    }
    let again = sandbox.run("infra", &[OPTION_REGION, ("CANARY_SECONDS", "1")]);
    let by_deployer = calls_of(&format!("{}{}", deployed.calls, again.ok_calls()));

    let mut by_operator: BTreeSet<Call> = TICKCTL
        .map(|(action, on)| (action.to_owned(), on.to_owned()))
        .into();
    for verb in ["canary", "status", "rollback", "code"] {
        let outcome = sandbox.run(verb, &[OPTION_REGION, NO_TICKCTL]);
        by_operator.extend(calls_of(outcome.ok_calls()));
    }
    // On a machine for which no `tickctl` was deployed.
    sandbox.write("parameter-CodeVersion", "");
    by_operator.extend(calls_of(
        sandbox
            .run("rollback", &[OPTION_REGION, NO_TICKCTL])
            .ok_calls(),
    ));
    [by_operator, by_deployer]
}

#[test]
fn the_policies_allow_what_is_called() {
    let [by_operator, by_deployer] = called();
    let operator = policy("OperatorPolicy");
    let both: Vec<Call> = operator
        .iter()
        .cloned()
        .chain(policy("DeployerPolicy"))
        .collect();
    for (calls, policy) in [(by_operator, operator), (by_deployer, both)] {
        let is_refused = |call: &&Call| !policy.iter().any(|it| allows(it, call));
        let refused: Vec<&Call> = calls.iter().filter(is_refused).collect();
        assert!(refused.is_empty(), "not allowed: {refused:?}");
        assert!(calls.len() > 15, "{calls:?}");
    }
}

#[test]
fn an_operator_may_do_nothing_that_is_not_called() {
    let [by_operator, _] = called();
    let policy = policy("OperatorPolicy");
    let is_unused = |allowed: &&Call| !by_operator.iter().any(|call| allows(allowed, call));
    let unused: Vec<&Call> = policy.iter().filter(is_unused).collect();
    assert!(unused.is_empty(), "allowed, but never called: {unused:?}");
}

/// CloudFormation creates the resources with the rights of whoever deploys.
#[test]
fn a_deployer_may_use_every_service_of_the_templates() {
    let policy = policy("DeployerPolicy");
    for file in crate::stack::TEMPLATES {
        for resource in stack(file, &[]).resources() {
            let service = resource.kind.split("::").nth(1).unwrap().to_lowercase();
            let service = match service.as_str() {
                "apigatewayv2" => "apigateway",
                "kinesisfirehose" => "firehose",
                other => other,
            };
            let of_service = |(action, _): &&Call| action.starts_with(&format!("{service}:"));
            assert!(policy.iter().any(|it| of_service(&it)), "{}", resource.kind);
        }
    }
}

/// Actions that a call needs besides its own, or in its place.
const NEEDED: [(&str, &[&str]); 6] = [
    ("apigatewayv2:GetApis", &["apigateway:GET"]),
    ("dynamodb:Wait", &["dynamodb:DescribeTable"]),
    ("lambda:Invoke", &["lambda:InvokeFunction"]),
    ("s3:Ls", &["s3:ListBucket"]),
    // "Configuring permissions for using a dead-letter queue redrive" in the guide of SQS
    (
        "sqs:StartMessageMoveTask",
        &[
            "sqs:StartMessageMoveTask",
            "sqs:ReceiveMessage",
            "sqs:DeleteMessage",
            "sqs:GetQueueAttributes",
            "sqs:SendMessage",
        ],
    ),
    ("sts:GetCallerIdentity", &[]),
];

/// What a command of the CLI needs.
fn actions_of(command: &str) -> Vec<String> {
    let mut words = command.split_whitespace().skip(1);
    let (service, operation) = (words.next().unwrap(), words.next().unwrap());
    let pascal = operation
        .split('-')
        .map(|word| word[..1].to_uppercase() + &word[1..]);
    let action = format!("{service}:{}", pascal.collect::<String>());
    match NEEDED.iter().find(|(call, _)| *call == action) {
        Some((_, needed)) => needed.iter().map(|it| (*it).to_owned()).collect(),
        None => vec![action],
    }
}

/// What the commands of `tickctl` in the runbooks call, besides what an operator may: by the command, as its ports do.
const REPAIRS: [(&str, &[(&str, &str)]); 5] = [
    (
        "tickctl verify",
        &[
            ("dynamodb:Scan", "table/prices-ticks"),
            ("kinesis:PutRecords", "stream/prices-ticks"),
            (
                "s3:PutObject",
                "prices-archive-111122223333-eu-central-1/price-archive/x",
            ),
            ("sqs:GetQueueAttributes", "prices-redrive"),
            ("sqs:GetQueueUrl", "prices-redrive"),
        ],
    ),
    (
        "tickctl requeue",
        &[
            ("kinesis:PutRecords", "stream/prices-ticks"),
            ("sqs:ChangeMessageVisibility", "prices-redrive-dlq"),
            ("sqs:DeleteMessage", "prices-analytics-failed"),
            ("sqs:GetQueueAttributes", "prices-broadcast-dlq"),
            ("sqs:GetQueueUrl", "prices-broadcast"),
            ("sqs:ReceiveMessage", "prices-broadcast-dlq"),
            ("sqs:SendMessage", "prices-redrive"),
        ],
    ),
    (
        "tickctl replay",
        &[
            ("dynamodb:Query", "table/prices-ticks"),
            ("kinesis:PutRecords", "stream/prices-ticks"),
            (
                "s3:GetObject",
                "prices-archive-111122223333-eu-central-1/price-archive/x",
            ),
            ("s3:ListBucket", "prices-archive-111122223333-eu-central-1"),
        ],
    ),
    (
        "tickctl rebuild",
        &[
            ("dynamodb:BatchGetItem", "table/prices-analytics"),
            ("dynamodb:PutItem", "table/prices-analytics"),
            ("dynamodb:Query", "table/prices-ticks"),
        ],
    ),
    (
        "tickctl quarantine",
        &[
            (
                "s3:GetObject",
                "prices-archive-111122223333-eu-central-1/quarantine/x",
            ),
            (
                "s3:GetObject",
                "prices-archive-111122223333-eu-central-1/quarantine-outcomes/x",
            ),
            ("s3:ListBucket", "prices-archive-111122223333-eu-central-1"),
            (
                "s3:PutObject",
                "prices-archive-111122223333-eu-central-1/quarantine-outcomes/x",
            ),
        ],
    ),
];

#[test]
fn whoever_is_on_call_may_run_the_repairs_of_the_runbooks() {
    let pages = crate::runbooks::text();
    let policy = policy("OnCallPolicy");
    for (command, calls) in REPAIRS {
        assert!(pages.contains(command), "{command} is in no runbook");
        for (action, resource) in calls {
            let call = ((*action).to_owned(), (*resource).to_owned());
            assert!(
                policy.iter().any(|it| allows(it, &call)),
                "not allowed: {call:?}"
            );
        }
    }
    let entries = (
        "s3:PutObject".to_owned(),
        "prices-archive-111122223333-eu-central-1/quarantine/x".to_owned(),
    );
    assert!(
        !policy.iter().any(|it| allows(it, &entries)),
        "an entry stays as it is"
    );
}

#[test]
fn whoever_is_on_call_may_do_what_the_runbooks_say_and_nothing_else() {
    let needed: BTreeSet<String> = crate::runbooks::commands()
        .iter()
        .flat_map(|command| actions_of(command))
        .chain(
            REPAIRS
                .iter()
                .flat_map(|(_, calls)| calls.iter().map(|(action, _)| (*action).to_owned())),
        )
        .collect();
    let actions =
        |id| -> BTreeSet<String> { policy(id).into_iter().map(|(action, _)| action).collect() };
    let (operator, on_call) = (actions("OperatorPolicy"), actions("OnCallPolicy"));
    let both: BTreeSet<String> = operator.union(&on_call).cloned().collect();
    let missing: Vec<_> = needed.difference(&both).collect();
    assert!(missing.is_empty(), "not allowed: {missing:?}");
    let unused: Vec<_> = on_call.difference(&needed).collect();
    assert!(unused.is_empty(), "in no runbook: {unused:?}");
}

#[test]
fn patterns_are_matched_like_iam_does() {
    for (pattern, given, expected) in [
        ("a:*", "a:Get", true),
        ("a:Get", "a:GetMore", false),
        ("x/*/y", "x/1/2/y", true),
        ("x/*", "y/x/1", false),
        ("*", "anything", true),
        ("stack/p-*/*", "stack/p-data/1", true),
        ("stack/p-data/*", "stack/p-database/1", false),
    ] {
        assert_eq!(matches(pattern, given), expected, "{pattern} {given}");
    }
}
