//! Compacts one day.

use std::collections::BTreeMap;
use std::path::Path;

use app::objects::Object;

use super::columns::Columns;
use super::day_commit::{CommitState, DayObjects, State, added, merged_ranges};
use super::gather::{Gather, Gathered, Refused};
use super::output::Output;
use super::plan::{Plan, file_name, file_totals, plan};
use super::verify::ids_in_order;
use super::{
    Compaction, CompactionError, DayFolder, DayPlan, DayReport, Files, Removed, Unreadable,
};
use crate::identity_sum::IdentitySum;
use crate::manifest::{Added, Manifest, hidden, visible};

/// The rewritten rows of a day, not yet in the archive.
struct Rewritten {
    outputs: Vec<Output>,
    duplicates: IdentitySum,
    /// Examples of them.
    examples: Vec<Removed>,
    /// The identities of each rewritten file, by its name in the folder.
    ids: Vec<(String, IdentitySum)>,
}

/// Why rewriting a day starts over.
enum RetryReason {
    Without(Unreadable),
    Widened(Columns),
    NotKept(Vec<usize>),
}

impl Compaction {
    /// What a run would do with a day. This changes nothing and only lists the files.
    ///
    /// # Errors
    /// [`CompactionError`].
    pub async fn plan(&self, day: &DayFolder) -> Result<DayPlan, CompactionError> {
        let objects = self.day_objects(day);
        let state = objects.state().await?;
        let files = files(&state.manifest, &objects.list().await?);
        let rewritten = plan(&files, self.settings.target_bytes).map(|plan| plan.rewritten);
        Ok(DayPlan {
            before: file_totals(&files),
            rewritten: file_totals(&rewritten.unwrap_or_default()),
            unfinished: !state.manifest.is_complete(),
        })
    }

    /// Compacts a day.
    ///
    /// # Errors
    /// [`CompactionError`]; readers then see the same rows as before.
    pub async fn compact(&self, day: &DayFolder) -> Result<DayReport, CompactionError> {
        let objects = self.day_objects(day);
        let grace_ms = self.settings.grace_ms;
        let mut state = objects.state().await?;
        let mut report = DayReport {
            before: Files::default(),
            after: Files::default(),
            written: Files::default(),
            rows: 0,
            duplicates: 0,
            removed: Vec::new(),
            unreadable: Vec::new(),
            finished_earlier: false,
            waiting_until_ms: None,
        };
        if !state.manifest.is_complete() {
            report.finished_earlier = true;
            let ended = objects
                .complete(state, self.clock.now_ms(), grace_ms)
                .await?;
            state = objects.state().await?;
            if let CommitState::GracePeriod(until_ms) = ended {
                let files = file_totals(&files(&state.manifest, &objects.list().await?));
                report.waiting_until_ms = Some(until_ms);
                (report.before, report.after) = (files, files);
                return Ok(report);
            }
        }
        let there = objects.list().await?;
        objects.remove_leftovers(&there).await?;
        let mut files = files(&state.manifest, &there);
        report.before = file_totals(&files);
        report.after = report.before;

        let work = tempfile::Builder::new()
            .prefix("day-")
            .tempdir_in(&self.work);
        let work = work.map_err(CompactionError::work("use", &self.work))?;
        let mut columns = Columns::of_the_table();
        let mut not_kept = Vec::new();
        let mut attempt = 0;
        loop {
            let Some(mut plan) = plan(&files, self.settings.target_bytes) else {
                return Ok(report);
            };
            let (moved, kept) = plan.kept.into_iter().partition(|f| not_kept.contains(f));
            plan.kept = kept;
            plan.rewritten.extend::<Vec<Object>>(moved);
            attempt += 1;
            let dir = work.path().join(format!("attempt-{attempt}"));
            std::fs::create_dir(&dir).map_err(CompactionError::work("create", &dir))?;
            match self.rewrite(&plan, columns.clone(), &dir).await? {
                Ok(rewritten) => {
                    self.swap(&objects, &state, &there, &plan, rewritten, &mut report)
                        .await?;
                    return Ok(report);
                }
                Err(RetryReason::Without(file)) => {
                    files.retain(|object| object.name != file.name);
                    report.unreadable.push(file);
                }
                Err(RetryReason::Widened(wider)) => columns = wider,
                Err(RetryReason::NotKept(numbers)) => {
                    let of_kept = plan.kept.into_iter().enumerate();
                    let moved = of_kept.filter(|(number, _)| numbers.contains(number));
                    not_kept.extend(moved.map(|(_, file)| file));
                }
            }
            std::fs::remove_dir_all(&dir).map_err(CompactionError::work("remove", &dir))?;
        }
    }

