//! The flag and the secrets, which one process writes and another reads.

use std::sync::Arc;
use std::time::Duration;

use app::ports::RolloutFlag;
use aws::ssm::ParameterError;
use aws::ssm::live::{LiveParameters, Outcome};
use aws::ssm::record::SsmFlagRecord;
use aws::ssm::rollout::{FLAG_INTERVAL, SsmRollout};
use aws_sdk_ssm::Client;
use aws_sdk_ssm::types::ParameterType;
use domain::{Rollout, RolloutKey};
use integration::emulator;
use ops::flag_record::{FlagChange, FlagRecord, FlagValue};
use secrecy::ExposeSecret;

fn rollout(percentage: &str) -> Rollout {
    Rollout {
        use_kinesis: true,
        percentage: percentage.parse().unwrap(),
        key: RolloutKey::Tick,
    }
}

/// The flag of a process that starts now.
async fn opened(client: &Client, name: &str) -> Result<SsmRollout, ParameterError> {
    let parameters = LiveParameters::start(client, &[(name, FLAG_INTERVAL)]).await?;
    SsmRollout::new(Arc::new(parameters), name, rollout("100")).await
}

async fn parameter(kind: ParameterType, value: &str) -> (Client, String) {
    let emulator = emulator::start().await.unwrap();
    let client = Client::new(&emulator.sdk_config());
    let name = format!("/{}/parameter", emulator.unique_project());
    let put = client.put_parameter().name(&name).value(value).r#type(kind);
    put.send().await.unwrap();
    (client, name)
}

fn change(percentage: &str, who: &str, at_ms: i64) -> FlagChange {
    FlagChange {
        at_ms,
        who: who.to_owned(),
        why: "a \"reason\" über alles".to_owned(),
        value: FlagValue {
            use_kinesis: true,
            percentage: percentage.parse().unwrap(),
            key: None,
        },
    }
}

#[tokio::test]
async fn a_change_is_seen_by_another_process_and_kept_in_the_history() {
    let (client, name) = parameter(ParameterType::String, "0").await;
    let flag = opened(&client, &name).await.unwrap();
    assert_eq!(flag.current().await, rollout("0"));
    let record = SsmFlagRecord::new(&client, &name);
    let before = record.read().await.unwrap().version;
    let changes = [
        change("1", "alice", 1_767_225_600_001),
        change("12.5", "bob", 1_767_225_600_002),
    ];
    for (n, change) in (1..).zip(&changes) {
        let version = record.write(change).await.unwrap();
        assert_eq!(version, before + n, "the version counts the writes");
    }
    let other = opened(&client, &name).await.unwrap();
    assert_eq!(other.current().await, rollout("12.5"));
    let history = record.history(10).await.unwrap();
    let listed: Vec<_> = history.iter().map(|past| past.change.clone()).collect();
    assert_eq!(listed.len(), 3);
    assert_eq!(listed[..2], [changes[1].clone(), changes[0].clone()]);
    assert_eq!(listed[2].value.share(), "0".parse().unwrap());
    assert!(
        listed[2].at_ms > 1_767_225_600_000,
        "SSM's own time: {}",
        listed[2].at_ms
    );
}

#[tokio::test]
async fn a_long_history_is_read_completely() {
    let (client, name) = parameter(ParameterType::String, "0").await;
    let record = SsmFlagRecord::new(&client, &name);
    for n in 1..=60 {
        record
            .write(&change("1", &format!("operator {n}"), n))
            .await
            .unwrap();
    }
    let history = record.history(55).await.unwrap();
    let newest: Vec<i64> = history.iter().map(|past| past.change.at_ms).collect();
    assert!(newest.iter().copied().eq((6..=60).rev()), "{newest:?}");
}

#[tokio::test]
async fn a_missing_or_broken_flag_stops_the_start() {
    let (client, name) = parameter(ParameterType::String, "1O").await;
    let refused = opened(&client, &name).await;
    assert!(matches!(refused, Err(ParameterError::Refused { .. })));
    let missing = opened(&client, &format!("{name}-no")).await;
    assert!(matches!(missing, Err(ParameterError::Missing { .. })));
}

#[tokio::test]
async fn a_secret_is_read_decrypted() {
    let (client, name) = parameter(ParameterType::SecureString, "one,two").await;
    let stored = client.get_parameter().name(&name).send().await.unwrap();
    let at_rest = stored.parameter().unwrap().value().unwrap().to_owned();
    assert_ne!(
        at_rest, "one,two",
        "it is encrypted unless decryption is requested"
    );
    // Each call is due, so the second one sees what was written in between.
    let parameters = LiveParameters::start(&client, &[(&name, Duration::ZERO)]).await;
    let parameters = parameters.unwrap();
    for secret in ["one,two", "two"] {
        let put = client.put_parameter().name(&name).value(secret);
        put.overwrite(true).send().await.unwrap();
        let reading = parameters.reading(&name, Duration::ZERO).await.unwrap();
        let Outcome::Value(read) = reading.outcome else {
            panic!("{reading:?}")
        };
        assert_eq!(read.expose_secret(), secret);
    }
    client.delete_parameter().name(&name).send().await.unwrap();
    let reading = parameters.reading(&name, Duration::ZERO).await.unwrap();
    assert!(matches!(reading.outcome, Outcome::Missing), "{reading:?}");
}
