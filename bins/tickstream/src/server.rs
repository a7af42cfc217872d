//! Opens the store, connects the ports, listens, and stops gracefully.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, anyhow};
use app::flag_editor::FlagEditor;
use app::ingest::Ingest;
use app::live::Conflator;
use app::ports::{Clock, RolloutStore};
use archive::Archive;
use axum::Router;
use domain::analytics::AnalysisConfig;
use domain::{Rollout, RolloutChange};
use ops::verify::DueAfter;
use runtime::host::{self, Limits};
use store::{
    AnomalyFiles, Archiver, Backups, EmbeddedConfig, EmbeddedStore, LocalVerify, ProcessFile,
    QuarantineFiles,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use webhook::Webhook;
use webhook::auth::FixedSecrets;

use crate::access::Access;
use crate::api::{self, Api};
use crate::config::{Config, reachable};
use crate::consumers::{self, Consumers, Retention};
use crate::dashboard;
use crate::demo::feeder;
use crate::guard::{Hosts, guard};
use crate::live::Live;
use crate::metrics::Metrics;
use crate::supervisor::{Failure, Progress, Supervisor};

/// How long a delivery may take before its sender is asked to retry.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// How long requests in progress may take once the process is asked to stop.
const DRAIN_WITHIN: Duration = Duration::from_secs(5);

/// How long the consumers may take to finish and flush after that.
const FLUSH_WITHIN: Duration = Duration::from_secs(20);

const MS_PER_HOUR: i64 = 60 * 60 * 1_000;

/// How often a disk that failed is tried.
const PROBE_EVERY: Duration = Duration::from_secs(2);

/// Why the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It was asked to stop.
    Stopped,
    /// The store's engine failed, and the disk accepts writes again: the process should be started again.
    Recovered,
}

/// The system's clock as a port.
struct SystemClock;

impl Clock for SystemClock {
    fn now_ms(&self) -> i64 {
        runtime::clock::now_ms()
    }
}

/// A process that is ready to serve.
pub struct Server {
    pub(crate) config: Config,
    pub(crate) rollout: Rollout,
    listener: TcpListener,
    pub(crate) address: SocketAddr,
    /// How the operators' tool finds this process.
    process: ProcessFile,
    pub(crate) secured: bool,
    /// Whether operators can change the rollout.
    pub(crate) changeable: bool,
    store: EmbeddedStore,
    ingest: Ingest,
    consumers: Consumers,
    supervisor: Supervisor,
    /// Cancelled as soon as it is asked to stop.
    ending: CancellationToken,
    /// Cancelled once the requests are finished.
    stopping: CancellationToken,
    router: Router,
    connections_max: usize,
}

