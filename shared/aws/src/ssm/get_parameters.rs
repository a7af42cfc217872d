//! One request for several parameters.

use std::collections::BTreeMap;

use aws_sdk_ssm::Client;
use secrecy::SecretString;

use crate::error::CallError;

/// The values of parameters (at most 10, SSM's own limit), decrypted; `None` for one that does not exist.
/// <https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameters.html>
pub(super) async fn get_parameters(
    client: &Client,
    names: &[String],
) -> Result<BTreeMap<String, Option<SecretString>>, CallError> {
    let request = client.get_parameters().set_names(Some(names.to_vec()));
    let answer = request.with_decryption(true).send().await;
    let answer = answer.map_err(|error| CallError::of(&error))?;
    let missing = answer.invalid_parameters().iter().cloned();
    let mut found: BTreeMap<_, _> = missing.map(|name| (name, None)).collect();
    for parameter in answer.parameters.unwrap_or_default() {
        if let (Some(name), Some(value)) = (parameter.name, parameter.value) {
            found.insert(name, Some(SecretString::from(value)));
        }
    }
    match names.iter().find(|name| !found.contains_key(*name)) {
        Some(name) => Err(CallError::Unreadable(format!("`{name}` has no value"))),
        None => Ok(found),
    }
}
