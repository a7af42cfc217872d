//! The rollout flag for operators: the parameter with its version and its history.

use app::ports::PortError;
use async_trait::async_trait;
use aws_sdk_ssm::Client;
use aws_sdk_ssm::types::{ParameterHistory, ParameterType};
use ops::flag_record::{FlagChange, FlagContent, FlagRead, FlagRecord, FlagValue, FlagVersion};

use crate::epoch::epoch_ms;
use crate::error::{CallError, port_error};
use crate::ssm::value::RolloutValue;

/// The most versions in one page of a parameter's history; SSM's own limit. It keeps 100 in all.
const HISTORY_PAGE_MAX: i32 = 50;

/// The flag in a parameter, for the control plane.
#[derive(Debug, Clone)]
pub struct SsmFlagRecord {
    client: Client,
    name: String,
}

impl SsmFlagRecord {
    /// The parameter of that name; nothing is read yet.
    #[must_use]
    pub fn new(client: &Client, name: impl Into<String>) -> Self {
        Self {
            client: client.clone(),
            name: name.into(),
        }
    }
}

#[async_trait]
impl FlagRecord for SsmFlagRecord {
    async fn read(&self) -> Result<FlagRead, PortError> {
        const OPERATION: &str = "read the flag";
        let answer = match self.client.get_parameter().name(&self.name).send().await {
            Ok(answer) => answer,
            Err(error) => {
                let missing = error
                    .as_service_error()
                    .is_some_and(|refusal| refusal.is_parameter_not_found());
                return if missing {
                    Ok(FlagRead {
                        version: 0,
                        content: FlagContent::Missing,
                    })
                } else {
                    Err(port_error(OPERATION, &error))
                };
            }
        };
        let parameter = answer.parameter();
        let text = parameter.and_then(|parameter| parameter.value());
        let (Some(parameter), Some(text)) = (parameter, text) else {
            return Err(CallError::Unreadable("it has no value".to_owned()).at(OPERATION));
        };
        Ok(FlagRead {
            version: parameter.version(),
            content: match RolloutValue::parse(text) {
                Ok(said) => FlagContent::Value(said.value()),
                Err(refused) => FlagContent::Unreadable(refused.to_string()),
            },
        })
    }

    async fn write(&self, change: &FlagChange) -> Result<i64, PortError> {
        const OPERATION: &str = "change the rollout";
        let text = RolloutValue::Change(change.clone())
            .render()
            .map_err(|error| PortError {
                operation: OPERATION,
                retryable: false,
                source: error.into(),
            })?;
        let written = self
            .client
            .put_parameter()
            .name(&self.name)
            .value(text)
            .r#type(ParameterType::String)
            .overwrite(true)
            .send()
            .await
            .map_err(|error| port_error(OPERATION, &error))?;
        Ok(written.version())
    }

    /// SSM keeps the last 100 values. A plain percentage is returned with who set it and when,
    /// according to SSM. Invalid values are omitted and logged.
    async fn history(&self, limit: usize) -> Result<Vec<FlagVersion>, PortError> {
        let mut versions = Vec::new();
        let mut pages = self
            .client
            .get_parameter_history()
            .name(&self.name)
            .max_results(HISTORY_PAGE_MAX)
            .into_paginator()
            .send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| port_error("read the rollout's history", &error))?;
            versions.extend(page.parameters.unwrap_or_default());
        }
        versions.sort_by_key(|version| std::cmp::Reverse(version.version()));
        Ok(versions.iter().filter_map(of).take(limit).collect())
    }
}

fn of(past: &ParameterHistory) -> Option<FlagVersion> {
    let change = match RolloutValue::parse(past.value().unwrap_or_default()) {
        Ok(RolloutValue::Change(change)) => change,
        Ok(RolloutValue::Percentage(percentage)) => FlagChange {
            at_ms: past.last_modified_date().map(epoch_ms).unwrap_or_default(),
            who: past.last_modified_user().unwrap_or("unknown").to_owned(),
            why: "a plain percentage, without a reason".to_owned(),
            value: FlagValue {
                use_kinesis: true,
                percentage,
                key: None,
            },
        },
        Err(refused) => {
            tracing::debug!(
                version = past.version(),
                "ignoring an invalid value in the rollout's history: {refused}"
            );
            return None;
        }
    };
    Some(FlagVersion {
        version: past.version(),
        change,
    })
}