impl Server {
    /// Opens the store, wires everything, and listens; nothing is served yet.
    ///
    /// # Errors
    /// If the configuration is refused, the folder cannot be used, or the address is in use.
    pub async fn start(config: Config) -> anyhow::Result<Self> {
        let Access { secrets, operator } = Access::read(&config)?;
        let secured = !secrets.is_empty();
        let operator = Arc::new(operator);
        let listener = TcpListener::bind(config.listen.address)
            .await
            .with_context(|| {
                format!(
                    "cannot listen on {}; choose another --listen",
                    config.listen.address
                )
            })?;
        let address = listener
            .local_addr()
            .context("the listener has no address")?;
        let store = open_store(&config).await?;
        turn_off_if_configured(&store, &config).await?;
        let archive = Archive::open(&config.data_dir)
            .with_context(|| format!("cannot open the archive in {}", config.data_dir.display()))?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let archive = Arc::new(archive);
        let archiver = Arc::new(Archiver::new(
            store.clone(),
            Arc::clone(&archive) as _,
            Arc::clone(&clock),
        ));
        let quarantine_files = QuarantineFiles::new(store.clone(), &config.data_dir);
        let anomaly_files =
            AnomalyFiles::open(store.clone(), &config.data_dir).with_context(|| {
                format!("cannot open the anomalies in {}", config.data_dir.display())
            })?;
        let backups = Backups::new(
            store.clone(),
            Arc::clone(&archiver),
            quarantine_files.clone(),
            anomaly_files.clone(),
            &config.data_dir,
            &config.backup_dir(),
        );
        let flag = Arc::new(store.flag(config.rollout()));
        let conflator = Arc::new(Conflator::default());
        let ingest = Ingest {
            store: Arc::new(store.clone()),
            stream: Arc::new(store.clone()),
            broadcast: Arc::clone(&conflator) as _,
            // The embedded stream accepts or refuses a batch as a whole.
            redrive: None,
            quarantine: Arc::new(store.clone()),
            ledger: Arc::new(store.clone()),
            flag: Arc::clone(&flag) as _,
            clock: Arc::clone(&clock),
            new_ids_from_ms: store.new_ids_from_ms(),
            settings: Arc::new(config.sources.settings()),
            recent_offers: Arc::default(),
        };
        let connections_max = host::connections_max();
        let live = Live::new(Arc::clone(&conflator), store.clone(), connections_max);
        let supervisor = Supervisor::default();
        let metrics = Arc::new(Metrics::new(store.clone(), supervisor.clone()));
        let webhook = Arc::new(Webhook::new(
            ingest.clone(),
            Arc::new(FixedSecrets::new(secrets)),
            ANSWER_WITHIN,
        ));
        let control = FlagEditor {
            flag: flag as _,
            store: Arc::new(store.clone()),
            clock: Arc::clone(&clock),
        };
        let rollout = control.flag.current().await;
        let process = ProcessFile {
            url: format!("http://{}", reachable(address)),
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at_ms: runtime::clock::now_ms(),
        };
        let archive_every = Duration::from_secs(config.archive_seconds);
        let consumers = Consumers {
            store: store.clone(),
            ingest: ingest.clone(),
            conflator,
            clock,
            archiver: Arc::clone(&archiver),
            quarantine_files,
            anomaly_files,
            live: live.clone(),
            metrics: Arc::clone(&metrics),
            archive_every,
            analysis: AnalysisConfig::with_reports_per_day(config.anomaly_reports_per_day),
            retention: Retention {
                store_ms: i64::from(config.retention_days) * 24 * MS_PER_HOUR,
                stream_ms: i64::from(config.stream_hours) * MS_PER_HOUR,
                stream_bytes_max: config.stream_max_mb * 1_000_000,
            },
        };
        let stopping = CancellationToken::new();
        let ending = stopping.child_token();
        let api = Arc::new(Api {
            store: store.clone(),
            ingest: ingest.clone(),
            control,
            archive,
            archiver,
            archive_every,
            backups: Arc::new(backups),
            verify: LocalVerify::new(
                store.clone(),
                &config.data_dir,
                DueAfter::here(archive_every),
            ),
            disk_look: Arc::default(),
            verifying: Arc::default(),
            operator: Arc::clone(&operator),
            live,
            metrics: Arc::clone(&metrics),
            supervisor: supervisor.clone(),
            process: process.clone(),
            ending: ending.clone(),
            demo: config.demo,
            turned_off: config.use_kinesis == Some(false),
        });
        let router = Router::new()
            .merge(webhook::router(webhook))
            .merge(api::router(api))
            .merge(dashboard::router());
        let hosts = Hosts::new(address, &config.listen.host, &config.public_hosts);
        let router = metrics.layer(guard(router, hosts, Arc::clone(&operator)));
        Ok(Self {
            config,
            rollout,
            listener,
            address,
            process,
            secured,
            changeable: operator.is_possible(),
            store,
            ingest,
            consumers,
            supervisor,
            ending,
            stopping,
            router,
            connections_max,
        })
    }

