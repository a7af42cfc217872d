//! The commit of a day, and its completion. A run that finds an incomplete commit, of whichever
//! process, completes it first.

use std::collections::BTreeMap;

use app::objects::{Condition, Object, Objects, Replaced};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::CompactionError;
use super::output::Output;
use super::plan::file_name;
use crate::identity_sum::IdentitySum;
use crate::layout::{compacted_generation, compacted_name, range_of};
use crate::manifest::{Added, HIDDEN, MANIFEST, Manifest, MergedRange, hidden};

/// How many files are copied to their final names concurrently.
const COPIES_AT_ONCE: usize = 16;

/// A day's manifest and its version; no version if it does not exist yet.
pub(super) struct State {
    pub(super) manifest: Manifest,
    pub(super) version: Option<String>,
}

/// The state of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CommitState {
    /// The commit is complete.
    Complete,
    /// Replaced files are kept until then, epoch milliseconds.
    GracePeriod(i64),
}

/// The objects of one day.
pub(super) struct DayObjects<'a> {
    pub(super) objects: &'a dyn Objects,
    pub(super) folder: &'a str,
}

impl DayObjects<'_> {
    pub(super) fn name(&self, name: &str) -> String {
        format!("{}/{name}", self.folder)
    }

    fn names<'n>(&self, names: impl IntoIterator<Item = &'n String>) -> Vec<String> {
        names.into_iter().map(|name| self.name(name)).collect()
    }

    /// The objects of the day, by their names in its folder.
    pub(super) async fn list(&self) -> Result<BTreeMap<String, Object>, CompactionError> {
        let objects = self.objects.list(&self.name("")).await?;
        let named = objects.into_iter().map(|object| {
            let name = file_name(&object).to_owned();
            (name, object)
        });
        Ok(named.collect())
    }

    pub(super) async fn state(&self) -> Result<State, CompactionError> {
        let Some((content, version)) = self.objects.read(&self.name(MANIFEST)).await? else {
            let (manifest, version) = (Manifest::none(), None);
            return Ok(State { manifest, version });
        };
        let manifest = Manifest::parse(&content).map_err(|source| CompactionError::Manifest {
            folder: self.folder.to_owned(),
            source,
        })?;
        let version = Some(version);
        Ok(State { manifest, version })
    }

    /// Writes the manifest, if its version is still `version`.
    async fn write(
        &self,
        manifest: Manifest,
        version: Option<&str>,
    ) -> Result<State, CompactionError> {
        let content = manifest
            .to_json()
            .map_err(|source| CompactionError::Manifest {
                folder: self.folder.to_owned(),
                source,
            })?;
        let condition = version.map_or(Condition::Absent, Condition::Is);
        let name = self.name(MANIFEST);
        match self.objects.replace(&name, content, condition).await? {
            Replaced::Done(version) => Ok(State {
                manifest,
                version: Some(version),
            }),
            Replaced::Changed => Err(self.changed()),
        }
    }

    pub(super) fn changed(&self) -> CompactionError {
        CompactionError::Changed {
            folder: self.folder.to_owned(),
        }
    }

    /// The commit: from here on, the new files are visible and the old ones are not.
    pub(super) async fn commit(
        &self,
        base: &State,
        replaced: Vec<String>,
        added: Vec<Added>,
        merged_ranges: Vec<MergedRange>,
        now_ms: i64,
    ) -> Result<State, CompactionError> {
        let mut manifest = Manifest::none();
        manifest.generation = base.manifest.generation + 1;
        manifest.committed_ms = now_ms;
        manifest.replaced = replaced;
        manifest.added = added;
        manifest.merged_ranges = merged_ranges;
        self.write(manifest, base.version.as_deref()).await
    }

    /// Completes a commit: new files get their final names, replaced files are removed after
    /// `grace_ms`, and both are removed from the manifest. Each step may be repeated.
    pub(super) async fn complete(
        &self,
        mut state: State,
        now_ms: i64,
        grace_ms: i64,
    ) -> Result<CommitState, CompactionError> {
        if let Some(missing) = self.publish(&state.manifest).await? {
            state = self.rollback(state, &missing, now_ms).await?;
        }
        let until_ms = state.manifest.committed_ms.saturating_add(grace_ms);
        if now_ms < until_ms {
            return Ok(CommitState::GracePeriod(until_ms));
        }
        let replaced = self.names(&state.manifest.replaced);
        self.objects.delete(&replaced).await?;
        let added = std::mem::take(&mut state.manifest.added);
        state.manifest.replaced.clear();
        state.manifest.generation += 1;
        self.write(state.manifest, state.version.as_deref()).await?;
        let staged: Vec<String> = added.iter().map(|added| hidden(&added.name)).collect();
        self.objects.delete(&self.names(&staged)).await?;
        Ok(CommitState::Complete)
    }

    /// Gives new files their final names. Returns a file that exists under neither its final nor
    /// its hidden name.
    async fn publish(&self, manifest: &Manifest) -> Result<Option<String>, CompactionError> {
        let there = self.list().await?;
        let is_published = |added: &&Added| {
            let published = there.get(&added.name);
            published.is_some_and(|object| object.bytes == added.bytes)
        };
        // All concurrently: until the old files are deleted, Athena sees their rows twice.
        let copies = stream::iter(manifest.added.iter().filter(|added| !is_published(added)))
            .map(async |added: &Added| {
                let staged = self.name(&hidden(&added.name));
                let copied = self.objects.copy(&staged, &self.name(&added.name)).await?;
                Ok::<_, CompactionError>((!copied).then(|| added.name.clone()))
            })
            .buffer_unordered(COPIES_AT_ONCE);
        let missing: Vec<Option<String>> = copies.try_collect().await?;
        Ok(missing.into_iter().flatten().next())
    }

    /// Reverts a commit whose new files are missing, if all files that it replaced still exist.
    async fn rollback(
        &self,
        state: State,
        missing: &str,
        now_ms: i64,
    ) -> Result<State, CompactionError> {
        let there = self.list().await?;
        let Manifest {
            replaced, added, ..
        } = &state.manifest;
        if !replaced.iter().all(|name| there.contains_key(name)) {
            return Err(CompactionError::Damaged {
                folder: self.folder.to_owned(),
                missing: missing.to_owned(),
            });
        }
        let published = added
            .iter()
            .filter(|added| there.contains_key(&added.name))
            .map(|added| added.name.clone());
        let undone = published.collect();
        // Nothing is merged any more: the replaced files are visible again.
        self.commit(&state, undone, Vec::new(), Vec::new(), now_ms)
            .await
    }

    /// Removes the files of a run that stopped before its commit.
    pub(super) async fn remove_leftovers(
        &self,
        there: &BTreeMap<String, Object>,
    ) -> Result<(), CompactionError> {
        let left: Vec<String> = there
            .keys()
            .filter(|name| name.starts_with(HIDDEN))
            .cloned()
            .collect();
        if !left.is_empty() {
            self.objects.delete(&self.names(&left)).await?;
        }
        Ok(())
    }
}

