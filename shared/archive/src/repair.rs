//! Adds ticks that an archive lacks, in a folder or on S3.

use std::path::Path;

use app::day_folder::day_folder;
use app::objects::Objects;
use app::ports::PortError;
use domain::Tick;

use crate::error::ArchiveError;
use crate::file;
use crate::identity_sum::IdentitySum;
use crate::layout::repaired_name;
use crate::manifest::{MANIFEST, Manifest};
use crate::writer::by_day;

/// Writes ticks to one file for each day, whose name is made from the ticks: adding the same ticks again replaces it.
/// A compaction merges it with the others. `work` is a folder for temporary files.
///
/// # Errors
/// [`PortError`]; the files of some days may have been written.
pub async fn add_missing(
    objects: &dyn Objects,
    work: &Path,
    ticks: &[Tick],
) -> Result<(), PortError> {
    let failed = |error: ArchiveError| PortError {
        operation: "repair the archive",
        retryable: false,
        source: Box::new(error),
    };
    for (day, ticks) in by_day(ticks).map_err(failed)? {
        let ids = IdentitySum::of(&ticks).to_string();
        let folder = day_folder(day);
        let name = free_name(objects, &folder, &ids).await?;
        let ticks: Vec<Tick> = ticks.into_iter().cloned().collect();
        let dir = tempfile::tempdir_in(work).map_err(ArchiveError::io("use", work));
        let dir = dir.map_err(failed)?;
        let path = dir.path().join("ticks.parquet");
        let to = path.clone();
        let written = tokio::task::spawn_blocking(move || {
            let mut ticks: Vec<&Tick> = ticks.iter().collect();
            let about = file::about(&[("repair", ids)]);
            file::write(&to, about, &mut ticks)
        });
        let written = written.await.map_err(|error| PortError {
            operation: "repair the archive",
            retryable: false,
            source: Box::new(error),
        })?;
        written.map_err(failed)?;
        objects.put(&format!("{folder}/{name}"), &path).await?;
    }
    Ok(())
}

/// A name that the day's manifest does not hide, as it would after a compaction has merged an earlier file of it.
async fn free_name(objects: &dyn Objects, folder: &str, ids: &str) -> Result<String, PortError> {
    let read = objects.read(&format!("{folder}/{MANIFEST}")).await?;
    let manifest = match read {
        None => Manifest::none(),
        Some((content, _)) => Manifest::parse(&content).map_err(|error| PortError {
            operation: "repair the archive",
            retryable: false,
            source: format!("{folder}/{MANIFEST}: {error}").into(),
        })?,
    };
    let mut names = (0..).map(|attempt| repaired_name(ids, attempt));
    let free = names.find(|name| !manifest.replaced.contains(name));
    Ok(free.unwrap_or_default())
}