    /// Starts a consumer besides those of the process: it is restarted and reported like them. It must end once its
    /// token is cancelled.
    pub fn supervise<F, R>(&self, name: &str, consumer: F)
    where
        F: Fn(Progress, CancellationToken) -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), Failure>> + Send + 'static,
    {
        self.supervisor.spawn(name, &self.stopping, consumer);
    }

    /// The address that it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` is done, then finishes requests, lets the consumers finish, flushes the
    /// archive, and disconnects the readers of the live feed, each within a limit.
    ///
    /// # Errors
    /// If the store does not close. Everything that was acknowledged is durable in any case.
    pub async fn run(
        self,
        stop: impl Future<Output = std::io::Result<()>> + Send + 'static,
    ) -> anyhow::Result<Ended> {
        let Self {
            config,
            listener,
            process,
            store,
            ingest,
            consumers,
            supervisor,
            ending,
            stopping,
            router,
            connections_max,
            ..
        } = self;
        if let Err(error) = process.write(&config.data_dir) {
            tracing::warn!(error = %error, "the address could not be written to the data folder: tickctl needs --server");
        }
        let live = consumers.live.clone();
        // Before the outbox of an earlier process is drained.
        let traffic = &consumers.metrics.traffic;
        let records = store.stream_records();
        traffic.sample(runtime::clock::now_ms(), &store.ledger(), records);
        consumers::spawn(consumers, &supervisor, &stopping);
        if config.demo {
            let (ingest, seed) = (ingest.clone(), config.demo_seed);
            supervisor.spawn("demo", &ending, move |progress, stopping| {
                feeder::feed(ingest.clone(), seed, progress, stopping)
            });
        }
        let recovered = Arc::new(AtomicBool::new(false));
        let stop = {
            let (store, recovered) = (store.clone(), Arc::clone(&recovered));
            async move {
                tokio::select! {
                    stop = stop => if let Err(error) = stop {
                        tracing::error!(error = %error, "signals cannot be received; stopping");
                    },
                    () = disk_recovered(store) => recovered.store(true, Ordering::Relaxed),
                }
                tracing::info!("stopping: finishing the requests in progress");
                ending.cancel();
            }
        };
        let limits = Limits::new(DRAIN_WITHIN, connections_max);
        let ended = host::serve(listener, router, stop, limits).await;
        stopping.cancel();
        if tokio::time::timeout(FLUSH_WITHIN, supervisor.ended())
            .await
            .is_err()
        {
            tracing::warn!(
                "the consumers did not finish in time; the next start continues where they stopped"
            );
        }
        drop(ingest);
        // Each reader's connection holds the store.
        live.end().await;
        if let Err(error) = ProcessFile::remove(&config.data_dir) {
            tracing::warn!(error = %error, "the file with this process's address could not be removed");
        }
        tokio::task::spawn_blocking(move || store.close())
            .await
            .context("closing the store")?;
        tracing::info!(?ended, "stopped");
        Ok(if recovered.load(Ordering::Relaxed) {
            Ended::Recovered
        } else {
            Ended::Stopped
        })
    }
}

/// Waits until the store's engine has failed, and then until the disk accepts writes again. Meanwhile writes are
/// refused and reading continues: the engine accepts no writes until it is opened again.
async fn disk_recovered(store: EmbeddedStore) {
    store.failed().await;
    tracing::error!(
        "the store failed: deliveries are refused until the disk accepts writes and the store is opened again; reading continues"
    );
    loop {
        tokio::time::sleep(PROBE_EVERY).await;
        let store = store.clone();
        let probed = tokio::task::spawn_blocking(move || store.probe_disk()).await;
        match probed {
            Ok(Ok(())) => return,
            Ok(Err(error)) => {
                tracing::debug!(error = %error, "the disk does not accept writes yet")
            }
            Err(error) => tracing::debug!(error = %error, "the disk was not tried"),
        }
    }
}

async fn open_store(config: &Config) -> anyhow::Result<EmbeddedStore> {
    let folder = config.data_dir.display();
    std::fs::create_dir_all(&config.data_dir).with_context(|| {
        format!("cannot create the data folder {folder}: choose another --data-dir")
    })?;
    let embedded = EmbeddedConfig {
        min_free_bytes: config.min_free_disk_mb * 1_000_000,
        ..EmbeddedConfig::new(config.data_dir.join(store::STORE_FOLDER))
    };
    let opened = tokio::task::spawn_blocking(move || EmbeddedStore::open(&embedded))
        .await
        .context("opening the store")?;
    opened.map_err(|error| match io_cause(&error) {
        Some(cause) => anyhow!(
            "cannot open the store in {folder}: {cause}; make the folder writable, or choose \
             another --data-dir"
        ),
        None => anyhow::Error::new(error).context(format!("cannot open the store in {folder}")),
    })
}

/// The operating system's error that caused an error, if any, which is clearer than the engine's.
fn io_cause<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a std::io::Error> {
    std::iter::successors(Some(error), |error| error.source())
        .find_map(|error| error.downcast_ref())
}

/// `USE_KINESIS=false` wins over a remembered change, and is recorded like any other.
async fn turn_off_if_configured(store: &EmbeddedStore, config: &Config) -> anyhow::Result<()> {
    let remembered = store.last_rollout_change();
    let Some(remembered) = remembered.filter(|change| change.rollout.use_kinesis) else {
        return Ok(());
    };
    if config.use_kinesis != Some(false) {
        return Ok(());
    }
    let change = RolloutChange {
        at_ms: runtime::clock::now_ms(),
        who: "environment".to_owned(),
        why: "started with USE_KINESIS=false".to_owned(),
        rollout: Rollout {
            use_kinesis: false,
            ..remembered.rollout
        },
    };
    store
        .change(change)
        .await
        .context("cannot record the rollout")
}