/// The names of the new files, none of which exists yet in the day.
pub(super) fn added(
    base: &Manifest,
    there: &BTreeMap<String, Object>,
    outputs: &[Output],
) -> Vec<Added> {
    let in_names = there.keys().filter_map(|name| compacted_generation(name));
    let generation = in_names.max().unwrap_or(0).max(base.generation) + 1;
    let added = |(part, output): (usize, &Output)| {
        let ids = output.ids.to_string();
        Added {
            name: compacted_name(generation, part, &ids),
            bytes: output.bytes,
            rows: output.ids.rows(),
            ids,
        }
    };
    outputs.iter().enumerate().map(added).collect()
}

/// For each shard, the last range that is in a compacted file: only that one can be written again.
pub(super) fn merged_ranges(base: &Manifest, ids: &[(String, IdentitySum)]) -> Vec<MergedRange> {
    let now = ids.iter().map(|(name, ids)| MergedRange {
        name: name.clone(),
        rows: ids.rows(),
        ids: ids.to_string(),
        by_identity: true,
    });
    let mut last: BTreeMap<u8, (u64, MergedRange)> = BTreeMap::new();
    for merged in base.merged_ranges.iter().cloned().chain(now) {
        if let Some((shard, first)) = range_of(&merged.name)
            && last.get(&shard).is_none_or(|(known, _)| *known <= first)
        {
            last.insert(shard, (first, merged));
        }
    }
    last.into_values().map(|(_, merged)| merged).collect()
}