    fn day_objects<'a>(&'a self, day: &'a DayFolder) -> DayObjects<'a> {
        DayObjects {
            objects: self.objects.as_ref(),
            folder: &day.folder,
        }
    }

    /// Reads the files of a plan and writes their rows to new files in `dir`.
    async fn rewrite(
        &self,
        plan: &Plan,
        columns: Columns,
        dir: &Path,
    ) -> Result<Result<Rewritten, RetryReason>, CompactionError> {
        let mut gather = Gather::new(columns.clone(), self.settings.memory, dir);
        let mut ids = Vec::with_capacity(plan.rewritten.len());
        let mut expected = IdentitySum::default();
        let of = (plan.kept.len() + plan.rewritten.len()) as u64;
        let kept = plan.kept.iter().map(|file| (file, true));
        let rewritten = plan.rewritten.iter().map(|file| (file, false));
        for (done, (file, kept)) in (0..).zip(kept.chain(rewritten)) {
            self.check_stopped()?;
            self.watch.progress("files read", done, of);
            let path = dir.join("input");
            if !self.objects.fetch(&file.name, &path).await? {
                let folder = file.name.rsplit_once('/').map_or("", |(folder, _)| folder);
                let folder = folder.to_owned();
                return Err(CompactionError::Changed { folder });
            }
            let from = path.clone();
            let read = tokio::task::spawn_blocking(move || {
                let read = if kept {
                    gather.keep(&from).map(|()| None)
                } else {
                    gather.take(&from).map(Some)
                };
                (gather, read)
            });
            let read = match read.await {
                Ok((back, read)) => {
                    gather = back;
                    read
                }
                // The Parquet reader may panic on corrupt pages.
                Err(_) => {
                    let cause = "its pages cannot be read".to_owned();
                    return Ok(Err(RetryReason::Without(unreadable(file, cause))));
                }
            };
            std::fs::remove_file(&path).map_err(CompactionError::work("remove", &path))?;
            match read {
                Ok(Some(sum)) => {
                    expected.merge(&sum);
                    ids.push((file_name(file).to_owned(), sum));
                }
                Ok(None) => {}
                Err(Refused::Unreadable(cause)) => {
                    return Ok(Err(RetryReason::Without(unreadable(file, cause))));
                }
                Err(Refused::Wider(fields)) => {
                    return Ok(Err(RetryReason::Widened(columns.widened(fields))));
                }
                Err(Refused::Failed(error)) => return Err(error),
            }
        }
        let (target_bytes, watch) = (
            self.settings.target_bytes,
            std::sync::Arc::clone(&self.watch),
        );
        let written =
            tokio::task::spawn_blocking(move || gather.write(target_bytes, watch.as_ref()));
        let written = written
            .await
            .map_err(CompactionError::work("sort in", dir))??;
        let (outputs, duplicates, examples) = match written {
            Gathered::Written {
                outputs,
                duplicates,
                examples,
            } => (outputs, duplicates, examples),
            Gathered::NotKept(numbers) => return Ok(Err(RetryReason::NotKept(numbers))),
        };
        let mut found = duplicates;
        outputs.iter().for_each(|output| found.merge(&output.ids));
        if found != expected {
            return Err(CompactionError::Verification {
                name: dir.display().to_string(),
                what: format!("{} rows of {}", found.rows(), expected.rows()),
            });
        }
        Ok(Ok(Rewritten {
            outputs,
            duplicates,
            examples,
            ids,
        }))
    }

