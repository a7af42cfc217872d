use app::objects::Objects;
use archive::Folder;

#[tokio::test]
async fn a_folder_satisfies_the_contract_of_objects() {
    let data = tempfile::tempdir().unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let folder = Folder::new(data.path());
    let (_lock, _) = folder.lock().unwrap();
    testkit::contract::objects(&folder, scratch.path()).await;
    assert!(folder.place().ends_with("price-archive"));
}

#[tokio::test]
async fn a_name_that_leads_out_of_the_archive_is_refused() {
    let data = tempfile::tempdir().unwrap();
    let folder = Folder::new(data.path());
    for name in ["../x", "/etc/passwd", "a/../../x", ""] {
        assert!(folder.read(name).await.is_err(), "{name}");
        assert!(folder.delete(&[name.to_owned()]).await.is_err(), "{name}");
    }
}

#[tokio::test]
async fn leftovers_of_a_stopped_compaction_are_removed() {
    let data = tempfile::tempdir().unwrap();
    let folder = Folder::new(data.path());
    let (lock, work) = folder.lock().unwrap();
    std::fs::create_dir(work.join("day-1")).unwrap();
    std::fs::write(work.join("day-1/run"), "x").unwrap();
    drop(lock);
    let (_lock, again) = folder.lock().unwrap();
    assert_eq!(again, work);
    assert_eq!(std::fs::read_dir(work).unwrap().count(), 0);
    assert!(folder.list("").await.unwrap().is_empty());
}

/// Earlier builds kept temporary files in a folder of another name.
#[tokio::test]
async fn leftovers_of_earlier_builds_are_removed() {
    let data = tempfile::tempdir().unwrap();
    let old = data.path().join("price-archive.compaction/aside");
    std::fs::create_dir_all(&old).unwrap();
    std::fs::write(old.join("1-0"), "x").unwrap();
    let (_lock, _) = Folder::new(data.path()).lock().unwrap();
    assert!(!old.exists());
}
