//! Where a command finds the data of a tickstream: in a running process, which is asked over HTTP, or in its
//! data folder, whose store is opened if no process has it open.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use clap::Args;
use hyper::Uri;
use serde::Deserialize;
use store::{EmbeddedConfig, EmbeddedStore, ProcessFile, STORE_FOLDER, StorageError};
use tokio::time::Instant;

use crate::client::PostError;
use crate::process::BadInput;
use crate::server_client::ServerClient;
use crate::target::{AddressFrom, Secret, parse_base};

/// How long the process that has the folder open may take to show which it is. One that is just starting or
/// stopping needs a moment.
const FOUND_WITHIN: Duration = Duration::from_secs(3);

/// How long it may take for one answer to that.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// How long to wait before the next attempt.
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// The options of every command that reads or changes the data of a tickstream.
#[derive(Debug, Clone, Args)]
pub struct DataOptions {
    /// The data folder of tickstream. If a process has it open, that process is asked, with the operators'
    /// token; otherwise its store is opened.
    #[arg(long, env = "DATA_DIR", default_value = "./data", value_name = "DIR")]
    pub data_dir: PathBuf,
    /// The address of a running tickstream, http or https, instead of a folder; a path in front of /api is
    /// kept.
    #[arg(long, value_name = "URL", value_parser = parse_base)]
    pub server: Option<Uri>,
    /// The server's OPERATOR_TOKEN. Prefer the environment variable: other users of the machine can read
    /// arguments.
    #[arg(long, value_name = "TOKEN", env = "OPERATOR_TOKEN", hide_env_values = true, value_parser = Secret::read)]
    pub token: Option<Secret>,
    /// Seconds after which a request without a response fails. A job that has begun to respond fails when it is silent
    /// for a minute.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub timeout: u64,
}

/// The data of a tickstream.
pub enum DataAccess {
    /// A running process.
    Server(Box<ServerClient>),
    /// The store itself, which no process has open. Other processes are kept out until it is closed.
    Store(OpenStore),
}

/// The opened store of a data folder.
pub struct OpenStore {
    /// The store. Close it at the end.
    pub store: EmbeddedStore,
    /// Its data folder, which has the archive, too.
    pub data_dir: PathBuf,
}

/// What identifies a process in `/api/status`.
#[derive(Deserialize)]
struct Identity {
    pid: u32,
    started_at: i64,
}

impl DataOptions {
    /// Finds the data. With `--server`, nothing is sent yet.
    ///
    /// # Errors
    /// [`BadInput`] if the folder has no store; or it is in use, and who has it open does not answer or refuses
    /// the token; or it was written by another version.
    pub async fn open(&self) -> anyhow::Result<DataAccess> {
        if let Some(server) = &self.server {
            let client = self.client(server, AddressFrom::Option("--server"))?;
            return Ok(DataAccess::Server(Box::new(client)));
        }
        let folder = &self.data_dir;
        let deadline = Instant::now() + FOUND_WITHIN.min(Duration::from_secs(self.timeout));
        loop {
            // The lock is what proves that a process has the store open. So the file with its address is only
            // read then: one that a killed process left has no effect, and its address is not sent the token.
            match open_store(folder).await {
                Ok(store) => {
                    return Ok(DataAccess::Store(OpenStore {
                        store,
                        data_dir: folder.clone(),
                    }));
                }
                Err(StorageError::Locked(_)) => {}
                Err(error) => return Err(unopened(folder, error)),
            }
            match self.find_process().await? {
                Ok(server) => return Ok(DataAccess::Server(Box::new(server))),
                // It had its time.
                Err(hung @ NotFound::Hung { .. }) => return Err(hung.explain(folder)),
                Err(not_found) if Instant::now() >= deadline => {
                    return Err(not_found.explain(folder));
                }
                Err(_) => tokio::time::sleep(RETRY_AFTER).await,
            }
        }
    }

    fn client(&self, to: &Uri, address: AddressFrom) -> anyhow::Result<ServerClient> {
        let timeout = Duration::from_secs(self.timeout);
        ServerClient::new(to, address, self.token.as_ref(), timeout)
    }

