//! Who has access, from the configuration; a start that would let strangers in is refused.

use anyhow::{Context, bail};
use secrecy::ExposeSecret;
use webhook::auth::{OperatorToken, Secrets};

use crate::config::Config;
use crate::operator::Operator;
use crate::secret_files;

/// The secrets of senders, and the rules for operators.
#[derive(Debug)]
pub(crate) struct Access {
    pub(crate) secrets: Secrets,
    pub(crate) operator: Operator,
}

impl Access {
    /// Reads it.
    ///
    /// # Errors
    /// If a secret is refused, or others could reach the process without one.
    pub(crate) fn read(config: &Config) -> anyhow::Result<Self> {
        let files = &config.secret_files;
        let senders = secret_files::secret(
            "WEBHOOK_SECRETS",
            &config.webhook_secrets,
            files.webhook_secrets_file.as_deref(),
        )?;
        let token = secret_files::secret(
            "OPERATOR_TOKEN",
            &config.operator_token,
            files.operator_token_file.as_deref(),
        )?;
        let secrets =
            Secrets::parse(senders.expose_secret()).context("WEBHOOK_SECRETS cannot be used")?;
        let token = OperatorToken::parse(token.expose_secret(), &secrets)
            .context("OPERATOR_TOKEN cannot be used")?;
        if secrets.is_empty() {
            refuse_strangers(config)?;
        }
        if config.protect_reads && token.is_none() {
            bail!(
                "--protect-reads needs a token that readers send, and there is none: set OPERATOR_TOKEN (at \
                 least 32 random characters)"
            );
        }
        let operator = Operator::new(token, !secrets.is_empty(), config.protect_reads);
        Ok(Self { secrets, operator })
    }
}

/// Without secrets, everybody who reaches the process may post ticks.
fn refuse_strangers(config: &Config) -> anyhow::Result<()> {
    let listens = config.listen.address;
    if !listens.ip().is_loopback() {
        bail!(
            "{listens} is not a loopback address, and there is no secret: anybody could post ticks. \
             Set WEBHOOK_SECRETS, or listen on 127.0.0.1"
        );
    }
    if let Some(public) = config.public_hosts.first() {
        bail!(
            "others reach tickstream as {public} (--public-host), and there is no secret: anybody could \
             post ticks. Set WEBHOOK_SECRETS, or omit --public-host"
        );
    }
    Ok(())
}