    /// Stores the new files beside the old ones, verifies them, and commits.
    async fn swap(
        &self,
        objects: &DayObjects<'_>,
        state: &State,
        there: &BTreeMap<String, Object>,
        plan: &Plan,
        rewritten: Rewritten,
        report: &mut DayReport,
    ) -> Result<(), CompactionError> {
        let added = added(&state.manifest, there, &rewritten.outputs);
        for (number, (added, output)) in (0..).zip(added.iter().zip(&rewritten.outputs)) {
            self.check_stopped()?;
            let of = rewritten.outputs.len() as u64;
            self.watch.progress("files stored", number, of);
            let staged = objects.name(&hidden(&added.name));
            objects.objects.put(&staged, &output.path).await?;
            self.verify(&staged, output).await?;
        }
        self.unchanged(objects, plan).await?;
        if let Some(lease) = &self.lease {
            lease.confirm().await?;
        }
        self.check_stopped()?;
        let replaced = plan.rewritten.iter().map(|file| file_name(file).to_owned());
        let written = Files {
            count: added.len(),
            bytes: added.iter().map(|added: &Added| added.bytes).sum(),
        };
        let merged_ranges = merged_ranges(&state.manifest, &rewritten.ids);
        let now_ms = self.clock.now_ms();
        let committed = objects
            .commit(state, replaced.collect(), added, merged_ranges, now_ms)
            .await?;
        let left_out = file_totals(&plan.rewritten);
        report.written = written;
        report.after = Files {
            count: report.before.count + written.count - left_out.count,
            bytes: report.before.bytes + written.bytes - left_out.bytes,
        };
        report.rows = rewritten.outputs.iter().map(|o| o.ids.rows()).sum();
        report.duplicates = rewritten.duplicates.rows();
        report.removed = rewritten.examples;
        let grace_ms = self.settings.grace_ms;
        let ended = objects
            .complete(committed, self.clock.now_ms(), grace_ms)
            .await?;
        if let CommitState::GracePeriod(until_ms) = ended {
            report.waiting_until_ms = Some(until_ms);
        }
        Ok(())
    }

    /// Reads a new file back from the archive and checks it.
    async fn verify(&self, staged: &str, output: &Output) -> Result<(), CompactionError> {
        let failed = |what: String| CompactionError::Verification {
            name: staged.to_owned(),
            what,
        };
        let path = output.path.with_extension("stored");
        if !self.objects.fetch(staged, &path).await? {
            return Err(failed("it is missing".to_owned()));
        }
        let stored = path.clone();
        let ids = tokio::task::spawn_blocking(move || ids_in_order(&stored)).await;
        let ids = ids
            .map_err(|error| failed(error.to_string()))?
            .map_err(failed)?;
        for path in [&path, &output.path] {
            std::fs::remove_file(path).map_err(CompactionError::work("remove", path))?;
        }
        if ids != output.ids {
            let what = format!("{} rows instead of {}", ids.rows(), output.ids.rows());
            return Err(failed(what));
        }
        Ok(())
    }

    /// Checks that the files of the plan have not changed since they were read.
    async fn unchanged(
        &self,
        objects: &DayObjects<'_>,
        plan: &Plan,
    ) -> Result<(), CompactionError> {
        let there = objects.list().await?;
        let same = |file: &Object| {
            let now = there.get(file_name(file));
            now.is_some_and(|now| now.version == file.version)
        };
        if plan.kept.iter().chain(&plan.rewritten).all(same) {
            Ok(())
        } else {
            Err(objects.changed())
        }
    }

    fn check_stopped(&self) -> Result<(), CompactionError> {
        if self.watch.stopped() {
            return Err(CompactionError::Stopped);
        }
        Ok(())
    }
}

fn unreadable(file: &Object, cause: String) -> Unreadable {
    Unreadable {
        name: file.name.clone(),
        cause,
    }
}

/// The visible files of a day.
fn files(manifest: &Manifest, there: &BTreeMap<String, Object>) -> Vec<Object> {
    let names: Vec<String> = there.keys().cloned().collect();
    let count = visible(manifest, &names);
    count
        .iter()
        .filter_map(|name| there.get(name).cloned())
        .collect()
}
