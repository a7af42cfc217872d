//! The data stack: its data must not be lost, or be visible to others.

use serde_json::{Value, json};

use crate::stack::{Resource, TEMPLATES, stack};

/// A bucket's policy.
fn policy_of<'a>(bucket: &Resource, policies: &'a [Resource]) -> &'a Resource {
    let reference = format!("ref:{}", bucket.id);
    policies
        .iter()
        .find(|policy| policy.text("/Bucket") == reference)
        .unwrap()
}

#[test]
fn everything_is_retained_when_the_stack_is_deleted() {
    let resources = stack("data.yaml", &[]).resources();
    assert!(resources.len() >= 14);
    for resource in resources {
        let policy = resource.whole["DeletionPolicy"].as_str().unwrap_or("none");
        assert!(
            ["Retain", "RetainExceptOnCreate"].contains(&policy),
            "{}: {policy}",
            resource.id
        );
        assert_eq!(
            resource.whole["UpdateReplacePolicy"], "Retain",
            "{}",
            resource.id
        );
    }
}

#[test]
fn tables_expire_and_recover() {
    let data = stack("data.yaml", &[]);
    let tables = data.all("AWS::DynamoDB::Table");
    assert_eq!(tables.len(), 2);
    for table in tables {
        assert_eq!(
            table.at("/TimeToLiveSpecification"),
            &json!({"AttributeName": "expires_at", "Enabled": true})
        );
        assert_eq!(
            table.at("/PointInTimeRecoverySpecification/PointInTimeRecoveryEnabled"),
            true
        );
        assert!(
            table.find("/StreamSpecification").is_none(),
            "nobody reads a stream of the table"
        );
        assert_eq!(
            table.at("/KeySchema"),
            &json!([
                {"AttributeName": "pk", "KeyType": "HASH"},
                {"AttributeName": "sk", "KeyType": "RANGE"},
            ])
        );
        assert_eq!(table.text("/BillingMode"), "PAY_PER_REQUEST");
        assert!(
            table.find("/ProvisionedThroughput").is_none(),
            "CloudFormation refuses it with PAY_PER_REQUEST"
        );
    }
}

#[test]
fn provisioned_tables_have_capacities() {
    let data = stack(
        "data.yaml",
        &[
            ("TableBillingMode", "PROVISIONED"),
            ("TableWriteCapacity", "700"),
        ],
    );
    for table in data.all("AWS::DynamoDB::Table") {
        assert_eq!(
            table.at("/ProvisionedThroughput"),
            &json!({"ReadCapacityUnits": 5, "WriteCapacityUnits": 700})
        );
    }
}

#[test]
fn the_stream_is_encrypted_in_either_mode() {
    for (mode, shards) in [("ON_DEMAND", None), ("PROVISIONED", Some(&json!(2)))] {
        let stream = stack("data.yaml", &[("StreamMode", mode)]).one("TicksStream");
        assert_eq!(stream.text("/StreamModeDetails/StreamMode"), mode);
        // Kinesis refuses a shard count in on-demand mode.
        assert_eq!(stream.find("/ShardCount"), shards, "{mode}");
        assert_eq!(stream.text("/StreamEncryption/EncryptionType"), "KMS");
        assert_eq!(stream.text("/StreamEncryption/KeyId"), "alias/aws/kinesis");
        assert!(stream.number("/RetentionPeriodHours") >= 24);
    }
}

#[test]
fn buckets_are_encrypted_private_and_tls_only() {
    let data = stack("data.yaml", &[]);
    let policies = data.all("AWS::S3::BucketPolicy");
    let buckets = data.all("AWS::S3::Bucket");
    assert_eq!(buckets.len(), 2);
    for bucket in buckets {
        let rule = "/BucketEncryption/ServerSideEncryptionConfiguration/0";
        assert_eq!(
            bucket.text(&format!(
                "{rule}/ServerSideEncryptionByDefault/SSEAlgorithm"
            )),
            "AES256"
        );
        let block = bucket.at("/PublicAccessBlockConfiguration");
        assert_eq!(block.as_object().unwrap().len(), 4);
        assert!(
            block.as_object().unwrap().values().all(|on| on == true),
            "{block}"
        );
        assert_eq!(
            bucket.text("/OwnershipControls/Rules/0/ObjectOwnership"),
            "BucketOwnerEnforced"
        );
        assert_eq!(bucket.text("/VersioningConfiguration/Status"), "Enabled");

        let statement = policy_of(&bucket, &policies).at("/PolicyDocument/Statement/0");
        let arn = format!("att:{}.Arn", bucket.id);
        assert_eq!(
            statement,
            &json!({
                "Sid": "TlsOnly",
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:*",
                "Resource": [arn, format!("{arn}/*")],
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            })
        );
    }
}

