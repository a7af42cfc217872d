//! One role per function, with exactly the permissions that its ports need.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::stack::{Resource, TEMPLATES, stack, text, texts};

/// The permissions of each role, as `action on resource`. The resource is abbreviated to the last part
/// of its ARN, or to its id in the template.
const ROLES: [(&str, &str, &[&str]); 10] = [
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
        "WebhookRole",
        "lambda.amazonaws.com",
        &[
            "dynamodb:BatchGetItem on table/prices-ticks",
            "dynamodb:BatchWriteItem on table/prices-ticks",
            // Claims of arrival-stamped ticks.
            "dynamodb:UpdateItem on table/prices-ticks",
            "kinesis:PutRecords on stream/prices-ticks",
            "kms:Decrypt on key/*",
            "logs:CreateLogStream on WebhookLogs",
            "logs:PutLogEvents on WebhookLogs",
            "s3:PutObject on prices-archive-111122223333-eu-central-1/quarantine/*",
            "sns:Publish on MalformedTopic",
            "sqs:SendMessage on BroadcastQueue",
            "sqs:SendMessage on RedriveQueue",
            "ssm:GetParameter on parameter/prices/rollout",
            "ssm:GetParameters on parameter/prices/rollout",
            "ssm:GetParameters on parameter/prices/webhook-secrets",
        ],
    ),
    (
        "AnalyticsRole",
        "lambda.amazonaws.com",
        &[
            "dynamodb:BatchGetItem on table/prices-analytics",
            "dynamodb:BatchWriteItem on table/prices-analytics",
            "dynamodb:PutItem on table/prices-analytics",
            "dynamodb:Query on table/prices-analytics",
            "dynamodb:UpdateItem on table/prices-analytics",
            "kinesis:DescribeStream on stream/prices-ticks",
            "kinesis:DescribeStreamSummary on stream/prices-ticks",
            "kinesis:GetRecords on stream/prices-ticks",
            "kinesis:GetShardIterator on stream/prices-ticks",
            "kinesis:ListShards on stream/prices-ticks",
            "logs:CreateLogStream on AnalyticsLogs",
            "logs:PutLogEvents on AnalyticsLogs",
            "s3:DeleteObject on prices-archive-111122223333-eu-central-1/analytics-snapshots/*",
            "s3:GetObject on prices-archive-111122223333-eu-central-1/analytics-snapshots/*",
            // Otherwise a missing object is a 403.
            "s3:ListBucket on prices-archive-111122223333-eu-central-1",
            "s3:PutObject on prices-archive-111122223333-eu-central-1/analytics-snapshots/*",
            "s3:PutObject on prices-archive-111122223333-eu-central-1/quarantine/*",
            "sns:Publish on AnomaliesTopic",
            // The failure destination is written with the function's role.
            "sqs:SendMessage on AnalyticsFailedQueue",
            "sqs:SendMessage on BroadcastQueue",
        ],
    ),
    (
        "CompactionRole",
        "lambda.amazonaws.com",
        &[
            "logs:CreateLogStream on CompactionLogs",
            "logs:PutLogEvents on CompactionLogs",
            "s3:DeleteObject on prices-archive-111122223333-eu-central-1/price-archive/*",
            "s3:GetObject on prices-archive-111122223333-eu-central-1/price-archive/*",
            "s3:ListBucket on prices-archive-111122223333-eu-central-1",
            "s3:PutObject on prices-archive-111122223333-eu-central-1/price-archive/*",
        ],
    ),
    (
        "CompactionScheduleRole",
        "scheduler.amazonaws.com",
        &["lambda:InvokeFunction on CompactionAlias"],
    ),
    (
        "BroadcastRole",
        "lambda.amazonaws.com",
        &[
            "dynamodb:DeleteItem on ConnectionsTable",
            "dynamodb:GetItem on ConnectionsTable",
            "dynamodb:Query on ConnectionsTable",
            "dynamodb:Query on table/prices-ticks",
            "dynamodb:UpdateItem on ConnectionsTable",
            "execute-api:ManageConnections on ref:LiveApi/live/POST/@connections/*",
            "logs:CreateLogStream on BroadcastLogs",
            "logs:PutLogEvents on BroadcastLogs",
            "sqs:DeleteMessage on BroadcastQueue",
            "sqs:GetQueueAttributes on BroadcastQueue",
            "sqs:ReceiveMessage on BroadcastQueue",
        ],
    ),
    (
        "RedriveRole",
        "lambda.amazonaws.com",
        &[
            "kinesis:PutRecords on stream/prices-ticks",
            "logs:CreateLogStream on RedriveLogs",
            "logs:PutLogEvents on RedriveLogs",
            "s3:PutObject on prices-archive-111122223333-eu-central-1/quarantine/*",
            "sqs:DeleteMessage on RedriveQueue",
            "sqs:GetQueueAttributes on RedriveQueue",
            "sqs:ReceiveMessage on RedriveQueue",
        ],
    ),
    (
        "ScalerRole",
        "lambda.amazonaws.com",
        &[
            "kinesis:DescribeStreamSummary on stream/prices-ticks",
            "kinesis:UpdateShardCount on stream/prices-ticks",
            "logs:CreateLogStream on ScalerLogs",
            "logs:PutLogEvents on ScalerLogs",
        ],
    ),
    (
        "SettleRole",
        "scheduler.amazonaws.com",
        &["lambda:InvokeFunction on AnalyticsAlias"],
    ),
    (
        "ShardCountRole",
        "scheduler.amazonaws.com",
        &["lambda:InvokeFunction on function:prices-scaler"],
    ),
];

/// All roles of the templates.
fn roles() -> Vec<Resource> {
    let given = [("StreamMode", "PROVISIONED")];
    let stacks = TEMPLATES.map(|file| match file {
        "alarms-math.yaml" => stack(file, &given),
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

#[test]
fn roles_have_the_permissions_that_their_ports_need() {
    let roles = roles();
    let found: BTreeSet<&str> = roles.iter().map(|role| role.id.as_str()).collect();
    assert_eq!(found, ROLES.iter().map(|(id, ..)| *id).collect());
    let expected: BTreeMap<&str, _> = ROLES
        .into_iter()
        .map(|(id, service, may)| (id, (service, may)))
        .collect();
    for role in &roles {
        let (service, may) = expected[role.id.as_str()];
        let trust = role.at("/AssumeRolePolicyDocument/Statement");
        assert_eq!(trust.as_array().unwrap().len(), 1);
        assert_eq!(trust[0]["Principal"]["Service"], service, "{}", role.id);
        let mut granted = BTreeSet::new();
        for statement in statements(role) {
            assert_eq!(statement["Effect"], "Allow");
            for action in texts(&statement["Action"]) {
                for resource in texts(&statement["Resource"]) {
                    granted.insert(format!("{action} on {}", short(&resource)));
                }
            }
        }
        let may: BTreeSet<String> = may.iter().map(|grant| (*grant).to_owned()).collect();
        assert_eq!(granted, may, "{}", role.id);
        assert!(role.find("/ManagedPolicyArns").is_none(), "{}", role.id);
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
