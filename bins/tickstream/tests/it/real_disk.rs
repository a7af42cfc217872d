//! A disk that answers nothing, and one that the kernel made read-only: real ones, in an image file.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use tempfile::TempDir;

use crate::crash::{Killable, spawn_on};
use crate::disk::{assert_none_lost, deliver_until, get};

/// Room for the store and a journal; a file system of this size is made in milliseconds.
const IMAGE_BYTES: u64 = 256 * 1_024 * 1_024;

/// What is read while nothing can be written.
const READS: [&str; 6] = [
    "/api/ticks/BTC?limit=1",
    "/api/ticks/BTC/latest",
    "/api/tokens",
    "/api/ledger",
    "/api/status",
    "/api/quarantine",
];

/// A command of the system; its error says why it cannot run here.
fn run(command: &mut Command) -> Result<String, String> {
    match command.output() {
        Ok(output) if output.status.success() => {
            Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        }
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        Err(error) => Err(format!("{}: {error}", command.get_program().display())),
    }
}

/// An ext4 file system in an image file, until it is dropped.
struct Disk {
    folder: TempDir,
}

impl Disk {
    fn mount() -> Result<Self, String> {
        let disk = Self {
            folder: TempDir::new().map_err(|error| error.to_string())?,
        };
        let image = disk.image("first");
        let file = std::fs::File::create(&image).map_err(|error| error.to_string())?;
        file.set_len(IMAGE_BYTES)
            .map_err(|error| error.to_string())?;
        run(Command::new("mkfs.ext4").arg("-q").arg(&image))?;
        std::fs::create_dir(disk.path()).map_err(|error| error.to_string())?;
        disk.mount_image(&image)?;
        Ok(disk)
    }

    /// Where it is mounted.
    fn path(&self) -> PathBuf {
        self.folder.path().join("disk")
    }

    fn image(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn mount_image(&self, image: &Path) -> Result<(), String> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "ext4", "-o", "loop,errors=remount-ro"]);
        run(mount.arg(image).arg(self.path())).map(drop)
    }

    /// The kernel finds an error in the file system, and accepts no more writes to it.
    fn fail(&self) -> Result<(), String> {
        let mut find = Command::new("findmnt");
        let device = run(find.args(["-n", "-o", "SOURCE"]).arg(self.path()))?;
        let device = device.trim_start_matches("/dev/");
        let trigger = format!("/sys/fs/ext4/{device}/trigger_fs_error");
        std::fs::write(&trigger, "a test").map_err(|error| format!("{trigger}: {error}"))
    }

    /// What an operator does: unmounts it, checks its file system, and mounts it.
    fn repair(&self) {
        run(Command::new("umount").arg("-l").arg(self.path())).unwrap();
        let repaired = self.image("repaired");
        // The process has files of the old mount open, so its device remains in use.
        std::fs::copy(self.image("first"), &repaired).unwrap();
        let check = Command::new("e2fsck").arg("-fp").arg(&repaired).output();
        // 1 and 2: errors were corrected.
        assert!(check.unwrap().status.code().unwrap() < 4);
        self.mount_image(&repaired).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(self.path()).output());
    }
}

/// A process that ends with the test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn not_shown(what: &str, why: &str) {
    // Not with `eprintln`, which a passing test hides.
    let mut stderr = std::io::stderr();
    writeln!(stderr, "== NOT SHOWN HERE: {what}: {why}").unwrap();
}

/// A disk that answers nothing, until it is dropped. Writes to it wait in the kernel, and cannot be interrupted.
struct Frozen {
    child: Child,
    stdin: Option<ChildStdin>,
}

impl Frozen {
    fn freeze(folder: &Path) -> Result<Self, String> {
        // It thaws the disk by itself when the test ends in whatever way, since its input ends then.
        let script = r#"fsfreeze -f "$0" && echo frozen; read -r _; fsfreeze -u "$0""#;
        let mut child = Command::new("sh")
            .args(["-c", script])
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| error.to_string())?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take().unwrap());
        let frozen = Self { child, stdin };
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        if line.trim() == "frozen" {
            Ok(frozen)
        } else {
            Err("fsfreeze: not possible".to_owned())
        }
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        drop(self.stdin.take());
        drop(self.child.wait());
    }
}

fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

async fn assert_reads(url: &str) {
    for path in READS {
        let (status, answer) = get(url, path).await;
        assert_eq!(status, 200, "{path}: {answer}");
    }
    assert_eq!(get(url, "/healthz").await.0, 503);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_disk_answers_nothing_deliveries_are_refused_and_reading_goes_on() {
    let what = "a disk that answers nothing";
    let disk = match Disk::mount() {
        Ok(disk) => disk,
        Err(why) => return not_shown(what, &why),
    };
    let data = disk.path().join("data");
    let Killable { child, url } = spawn_on(&data, &free_address(), &["--min-free-disk-mb", "0"]);
    let _process = Ended(child);
    let (mut next, mut answered) = (0, Vec::new());
    answered.extend(deliver_until(&url, &mut next, 200).await);
    let frozen = match Frozen::freeze(&disk.path()) {
        Ok(frozen) => frozen,
        Err(why) => return not_shown(what, &why),
    };
    answered.extend(deliver_until(&url, &mut next, 503).await);
    assert_reads(&url).await;
    drop(frozen);
    answered.extend(deliver_until(&url, &mut next, 200).await);
    assert_eq!(get(&url, "/healthz").await.0, 200);
    assert_none_lost(&url, &answered).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_whose_disk_became_read_only_recovers_once_it_is_repaired() {
    let what = "a disk that becomes read-only";
    let disk = match Disk::mount() {
        Ok(disk) => disk,
        Err(why) => return not_shown(what, &why),
    };
    let data = disk.path().join("data");
    let Killable { child, url } = spawn_on(&data, &free_address(), &["--min-free-disk-mb", "0"]);
    let mut process = Ended(child);
    let (mut next, mut answered) = (0, Vec::new());
    answered.extend(deliver_until(&url, &mut next, 200).await);
    if let Err(why) = disk.fail() {
        return not_shown(what, &why);
    }
    answered.extend(deliver_until(&url, &mut next, 503).await);
    assert_reads(&url).await;
    let flush = reqwest::Client::new().post(format!("{url}/api/archive/flush"));
    let refused = flush.send().await.unwrap();
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key("retry-after"));
    disk.repair();
    answered.extend(deliver_until(&url, &mut next, 200).await);
    assert!(process.0.try_wait().unwrap().is_none(), "it still runs");
    assert_none_lost(&url, &answered).await;
}
