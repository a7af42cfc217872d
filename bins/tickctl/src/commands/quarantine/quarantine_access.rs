//! Where a quarantine is: in a running tickstream, in the store of a data folder, or in a bucket on AWS.

use std::path::PathBuf;
#[cfg(feature = "aws")]
use std::sync::Arc;

use anyhow::Context as _;
use app::quarantine_review::{QuarantineFilter, QuarantineReview, ReviewedEntry};
use clap::{Args, value_parser};
use hyper::Uri;
use serde::Deserialize;

use super::redelivery::{InboxOptions, Replayer};
use crate::client::PostError;
use crate::data_access::{DataAccess, DataOptions, OpenStore};
use crate::process::BadInput;
#[cfg(feature = "aws")]
use crate::project_options::ON_AWS;
use crate::server_client::ServerClient;
use crate::target::{Secret, parse_base};

/// Where the quarantine is.
#[derive(Debug, Args)]
pub(super) struct QuarantineOptions {
    /// The data folder of tickstream. If a process has it open, that process is asked, with the operators' token;
    /// otherwise its store is opened.
    #[arg(
        long,
        env = "DATA_DIR",
        default_value = "./data",
        value_name = "DIR",
        global = true
    )]
    data_dir: PathBuf,
    /// The address of a running tickstream, http or https, instead of a folder.
    #[arg(long, value_name = "URL", value_parser = parse_base, global = true)]
    server: Option<Uri>,
    /// The server's OPERATOR_TOKEN. Prefer the environment variable: other users of the machine can read arguments.
    #[arg(long, value_name = "TOKEN", env = "OPERATOR_TOKEN", hide_env_values = true, value_parser = Secret::read, global = true)]
    token: Option<Secret>,
    /// Seconds after which a request without a response fails.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = value_parser!(u64).range(1..=600), global = true)]
    timeout: u64,
    /// The archive's bucket on AWS, which has the quarantine (output ArchiveBucketName of the data stack).
    #[cfg(feature = "aws")]
    #[arg(long, value_name = "BUCKET", global = true)]
    bucket: Option<String>,
    /// Other commands take it for a project; here it gets the answer that the bucket is needed.
    #[cfg(feature = "aws")]
    #[arg(long, hide = true, global = true)]
    aws: bool,
    /// As `aws`.
    #[cfg(feature = "aws")]
    #[arg(id = "project", long, env = "PROJECT", default_value = "tickstream", hide = true, global = true, help_heading = ON_AWS)]
    name: String,
}

/// A quarantine.
pub(super) enum QuarantineAccess {
    Server(Box<ServerClient>),
    Store(OpenStore),
    #[cfg(feature = "aws")]
    Bucket(Arc<dyn QuarantineReview>),
}

/// The response to a list.
#[derive(Deserialize)]
struct Listed {
    quarantine: Vec<ReviewedEntry>,
}

impl QuarantineOptions {
    pub(super) async fn open(&self) -> anyhow::Result<QuarantineAccess> {
        #[cfg(feature = "aws")]
        if let Some(bucket) = &self.bucket {
            let objects = crate::quarantine_bucket::open(bucket).await?;
            return Ok(QuarantineAccess::Bucket(Arc::new(objects)));
        }
        #[cfg(feature = "aws")]
        if self.aws {
            let project = &self.name;
            return Err(BadInput(format!(
                "the quarantine of a project is in the bucket of its archive: pass --bucket, the output \
                 ArchiveBucketName of the stack {project}-data, which `PROJECT={project} just status` shows"
            ))
            .into());
        }
        let options = DataOptions {
            data_dir: self.data_dir.clone(),
            server: self.server.clone(),
            token: self.token.clone(),
            timeout: self.timeout,
        };
        Ok(match options.open().await? {
            DataAccess::Server(server) => QuarantineAccess::Server(server),
            DataAccess::Store(opened) => QuarantineAccess::Store(opened),
        })
    }
}

impl QuarantineAccess {
    pub(super) async fn entries(
        &self,
        filter: &QuarantineFilter,
        limit: usize,
    ) -> anyhow::Result<Vec<ReviewedEntry>> {
        match self {
            Self::Server(server) => {
                let listed: Result<Listed, _> = server.get(&path(filter, limit)).await;
                Ok(listed.map_err(|error| server.explain(error))?.quarantine)
            }
            Self::Store(opened) => read(opened.store.entries(filter, limit).await),
            #[cfg(feature = "aws")]
            Self::Bucket(objects) => read(objects.entries(filter, limit).await),
        }
    }

    pub(super) async fn entry(&self, id: &str) -> anyhow::Result<Option<ReviewedEntry>> {
        // It becomes a part of an address.
        if id.is_empty()
            || !id
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        {
            return Ok(None);
        }
        match self {
            Self::Server(server) => match server.get(&format!("/api/quarantine/{id}")).await {
                Ok(entry) => Ok(Some(entry)),
                Err(PostError::Status { status, .. }) if status.as_u16() == 404 => Ok(None),
                Err(error) => Err(server.explain(error)),
            },
            Self::Store(opened) => read(opened.store.entry(id).await),
            #[cfg(feature = "aws")]
            Self::Bucket(objects) => read(objects.entry(id).await),
        }
    }

    /// What replays its entries.
    pub(super) fn replayer(&self, inbox: &InboxOptions) -> anyhow::Result<Replayer<'_>> {
        match self {
            Self::Server(server) => {
                if inbox.into.is_some() {
                    let rule = "--into is for --bucket: a running tickstream replays its own entries";
                    return Err(BadInput(rule.to_owned()).into());
                }
                Ok(Replayer::Server(server))
            }
            Self::Store(opened) => Err(BadInput(format!(
                "tickstream does not run in {}, and only it has the settings of the sources: start it, then replay",
                opened.data_dir.display()
            ))
            .into()),
            #[cfg(feature = "aws")]
            Self::Bucket(objects) => Ok(Replayer::Webhook {
                review: Arc::clone(objects),
                inbox: inbox.open()?,
            }),
        }
    }

    pub(super) fn close(self) {
        if let Self::Store(opened) = self {
            opened.store.close();
        }
    }
}

fn read<T>(found: Result<T, app::ports::PortError>) -> anyhow::Result<T> {
    found.context("the quarantine cannot be read")
}

fn path(filter: &QuarantineFilter, limit: usize) -> String {
    let mut path = format!(
        "/api/quarantine?from={}&to={}&limit={limit}",
        filter.from_ms, filter.to_ms
    );
    if let Some(reason) = filter.reason {
        path.push_str(&format!("&reason={reason}"));
    }
    if let Some(source) = &filter.source {
        let escaped = source.bytes().map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        });
        path.push_str("&source=");
        path.extend(escaped);
    }
    path
}

#[cfg(test)]
mod tests {
    use domain::Reason;

    use super::*;

    #[test]
    fn a_filter_becomes_a_query() {
        let filter = QuarantineFilter {
            from_ms: 5,
            to_ms: 9,
            reason: Some(Reason::InvalidPrice),
            source: Some("a&b ü".to_owned()),
        };
        assert_eq!(
            path(&filter, 10),
            "/api/quarantine?from=5&to=9&limit=10&reason=invalid_price&source=a%26b%20%C3%BC"
        );
    }
}
