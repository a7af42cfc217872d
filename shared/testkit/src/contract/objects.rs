//! The contract of the objects of an archive.

#![expect(clippy::expect_used, reason = "a contract suite fails by panicking")]

use std::path::Path;

use app::objects::{Condition, Objects, Replaced};

/// Objects are written, listed, copied and removed atomically, and conditions are respected.
/// `scratch` is a local folder for their contents. The archive is empty before and after.
///
/// # Panics
/// If the adapter breaks the contract.
pub async fn objects(objects: &dyn Objects, scratch: &Path) {
    assert!(listed(objects, "").await.is_empty(), "it is empty");
    contents(objects, scratch).await;
    listings(objects, scratch).await;
    conditions(objects).await;
    assert!(listed(objects, "").await.is_empty(), "it is empty again");
}

async fn listed(objects: &dyn Objects, prefix: &str) -> Vec<(String, u64)> {
    let listed = objects.list(prefix).await.expect("a listing");
    let pairs = listed.into_iter().map(|object| (object.name, object.bytes));
    pairs.collect()
}

async fn put(objects: &dyn Objects, scratch: &Path, name: &str, content: &[u8]) {
    let from = scratch.join("from");
    std::fs::write(&from, content).expect("a file");
    objects.put(name, &from).await.expect("it is put");
    std::fs::remove_file(&from).expect("the file is still ours");
}

async fn content(objects: &dyn Objects, name: &str) -> Option<Vec<u8>> {
    let read = objects.read(name).await.expect("an answer");
    read.map(|(content, _)| content)
}

async fn contents(objects: &dyn Objects, scratch: &Path) {
    const NAME: &str = "year=2026/month=03/day=07/a.parquet";
    let to = scratch.join("to");
    assert!(!objects.fetch(NAME, &to).await.expect("an answer"));
    assert_eq!(content(objects, NAME).await, None);
    assert!(!objects.copy(NAME, "b").await.expect("an answer"));

    put(objects, scratch, NAME, b"one").await;
    let first = objects.list("").await.expect("a listing");
    put(objects, scratch, NAME, b"two!").await;
    let second = objects.list("").await.expect("a listing");
    assert_eq!(content(objects, NAME).await, Some(b"two!".to_vec()));
    let version = |listing: &[app::objects::Object]| listing.first().map(|o| o.version.clone());
    assert_ne!(
        version(&first),
        version(&second),
        "another write has another version"
    );

    let copied = "year=2026/month=03/day=07/_b.parquet";
    for _ in 0..2 {
        assert!(objects.copy(NAME, copied).await.expect("it is copied"));
    }
    // A copy does not change with its source.
    put(objects, scratch, NAME, b"three").await;
    assert!(objects.fetch(copied, &to).await.expect("it is there"));
    assert_eq!(std::fs::read(&to).expect("a file"), b"two!");
    std::fs::remove_file(&to).expect("a file");

    let large = vec![7; 3 * 1024 * 1024];
    put(objects, scratch, NAME, &large).await;
    assert!(objects.fetch(NAME, &to).await.expect("it is there"));
    assert!(std::fs::read(&to).expect("a file") == large);
    std::fs::remove_file(&to).expect("a file");

    let names = [NAME, copied, "year=2026/none"].map(str::to_owned);
    for _ in 0..2 {
        objects.delete(&names).await.expect("they are gone");
    }
    objects.delete(&[]).await.expect("nothing is done");
}

async fn listings(objects: &dyn Objects, scratch: &Path) {
    let names = [
        "_compaction.lease",
        "year=2026/month=03/day=07/_compaction.json",
        "year=2026/month=03/day=07/a b+c%.parquet",
        "year=2026/month=03/day=07/a.parquet",
        "year=2026/month=03/day=08/a.parquet",
    ];
    for name in names.into_iter().rev() {
        put(objects, scratch, name, name.as_bytes()).await;
    }
    for (prefix, expected) in [
        ("", 0..5),
        ("year=", 1..5),
        ("year=2026/month=03/day=07/", 1..4),
        ("year=2026/month=03/day=07/a", 2..4),
        ("year=2027/", 0..0),
    ] {
        let expected: Vec<(String, u64)> = names
            .iter()
            .skip(expected.start)
            .take(expected.len())
            .map(|name| ((*name).to_owned(), name.len() as u64))
            .collect();
        assert_eq!(listed(objects, prefix).await, expected, "`{prefix}`");
    }
    for (of, expected) in [
        ("", &["year=2026/"][..]),
        ("year=2026/", &["year=2026/month=03/"]),
        (
            "year=2026/month=03/",
            &["year=2026/month=03/day=07/", "year=2026/month=03/day=08/"],
        ),
        ("year=2026/month=03/day=07/", &[]),
        ("year=2027/", &[]),
    ] {
        let folders = objects.folders(of).await.expect("a listing");
        assert_eq!(folders, expected, "the folders of `{of}`");
    }
    let names = names.map(str::to_owned);
    objects.delete(&names).await.expect("they are gone");
}

async fn conditions(objects: &dyn Objects) {
    const NAME: &str = "year=2026/month=03/day=07/_compaction.json";
    let replace = async |content: &str, condition: Condition<'_>| {
        let content = content.as_bytes().to_vec();
        let replaced = objects.replace(NAME, content, condition).await;
        match replaced.expect("an answer") {
            Replaced::Done(version) => Some(version),
            Replaced::Changed => None,
        }
    };
    assert_eq!(replace("0", Condition::Is("no version")).await, None);
    let first = replace("1", Condition::Absent).await.expect("it is new");
    assert_eq!(replace("2", Condition::Absent).await, None);
    let read = objects.read(NAME).await.expect("an answer");
    assert_eq!(read, Some((b"1".to_vec(), first.clone())));
    let second = replace("2", Condition::Is(&first)).await;
    let second = second.expect("nobody changed it");
    assert_eq!(replace("3", Condition::Is(&first)).await, None);
    let read = objects.read(NAME).await.expect("an answer");
    assert_eq!(read, Some((b"2".to_vec(), second)));
    for content in ["4", "5"] {
        let written = replace(content, Condition::Always).await;
        let written = written.expect("whatever it was");
        let read = objects.read(NAME).await.expect("an answer");
        assert_eq!(read, Some((content.as_bytes().to_vec(), written)));
    }
    let name = [NAME.to_owned()];
    objects.delete(&name).await.expect("it is gone");
    let created = replace("6", Condition::Always).await;
    assert!(created.is_some(), "it did not exist");
    objects.delete(&name).await.expect("it is gone");
}
