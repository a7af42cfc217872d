//! The function on an archive in a folder, and its bootstrap with a fake Runtime API.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use app::objects::Objects;
use app::ports::PortError;
use app::unarchived_anomalies::{UnarchivedAnomalies, UnarchivedDay};
use archive::compaction::Lease;
use archive::{AnomalyArchive, Archive, Folder};
use async_trait::async_trait;
use compaction::config::Config;
use compaction::event::{Done, Event, Tasks};
use compaction::handler::{ClosedDays, ClosedDaysError, Outcome};
use domain::Tick;
use domain::analytics::Anomaly;
use runtime::lambda::Settings as _;
use serde_json::json;
use testkit::anomalies::jump_at;
use testkit::market::{DAY_MS, tick};
use testkit::runtime_api::{self, Answered};

const MS_PER_DAY: i64 = 86_400_000;

/// Noon of the third day.
const NOW_MS: i64 = DAY_MS + 2 * MS_PER_DAY + MS_PER_DAY / 2;

const OLD: &str = "year=2026/month=01/day=26";
const FIRST: &str = "year=2026/month=03/day=07";
const SECOND: &str = "year=2026/month=03/day=08";
const TODAY: &str = "year=2026/month=03/day=09";

/// An archive with five small files in each of its days, one of which is older than 35 days.
struct Scene {
    data: tempfile::TempDir,
    objects: Arc<dyn Objects>,
}

impl Scene {
    fn new() -> Self {
        let data = tempfile::tempdir().unwrap();
        let archive = Archive::open(data.path()).unwrap();
        for file in 0..5_u64 {
            let at = |day: i64| -> Tick {
                let ms = DAY_MS + day * MS_PER_DAY + i64::try_from(file).unwrap() * 1_000;
                tick("BTC", "68900.5", ms)
            };
            let ticks = [at(-40), at(0), at(1), at(2)];
            archive.write_range(0, file, file, &ticks).unwrap();
        }
        let objects = Arc::new(Folder::new(data.path()));
        Self { data, objects }
    }

    fn closed_days(&self, time: Duration) -> ClosedDays {
        ClosedDays {
            objects: Arc::clone(&self.objects),
            clock: Arc::new(|| NOW_MS),
            days: 35,
            time,
            work: self.data.path().to_owned(),
        }
    }

    /// How many files a reader sees in a day.
    fn files(&self, folder: &str) -> usize {
        let folder = self.data.path().join("price-archive").join(folder);
        archive::day_files(&folder).unwrap().len()
    }

    fn all_files(&self) -> [usize; 4] {
        [OLD, FIRST, SECOND, TODAY].map(|folder| self.files(folder))
    }
}

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn the_closed_days_are_compacted_once() {
    let scene = Scene::new();
    let closed_days = scene.closed_days(MINUTE);
    let outcome = closed_days.compact().await.unwrap();
    let both = Outcome {
        compacted: 2,
        unchanged: 0,
    };
    assert_eq!(outcome, both);
    assert_eq!(scene.all_files(), [5, 1, 1, 5]);
    let again = closed_days.compact().await.unwrap();
    let none = Outcome {
        compacted: 0,
        unchanged: 2,
    };
    assert_eq!(again, none);
}

#[tokio::test]
async fn a_run_without_time_changes_nothing_and_says_so() {
    let scene = Scene::new();
    let error = scene.closed_days(Duration::ZERO).compact().await;
    let error = error.unwrap_err();
    assert!(
        matches!(&error, ClosedDaysError::Time { left: 2, newest } if newest == SECOND),
        "{error}"
    );
    assert_eq!(scene.all_files(), [5, 5, 5, 5]);
    // The lease was released.
    scene.closed_days(MINUTE).compact().await.unwrap();
}

#[tokio::test]
async fn another_compaction_is_left_alone() {
    let scene = Scene::new();
    let other = Lease::take(
        Arc::clone(&scene.objects),
        Arc::new(|| NOW_MS),
        "ann (process 7)",
        "t",
    );
    let _held = other.await.unwrap();
    let error = scene.closed_days(MINUTE).compact().await.unwrap_err();
    assert!(matches!(error, ClosedDaysError::Lease(_)), "{error}");
    assert_eq!(scene.all_files(), [5, 5, 5, 5]);
}

#[tokio::test]
async fn a_damaged_file_does_not_stop_the_other_days() {
    let scene = Scene::new();
    let damaged = scene.data.path().join("price-archive").join(SECOND);
    std::fs::write(damaged.join("damaged.parquet"), b"PAR1 and no more").unwrap();
    let error = scene.closed_days(MINUTE).compact().await.unwrap_err();
    assert!(
        matches!(&error, ClosedDaysError::Days { failed: 1, of: 2, first } if first == SECOND),
        "{error}"
    );
    // The rest of its day is compacted, too.
    assert_eq!(scene.all_files(), [5, 1, 2, 5]);
}

#[tokio::test]
async fn a_working_folder_that_is_missing_is_named() {
    let scene = Scene::new();
    let closed_days = ClosedDays {
        work: Path::new("/nowhere").to_owned(),
        ..scene.closed_days(MINUTE)
    };
    let error = closed_days.compact().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "could not create a working folder in /nowhere"
    );
}

