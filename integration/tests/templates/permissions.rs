//! One role per function, with exactly the permissions for what it sends, as it was recorded.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::stack::{ACCOUNT, PROJECT, REGION, Resource, Stack, TEMPLATES, stack, text, texts};

/// What the functions send, as recorded while they do all that they do.
const RECORDED: &str = include_str!("../../../infra/operations.txt");

/// The roles of the functions.
const FUNCTIONS: [(&str, &str); 6] = [
    ("AnalyticsRole", "analytics"),
    ("BroadcastRole", "broadcast"),
    ("CompactionRole", "compaction"),
    ("RedriveRole", "redrive"),
    ("ScalerRole", "scaler"),
    ("WebhookRole", "webhook"),
];

/// What a function may do and does not send in the recording, and why it must be allowed: by function (`*` for all) and
/// permission.
const NOT_SENT: [(&str, &str, &str); 15] = [
    (
        "*",
        "logs:CreateLogStream log-group",
        "Lambda writes the log",
    ),
    ("*", "logs:PutLogEvents log-group", "Lambda writes the log"),
    (
        "analytics",
        "kinesis:DescribeStream stream/PROJECT-ticks",
        "Lambda's event source reads the stream",
    ),
    (
        "analytics",
        "kinesis:DescribeStreamSummary stream/PROJECT-ticks",
        "Lambda's event source reads the stream",
    ),
    (
        "analytics",
        "sqs:SendMessage queue/PROJECT-analytics-failed",
        "Lambda writes the failure destination with the function's role",
    ),
    (
        "analytics",
        "s3:DeleteObject PROJECT-archive/analytics-snapshots/*",
        "the snapshot before the last two is deleted; on the emulator, which does not read after a sequence number, there \
         is only one",
    ),
    (
        "analytics",
        "s3:ListBucket PROJECT-archive",
        "without it, S3 answers the read of a missing object with 403",
    ),
    (
        "broadcast",
        "sqs:DeleteMessage queue/PROJECT-broadcast",
        "Lambda's event source polls",
    ),
    (
        "broadcast",
        "sqs:GetQueueAttributes queue/PROJECT-broadcast",
        "Lambda's event source polls",
    ),
    (
        "broadcast",
        "sqs:ReceiveMessage queue/PROJECT-broadcast",
        "Lambda's event source polls",
    ),
    (
        "redrive",
        "sqs:DeleteMessage queue/PROJECT-redrive",
        "Lambda's event source polls",
    ),
    (
        "redrive",
        "sqs:GetQueueAttributes queue/PROJECT-redrive",
        "Lambda's event source polls",
    ),
    (
        "redrive",
        "sqs:ReceiveMessage queue/PROJECT-redrive",
        "Lambda's event source polls",
    ),
    (
        "webhook",
        "ssm:GetParameter parameter/PROJECT/rollout",
        "the code of earlier versions, which may be put back, reads the flag so",
    ),
    (
        "webhook",
        "kms:Decrypt key/*",
        "SSM decrypts the secrets with the caller's permission",
    ),
];

/// The permissions of the roles that no function of ours has, as `action on resource`. The resource is abbreviated to the
/// last part of its ARN, or to its id in the template.
const ROLES: [(&str, &str, &[&str]); 4] = [
    (
        "ArchiveRole",
        "firehose.amazonaws.com",
        &[
            "glue:GetTable on catalog",
            "glue:GetTable on database/ref:ArchiveDatabase",
            "glue:GetTable on table/ref:ArchiveDatabase/ref:ArchiveTable",
            "glue:GetTableVersion on catalog",
            "glue:GetTableVersion on database/ref:ArchiveDatabase",
            "glue:GetTableVersion on table/ref:ArchiveDatabase/ref:ArchiveTable",
            "glue:GetTableVersions on catalog",
            "glue:GetTableVersions on database/ref:ArchiveDatabase",
            "glue:GetTableVersions on table/ref:ArchiveDatabase/ref:ArchiveTable",
            "kinesis:DescribeStream on TicksStream",
            "kinesis:GetRecords on TicksStream",
            "kinesis:GetShardIterator on TicksStream",
            "kinesis:ListShards on TicksStream",
            "logs:PutLogEvents on log-group:ref:ArchiveLogGroup:log-stream:ref:ArchiveLogStream",
            "s3:AbortMultipartUpload on ArchiveBucket/price-archive-errors/*",
            "s3:AbortMultipartUpload on ArchiveBucket/price-archive/*",
            "s3:GetBucketLocation on ArchiveBucket",
            "s3:GetObject on ArchiveBucket/price-archive-errors/*",
            "s3:GetObject on ArchiveBucket/price-archive/*",
            "s3:ListBucket on ArchiveBucket",
            "s3:ListBucketMultipartUploads on ArchiveBucket",
            "s3:PutObject on ArchiveBucket/price-archive-errors/*",
            "s3:PutObject on ArchiveBucket/price-archive/*",
        ],
    ),
    (
        "CompactionScheduleRole",
        "scheduler.amazonaws.com",
        &["lambda:InvokeFunction on CompactionAlias"],
    ),
    (
        "SettleRole",
        "scheduler.amazonaws.com",
        &["lambda:InvokeFunction on AnalyticsAlias"],
    ),
    (
        "ScalerScheduleRole",
        "scheduler.amazonaws.com",
        &["lambda:InvokeFunction on ScalerAlias"],
    ),
];

