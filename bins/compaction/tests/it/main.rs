//! The function on an archive in a folder, and its bootstrap with a fake Runtime API.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use app::objects::Objects;
use archive::compaction::Lease;
use archive::{Archive, Folder};
use compaction::config::Config;
use compaction::handler::{ClosedDays, ClosedDaysError, Outcome};
use domain::Tick;
use runtime::lambda::Settings as _;
use serde_json::json;
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
