//! The archive in a bucket: the same files, compacted on S3, with killed runs.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use app::objects::Objects;
use aws::archive::S3Objects;
use integration::emulator::{self, Emulator};
use testkit::runtime_api::Answered;

use crate::generated::{counted, program, write};

/// The bucket with a test's archive.
struct Bucket {
    emulator: &'static Emulator,
    objects: S3Objects,
    place: String,
}

async fn bucket() -> Bucket {
    let emulator = emulator::start().await.unwrap();
    let name = format!("{}-archive", emulator.unique_project());
    let client = emulator.s3();
    client.create_bucket().bucket(&name).send().await.unwrap();
    Bucket {
        emulator,
        objects: S3Objects::new(&client, &name, "price-archive/"),
        place: format!("s3://{name}/price-archive/"),
    }
}

impl Bucket {
    async fn upload(&self, data: &Path) {
        let local = archive::Folder::new(data);
        for object in local.list("year=").await.unwrap() {
            let path = archive::table_folder(data).join(&object.name);
            self.objects.put(&object.name, &path).await.unwrap();
        }
    }

    /// The files that Athena would read: all that are not hidden, ignoring the manifest.
    async fn as_athena_sees_it(&self) -> tempfile::TempDir {
        let data = tempfile::tempdir().unwrap();
        for object in self.objects.list("year=").await.unwrap() {
            let path = archive::table_folder(data.path()).join(&object.name);
            let name = path.file_name().unwrap().to_str().unwrap();
            if !name.starts_with(['_', '.']) {
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                assert!(self.objects.fetch(&object.name, &path).await.unwrap());
            }
        }
        data
    }

    fn compaction(&self, options: &[&str]) -> std::process::Child {
        let mut tickctl = program("tickctl");
        tickctl.args(["compact", "--archive", &self.place]);
        tickctl.args(options).envs(self.emulator.environment());
        tickctl.stdout(Stdio::piped()).stderr(Stdio::piped());
        tickctl.spawn().unwrap()
    }
}

#[tokio::test]
async fn an_archive_on_s3_is_compacted_and_killed_runs_are_completed() {
    let bucket = bucket().await;
    let data = tempfile::tempdir().unwrap();
    write(data.path(), 0, 0, 600, 100);
    write(data.path(), 1, 0, 50, 50);
    bucket.upload(data.path()).await;

    // The first run is complete; the next ones have late files to merge, and are killed.
    let started = Instant::now();
    let output = bucket.compaction(&["--json"]).wait_with_output().unwrap();
    let whole = started.elapsed();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let seen = bucket.as_athena_sees_it().await;
    assert_eq!(counted(seen.path()), (600, 600), "duplicates are removed");

    let late = tempfile::tempdir().unwrap();
    write(late.path(), 2, 600, 900, 50);
    bucket.upload(late.path()).await;
    for kill in 1..4 {
        let mut run = bucket.compaction(&[]);
        std::thread::sleep(whole * kill / 4);
        run.kill().unwrap();
        run.wait().unwrap();
        let seen = bucket.as_athena_sees_it().await;
        let (rows, ids) = counted(seen.path());
        assert_eq!(ids, 900, "no row is missing, of {rows}");
        // The lease of a killed run is valid for half an hour; an operator removes it.
        let lease = archive::compaction::LEASE.to_owned();
        bucket.objects.delete(&[lease]).await.unwrap();
    }
    let output = bucket.compaction(&[]).wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let seen = bucket.as_athena_sees_it().await;
    assert_eq!(counted(seen.path()), (900, 900));
    let names = bucket.objects.list("").await.unwrap();
    let hidden = names
        .iter()
        .filter(|object| object.name.contains("/_next-"));
    assert_eq!(hidden.count(), 0, "{names:?}");
}

#[tokio::test]
async fn the_function_compacts_the_closed_days() {
    let bucket = bucket().await;
    let data = tempfile::tempdir().unwrap();
    write(data.path(), 0, 0, 200, 50);
    write(data.path(), 1, 0, 50, 50);
    bucket.upload(data.path()).await;
    let mut environment = bucket.emulator.environment();
    environment.push(("ARCHIVE_URL", bucket.place.clone()));
    environment.push(("ANOMALIES_URL", "s3://nothing/anomalies/".to_owned()));
    environment.push(("ANALYTICS_TABLE", "nothing".to_owned()));
    // The generated days are long ago.
    environment.push(("COMPACTION_DAYS", "3650".to_owned()));
    let environment: Vec<(&str, &str)> = environment
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let program = integration::bootstraps::program("compaction").unwrap();
    let function = testkit::runtime_api::start(&program, &environment).await;
    let answered = function.invoke(serde_json::json!({})).await;
    let Answered::Response(outcome) = answered else {
        panic!("{answered:?}");
    };
    assert!(outcome["compacted"].as_u64() >= Some(1), "{outcome}");
    let seen = bucket.as_athena_sees_it().await;
    assert_eq!(counted(seen.path()), (200, 200), "duplicates are removed");
    let again = function.invoke(serde_json::json!({})).await;
    assert_eq!(
        again,
        Answered::Response(serde_json::json!({
            "compacted": 0, "unchanged": outcome["compacted"],
        }))
    );
}

#[tokio::test]
async fn two_compactions_of_a_bucket_do_not_run_concurrently() {
    let bucket = bucket().await;
    let data = tempfile::tempdir().unwrap();
    write(data.path(), 0, 0, 200, 50);
    bucket.upload(data.path()).await;
    let mut first = bucket.compaction(&[]);
    let lease = async {
        while bucket
            .objects
            .read(archive::compaction::LEASE)
            .await
            .unwrap()
            .is_none()
        {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), lease)
        .await
        .unwrap();
    // Stopped while holding its lease, like a machine that swaps.
    let pid = first.id().to_string();
    let signal = |name: &str| {
        let mut kill = std::process::Command::new("kill");
        assert!(kill.args([name, &pid]).status().unwrap().success());
    };
    signal("-STOP");
    let second = bucket.compaction(&[]).wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(1), "{said}");
    assert!(said.contains("is already compacting"), "{said}");
    signal("-CONT");
    assert!(first.wait().unwrap().success());
    let seen = bucket.as_athena_sees_it().await;
    assert_eq!(counted(seen.path()), (200, 200));
}