#[test]
fn the_variables_are_those_of_the_template() {
    let variables = Config::environment();
    let expected = [
        "ANALYTICS_TABLE",
        "ANOMALIES_URL",
        "ARCHIVE_URL",
        "COMPACTION_DAYS",
        "COMPACTION_SECONDS",
        "LOG",
        "WORK_DIR",
    ];
    assert_eq!(variables, expected);
}

#[tokio::test]
async fn the_program_reports_that_it_could_not_reach_the_archive() {
    let environment = [
        ("ARCHIVE_URL", "s3://archive/price-archive/"),
        ("ANOMALIES_URL", "s3://archive/anomalies/"),
        ("ANALYTICS_TABLE", "analytics"),
        // Nobody listens on this port, so every call fails at once.
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:9"),
    ];
    let program = env!("CARGO_BIN_EXE_compaction");
    let bootstrap = runtime_api::start(program, &environment).await;
    bootstrap.ready().await;
    let Answered::Error(error) = bootstrap.invoke(json!({})).await else {
        panic!("the archive cannot be reached");
    };
    let message = error["errorMessage"].as_str().unwrap();
    assert!(
        message.starts_with("could not list the archive"),
        "{message}"
    );
}

/// Anomalies that are stored, and the days that are listed.
#[derive(Default)]
struct Stored {
    days: Mutex<Vec<UnarchivedDay>>,
    anomalies: Mutex<Vec<Anomaly>>,
    /// An anomaly that is stored while those of its day are read.
    meanwhile: Mutex<Option<Anomaly>>,
    fails: AtomicBool,
}

impl Stored {
    /// Stores an anomaly of the first day.
    fn put(&self, anomaly: Anomaly) {
        let mut anomalies = self.anomalies.lock().unwrap();
        anomalies.push(anomaly);
        let version = anomalies.len().to_string();
        *self.days.lock().unwrap() = vec![UnarchivedDay {
            day: "2026-03-07".to_owned(),
            version,
        }];
    }
}

struct Listed(Arc<Stored>);

#[async_trait]
impl UnarchivedAnomalies for Listed {
    async fn days(&self) -> Result<Vec<UnarchivedDay>, PortError> {
        if self.0.fails.load(Ordering::Relaxed) {
            return Err(PortError {
                operation: "list days",
                retryable: true,
                source: "throttled".into(),
            });
        }
        Ok(self.0.days.lock().unwrap().clone())
    }

    async fn of_day(&self, day: &str) -> Result<Vec<Anomaly>, PortError> {
        assert_eq!(day, "2026-03-07");
        let found = self.0.anomalies.lock().unwrap().clone();
        if let Some(meanwhile) = self.0.meanwhile.lock().unwrap().take() {
            self.0.put(meanwhile);
        }
        Ok(found)
    }

    async fn archived(&self, day: &UnarchivedDay) -> Result<(), PortError> {
        self.0.days.lock().unwrap().retain(|listed| listed != day);
        Ok(())
    }
}

fn tasks(scene: &Scene, stored: &Arc<Stored>) -> Tasks {
    let folder = Folder::of_anomalies(scene.data.path()).unwrap();
    Tasks {
        closed_days: scene.closed_days(MINUTE),
        anomalies: AnomalyArchive::new(Arc::new(folder)),
        unarchived: Box::new(Listed(Arc::clone(stored))),
    }
}

fn at_hour(hour: u32) -> Event {
    let event = json!({ "scheduled": format!("2026-03-09T{hour:02}:00:00Z") });
    serde_json::from_value(event).unwrap()
}

#[tokio::test]
async fn anomalies_are_archived_each_hour_and_those_stored_meanwhile_in_the_next() {
    let (scene, stored) = (Scene::new(), Arc::new(Stored::default()));
    let tasks = tasks(&scene, &stored);
    let of = |second: i64| jump_at(&tick("BTC", "68900.5", DAY_MS + second * 1_000));
    stored.put(of(0));
    *stored.meanwhile.lock().unwrap() = Some(of(1));
    for (hour, archived) in [(1, 1), (2, 1), (4, 0)] {
        let done = tasks.handle(at_hour(hour)).await.unwrap();
        let expected = Done {
            anomalies: Some(archived),
            closed_days: None,
        };
        assert_eq!(done, expected, "{hour}");
    }
    assert!(stored.days.lock().unwrap().is_empty());
    assert_eq!(scene.all_files(), [5, 5, 5, 5]);
}

#[tokio::test]
async fn anomalies_that_cannot_be_archived_do_not_prevent_the_compaction() {
    let (scene, stored) = (Scene::new(), Arc::new(Stored::default()));
    let tasks = tasks(&scene, &stored);
    stored.put(jump_at(&tick("BTC", "68900.5", DAY_MS)));
    stored.fails.store(true, Ordering::Relaxed);
    let error = tasks.handle(at_hour(3)).await.unwrap_err();
    assert_eq!(error.to_string(), "anomalies were not archived");
    assert_eq!(scene.all_files(), [5, 1, 1, 5]);
    stored.fails.store(false, Ordering::Relaxed);
    let done = tasks.handle(at_hour(4)).await.unwrap();
    assert_eq!(done.anomalies, Some(1));
    let by_hand = tasks.handle(Event::default()).await.unwrap();
    assert_eq!(json!(by_hand), json!({ "compacted": 0, "unchanged": 2 }));
}