/// The enabled lifecycle rules of a bucket.
fn rules(bucket: &Resource) -> Vec<&Value> {
    let all = bucket.at("/LifecycleConfiguration/Rules").as_array();
    all.unwrap()
        .iter()
        .filter(|rule| rule["Status"] == "Enabled")
        .collect()
}

/// Versions expire 30 days after a deletion; the delete marker in front of them would stay, and slow down each listing.
#[test]
fn delete_markers_of_expired_objects_are_removed() {
    for bucket in stack("data.yaml", &[]).all("AWS::S3::Bucket") {
        assert_eq!(bucket.text("/VersioningConfiguration/Status"), "Enabled");
        let of_all: Vec<&Value> = rules(&bucket)
            .into_iter()
            .filter(|rule| rule["ExpiredObjectDeleteMarker"] == true)
            .collect();
        assert_eq!(of_all.len(), 1, "{}", bucket.id);
        // S3 refuses it beside an expiry in days.
        assert!(of_all[0].get("Prefix").is_none() && of_all[0].get("ExpirationInDays").is_none());
        assert_eq!(
            of_all[0]["NoncurrentVersionExpiration"]["NoncurrentDays"],
            30
        );
    }
}

#[test]
fn snapshots_of_closed_shards_expire() {
    let bucket = stack("data.yaml", &[]).one("ArchiveBucket");
    let prefix = aws::dynamodb::shard_heads::SNAPSHOT_PREFIX;
    let all = rules(&bucket);
    let rule = all.iter().find(|rule| rule["Prefix"] == prefix).unwrap();
    assert_eq!(rule["ExpirationInDays"], 30);
}

#[test]
fn the_archive_moves_to_glacier_after_90_days_and_expires_after_seven_years() {
    let bucket = stack("data.yaml", &[]).one("ArchiveBucket");
    let rules = rules(&bucket);
    let archive: Vec<_> = rules
        .iter()
        .filter(|rule| rule["Prefix"] == "price-archive/")
        .collect();
    assert_eq!(archive.len(), 1);
    // Athena silently skips objects in GLACIER and DEEP_ARCHIVE.
    assert_eq!(
        archive[0]["Transitions"],
        json!([{"StorageClass": "GLACIER_IR", "TransitionInDays": 90}])
    );
    assert_eq!(archive[0]["ExpirationInDays"], 2555);
    let transitions = rules.iter().filter(|rule| !rule["Transitions"].is_null());
    assert_eq!(transitions.count(), 1);
}

#[test]
fn no_rule_deletes_more_than_its_own_folder() {
    let data = stack("data.yaml", &[]);
    for bucket in data.all("AWS::S3::Bucket") {
        for rule in rules(&bucket) {
            let expires = !rule["ExpirationInDays"].is_null();
            let folder = rule["Prefix"].as_str();
            assert!(
                !expires || folder.is_some_and(|prefix| prefix.ends_with('/')),
                "{}: {rule}",
                bucket.id
            );
        }
        let unfinished = rules(&bucket)
            .iter()
            .any(|rule| !rule["AbortIncompleteMultipartUpload"].is_null());
        assert!(unfinished, "{} pays for unfinished uploads", bucket.id);
    }
    let artifacts = data.one("ArtifactsBucket");
    assert!(
        rules(&artifacts)
            .iter()
            .all(|rule| rule["ExpirationInDays"].is_null()),
        "a deploy must be able to return to old code"
    );
}

/// The deploy makes it, so that no update of a stack can write it.
#[test]
fn no_stack_has_the_rollout_flag() {
    for file in TEMPLATES {
        let resources = stack(file, &[]).resources();
        let is_parameter = |it: &Resource| it.kind == "AWS::SSM::Parameter";
        assert!(!resources.iter().any(is_parameter), "{file}");
    }
}