/// All roles of the templates.
fn roles() -> Vec<Resource> {
    let given = [("StreamMode", "PROVISIONED")];
    let stacks = TEMPLATES.map(|file| match file {
        "service.yaml" => stack(file, &given),
        other => stack(other, &[]),
    });
    stacks
        .iter()
        .flat_map(|stack| stack.resources())
        .filter(|resource| resource.kind == "AWS::IAM::Role")
        .collect()
}

fn statements(role: &Resource) -> Vec<&Value> {
    let policies = role.at("/Policies").as_array().unwrap();
    policies
        .iter()
        .flat_map(|policy| policy["PolicyDocument"]["Statement"].as_array().unwrap())
        .collect()
}

/// An ARN without the parts that all ARNs share.
fn short(resource: &str) -> String {
    let (own, rest) = match resource.strip_prefix("att:") {
        Some(own) => own.split_once(".Arn").unwrap(),
        None => match resource.strip_prefix("ref:") {
            Some(own) => (own, ""),
            None => {
                let last = resource.splitn(6, ':').last();
                (last.unwrap_or(resource), "")
            }
        },
    };
    format!("{own}{rest}")
}

/// Checks who may assume a role, and returns what it allows: pairs of action and resource.
fn grants(role: &Resource, service: &str) -> BTreeSet<(String, String)> {
    let trust = role.at("/AssumeRolePolicyDocument/Statement");
    assert_eq!(trust.as_array().unwrap().len(), 1);
    assert_eq!(trust[0]["Principal"]["Service"], service, "{}", role.id);
    assert!(role.find("/ManagedPolicyArns").is_none(), "{}", role.id);
    let mut granted = BTreeSet::new();
    for statement in statements(role) {
        assert_eq!(statement["Effect"], "Allow");
        for action in texts(&statement["Action"]) {
            for resource in texts(&statement["Resource"]) {
                granted.insert((action.clone(), short(&resource)));
            }
        }
    }
    granted
}

#[test]
fn each_role_has_an_owner() {
    let found: BTreeSet<String> = roles().into_iter().map(|role| role.id).collect();
    let others = ROLES.iter().map(|(id, ..)| *id);
    let known = FUNCTIONS.iter().map(|(id, _)| *id).chain(others);
    assert_eq!(found, known.map(ToOwned::to_owned).collect());
}

#[test]
fn roles_of_services_have_the_permissions_that_aws_documents() {
    for role in roles() {
        let Some((_, service, may)) = ROLES.iter().find(|(id, ..)| *id == role.id) else {
            continue;
        };
        let granted = grants(&role, service).into_iter();
        let granted: BTreeSet<String> = granted
            .map(|(action, resource)| format!("{action} on {resource}"))
            .collect();
        let may: BTreeSet<String> = may.iter().map(|grant| (*grant).to_owned()).collect();
        assert_eq!(granted, may, "{}", role.id);
    }
}