    /// The process whose address the folder has, if it is the one that wrote it; else why it was not found.
    async fn find_process(&self) -> anyhow::Result<Result<ServerClient, NotFound>> {
        let not_found = |why: String| Ok(Err(NotFound::Unknown(why)));
        let folder = self.data_dir.display();
        let file = ProcessFile::read(&self.data_dir).with_context(|| {
            format!("the address of the process that uses {folder} cannot be read")
        })?;
        let Some(file) = file else {
            return not_found("the folder has no address of it".to_owned());
        };
        let Ok(to) = parse_base(&file.url) else {
            return not_found(format!("its address cannot be used: {}", file.url));
        };
        let client = self.client(&to, AddressFrom::DataFolder)?;
        match identity(&client).await {
            Ok(seen) if (seen.pid, seen.started_at) == (file.pid, file.started_at_ms) => {
                Ok(Ok(client))
            }
            Ok(_) => not_found(format!("another process is at {}", file.url)),
            Err(error @ PostError::Status { .. }) if error.kind() == "401" => {
                Err(client.explain(error))
            }
            Err(timeout @ PostError::Timeout(_)) => Ok(Err(NotFound::Hung {
                url: file.url,
                timeout,
            })),
            Err(error) => not_found(format!("{} cannot be asked: {error}", file.url)),
        }
    }
}

/// A process has a store open, and it is not known which, or it cannot be asked.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ProcessNotFound(String);

/// Why the process that has a store open was not found.
enum NotFound {
    /// Its address is not known, or is not its own.
    Unknown(String),
    /// It does not answer in time.
    Hung {
        /// Its address.
        url: String,
        /// How long it had.
        timeout: PostError,
    },
}

impl NotFound {
    /// What happened, and what to do.
    fn explain(self, folder: &Path) -> anyhow::Error {
        let folder = folder.display();
        match self {
            Self::Unknown(why) => anyhow!(ProcessNotFound(format!(
                "a process has the store in {folder} open, but {why}: is it starting or stopping? Repeat the command, or \
                 pass its address with --server"
            ))),
            Self::Hung { url, timeout } => anyhow::Error::new(timeout).context(format!(
                "the process that has the store in {folder} open does not answer at {url} (its log may say why; if it \
                 hangs, restart it)"
            )),
        }
    }
}

/// Asks a process which it is. The token is only sent if reading needs it.
async fn identity(client: &ServerClient) -> Result<Identity, PostError> {
    let asking = async {
        match client.without_token().get("/api/status").await {
            Err(error) if error.kind() == "401" => client.get("/api/status").await,
            answered => answered,
        }
    };
    tokio::time::timeout(ANSWER_WITHIN, asking)
        .await
        .unwrap_or(Err(PostError::Timeout(ANSWER_WITHIN)))
}

async fn open_store(folder: &Path) -> Result<EmbeddedStore, StorageError> {
    let config = EmbeddedConfig::new(folder.join(STORE_FOLDER));
    tokio::task::spawn_blocking(move || EmbeddedStore::open_existing(&config))
        .await
        .unwrap_or(Err(StorageError::Stopped))
}