/// A resource of a policy as it is in the recorded list.
fn as_recorded(service: &Stack, resource: &str) -> String {
    let own = service.resources().into_iter().find(|it| it.id == resource);
    let named = match own.as_ref().map(|own| (own, own.kind.as_str())) {
        Some((own, "AWS::DynamoDB::Table")) => format!("table/{}", own.text("/TableName")),
        Some((own, "AWS::SQS::Queue")) => format!("queue/{}", own.text("/QueueName")),
        Some((own, "AWS::SNS::Topic")) => format!("topic/{}", own.text("/TopicName")),
        Some((_, "AWS::Logs::LogGroup")) => "log-group".to_owned(),
        Some((own, kind)) => panic!("{}: {kind} is not in the recorded list", own.id),
        None => resource.replace("ref:LiveApi/", ""),
    };
    let named = named.replace(&format!("-{ACCOUNT}-{REGION}"), "");
    named.replace(PROJECT, "PROJECT")
}

/// Least privilege in both directions: what is sent and not allowed fails on AWS, and what is allowed and never sent is a gift
/// to whoever takes the function over.
#[test]
fn functions_may_do_what_they_send_and_nothing_else() {
    let service = stack("service.yaml", &[]);
    let lines = RECORDED.lines().filter(|line| !line.starts_with('#'));
    let recorded: BTreeSet<&str> = lines.collect();
    for (role, function) in FUNCTIONS {
        let granted = grants(&service.one(role), "lambda.amazonaws.com").into_iter();
        let granted: BTreeSet<String> = granted
            .map(|(action, resource)| format!("{action} {}", as_recorded(&service, &resource)))
            .collect();
        let of_function = recorded
            .iter()
            .filter_map(|line| line.strip_prefix(function)?.strip_prefix(' '));
        let sent: BTreeSet<String> = of_function.map(ToOwned::to_owned).collect();
        let not_sent = NOT_SENT.iter();
        let not_sent = not_sent.filter(|(of, ..)| *of == "*" || *of == function);
        let not_sent: BTreeSet<String> = not_sent.map(|(_, may, _)| (*may).to_owned()).collect();
        let refused: Vec<_> = sent.difference(&granted).collect();
        assert!(
            refused.is_empty(),
            "{role} lacks what {function} sends: {refused:?}"
        );
        let stale: Vec<_> = not_sent.intersection(&sent).collect();
        assert!(stale.is_empty(), "{function} does send {stale:?}");
        let needed: BTreeSet<String> = sent.union(&not_sent).cloned().collect();
        let unused: Vec<_> = granted.difference(&needed).collect();
        assert!(
            unused.is_empty(),
            "{role} allows what {function} never sends: {unused:?}"
        );
        let missing: Vec<_> = needed.difference(&granted).collect();
        assert!(missing.is_empty(), "{role} lacks {missing:?}");
    }
}

#[test]
fn no_permission_applies_to_all_resources() {
    for role in roles() {
        for statement in statements(&role) {
            let actions = texts(&statement["Action"]);
            assert!(
                actions.iter().all(|action| !action.contains('*')),
                "{}: {actions:?}",
                role.id
            );
            let resources = texts(&statement["Resource"]);
            // It has no resources of its own: a statement for anything else would allow nothing.
            if actions == ["cloudwatch:GetMetricData"] {
                continue;
            }
            assert!(
                resources.iter().all(|resource| resource != "*"),
                "{}: {statement}",
                role.id
            );
        }
    }
}

#[test]
fn only_the_secrets_can_be_decrypted() {
    let role = stack("service.yaml", &[]).one("WebhookRole");
    let statements = statements(&role);
    let decrypt = statements
        .iter()
        .find(|statement| statement["Action"] == "kms:Decrypt")
        .unwrap();
    let conditions = decrypt["Condition"]["StringEquals"].as_object().unwrap();
    let conditions: BTreeMap<&str, String> = conditions
        .iter()
        .map(|(key, value)| (key.as_str(), text(value)))
        .collect();
    assert_eq!(
        conditions,
        BTreeMap::from([
            (
                "kms:ViaService",
                "ssm.eu-central-1.amazonaws.com".to_owned()
            ),
            (
                "kms:EncryptionContext:PARAMETER_ARN",
                "arn:aws:ssm:eu-central-1:111122223333:parameter/prices/webhook-secrets".to_owned()
            ),
        ])
    );
}