fn unopened(folder: &Path, error: StorageError) -> anyhow::Error {
    let folder = folder.display();
    if matches!(error, StorageError::Missing(_)) {
        return anyhow!(BadInput(format!(
            "{folder} is not a data folder of tickstream, since it has no store: pass its folder with \
             --data-dir, or the address of a running tickstream with --server"
        )));
    }
    anyhow::Error::new(error).context(format!("the store in {folder} cannot be opened"))
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, StatusCode};
    use axum::response::IntoResponse as _;
    use axum::routing::get;
    use axum::{Json, Router};
    use serde_json::json;
    use tempfile::TempDir;
    use tokio::net::TcpListener;

    use super::*;

    const TOKEN: &str = "operator-0123456789-0123456789-0";

    fn options(folder: &TempDir, token: Option<&str>) -> DataOptions {
        DataOptions {
            data_dir: folder.path().to_owned(),
            server: None,
            token: token.map(|token| Secret::read(token).unwrap()),
            timeout: 20,
        }
    }

    fn store(folder: &TempDir) -> EmbeddedStore {
        let config = EmbeddedConfig::new(folder.path().join(STORE_FOLDER));
        EmbeddedStore::open(&config).unwrap()
    }

    /// A process that has this identity and wants the token; returns its file.
    async fn process(pid: u32, protected: bool) -> ProcessFile {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let status = async move |headers: HeaderMap| {
            let sent = headers.get("authorization");
            let known = sent.is_some_and(|sent| sent == format!("Bearer {TOKEN}").as_str());
            if protected && !known {
                return StatusCode::UNAUTHORIZED.into_response();
            }
            // It is only sent where it is needed.
            assert!(protected || sent.is_none());
            Json(json!({"pid": pid, "started_at": 5})).into_response()
        };
        let router = Router::new().route("/api/status", get(status));
        tokio::spawn(async move { axum::serve(listener, router).await });
        ProcessFile {
            url,
            pid,
            version: "0.1.0".to_owned(),
            started_at_ms: 5,
        }
    }

    async fn refused(options: &DataOptions) -> String {
        match options.open().await {
            Ok(_) => panic!("it was opened"),
            Err(error) => format!("{error:#}"),
        }
    }

    #[tokio::test]
    async fn the_process_that_has_the_store_open_is_asked() {
        for protected in [false, true] {
            let folder = TempDir::new().unwrap();
            let store = store(&folder);
            let file = process(4711, protected).await;
            file.write(folder.path()).unwrap();
            let found = options(&folder, Some(TOKEN)).open().await.unwrap();
            let DataAccess::Server(server) = found else {
                panic!("the store was opened twice");
            };
            assert_eq!(server.base(), file.url);
            store.close();
        }
    }

    #[tokio::test]
    async fn what_a_killed_process_left_has_no_effect() {
        let folder = TempDir::new().unwrap();
        store(&folder).close();
        // Another tickstream has its port now.
        process(1, false).await.write(folder.path()).unwrap();
        let found = options(&folder, None).open().await.unwrap();
        let DataAccess::Store(opened) = found else {
            panic!("another process was asked");
        };
        opened.store.close();
    }

    #[tokio::test]
    async fn a_store_in_use_whose_process_cannot_be_asked_is_an_error_that_says_why() {
        let folder = TempDir::new().unwrap();
        let store = store(&folder);
        let error = refused(&options(&folder, None)).await;
        assert!(error.contains("no address of it"), "{error}");
        assert!(error.contains("--server"), "{error}");

        let running = process(4711, false).await;
        let before = ProcessFile {
            pid: 4710,
            ..running.clone()
        };
        before.write(folder.path()).unwrap();
        let error = refused(&options(&folder, None)).await;
        assert!(error.contains("another process is at"), "{error}");

        let gone = ProcessFile {
            url: "http://127.0.0.1:9".to_owned(),
            ..running
        };
        gone.write(folder.path()).unwrap();
        let error = refused(&options(&folder, None)).await;
        assert!(error.contains("cannot be asked"), "{error}");

        process(4711, true).await.write(folder.path()).unwrap();
        let error = refused(&options(&folder, None)).await;
        assert!(error.contains("set OPERATOR_TOKEN"), "{error}");
        let wrong = TOKEN.replace('0', "1");
        let error = refused(&options(&folder, Some(&wrong))).await;
        assert!(error.contains("is not that of the server"), "{error}");
        assert!(!error.contains(&wrong), "{error}");
        store.close();
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_that_hangs_is_one_failure_with_one_advice() {
        let folder = TempDir::new().unwrap();
        let store = store(&folder);
        // Connections are accepted by the system, and nobody reads them.
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let hung = ProcessFile {
            url: url.clone(),
            pid: 4711,
            version: "0.1.0".to_owned(),
            started_at_ms: 5,
        };
        hung.write(folder.path()).unwrap();
        let error = refused(&options(&folder, None)).await;
        assert!(
            error.contains(&format!("does not answer at {url}")),
            "{error}"
        );
        assert!(error.contains("restart it): no response within"), "{error}");
        assert!(!error.contains("--server"), "{error}");
        assert!(!error.contains("another --data-dir"), "{error}");
        store.close();
    }

    #[tokio::test]
    async fn a_folder_without_a_store_stays_as_it_is() {
        let folder = TempDir::new().unwrap();
        let error = refused(&options(&folder, None)).await;
        assert!(error.contains("is not a data folder"), "{error}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
