//! The commit of a day, and what follows from it. A run that finds a commit whose end is missing
//! ends it first, whoever made it.

use std::collections::BTreeMap;

use app::objects::{Condition, Object, Objects, Replaced};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::CompactionError;
use super::output::Output;
use super::plan::file_name;
use crate::id_sum::IdSum;
use crate::layout::{compacted_generation, compacted_name, range_of};
use crate::manifest::{Added, Folded, HIDDEN, MANIFEST, Manifest, hidden};

/// Files that are copied to their names at the same time.
const COPIES_AT_ONCE: usize = 16;

/// A day's manifest and its version; no version where there is none yet.
pub(super) struct State {
    pub(super) manifest: Manifest,
    pub(super) version: Option<String>,
}

/// What has become of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// Nothing is left to do.
    Settled,
    /// Replaced files stay until then, epoch milliseconds.
    Waits(i64),
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

    /// Writes the manifest, if it is still the one that `version` tells.
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

    /// The commit: from here on the new files count and the old ones do not.
    pub(super) async fn commit(
        &self,
        base: &State,
        replaced: Vec<String>,
        added: Vec<Added>,
        folded: Vec<Folded>,
        now_ms: i64,
    ) -> Result<State, CompactionError> {
        let mut manifest = Manifest::none();
        manifest.generation = base.manifest.generation + 1;
        manifest.committed_ms = now_ms;
        manifest.replaced = replaced;
        manifest.added = added;
        manifest.folded = folded;
        self.write(manifest, base.version.as_deref()).await
    }

    /// Ends a commit: new files get their names, the replaced ones are removed after `grace_ms`,
    /// and the manifest is freed of both. Each step may be repeated.
    pub(super) async fn end(
        &self,
        mut state: State,
        now_ms: i64,
        grace_ms: i64,
    ) -> Result<Ended, CompactionError> {
        if let Some(missing) = self.publish(&state.manifest).await? {
            state = self.take_back(state, &missing, now_ms).await?;
        }
        let until_ms = state.manifest.committed_ms.saturating_add(grace_ms);
        if now_ms < until_ms {
            return Ok(Ended::Waits(until_ms));
        }
        let replaced = self.names(&state.manifest.replaced);
        self.objects.delete(&replaced).await?;
        let added = std::mem::take(&mut state.manifest.added);
        state.manifest.replaced.clear();
        state.manifest.generation += 1;
        self.write(state.manifest, state.version.as_deref()).await?;
        let staged: Vec<String> = added.iter().map(|added| hidden(&added.name)).collect();
        self.objects.delete(&self.names(&staged)).await?;
        Ok(Ended::Settled)
    }

    /// Gives new files their names. A file that has neither its name nor its hidden one is told.
    async fn publish(&self, manifest: &Manifest) -> Result<Option<String>, CompactionError> {
        let there = self.list().await?;
        let is_published = |added: &&Added| {
            let published = there.get(&added.name);
            published.is_some_and(|object| object.bytes == added.bytes)
        };
        // All at once: until the old files are deleted, Athena sees their rows twice.
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

    /// Undoes a commit whose new files are gone, while all that it replaced is there.
    async fn take_back(
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
        // What was folded is not: its files count again.
        self.commit(&state, undone, Vec::new(), Vec::new(), now_ms)
            .await
    }

    /// Removes what a run that did not come to its commit left behind.
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

/// What the new files will be called, such that no file of the day has one of the names already.
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

/// For each shard the last range that is in a compacted file: only that one can come again.
pub(super) fn folded(base: &Manifest, ids: &[(String, IdSum)]) -> Vec<Folded> {
    let now = ids.iter().map(|(name, ids)| Folded {
        name: name.clone(),
        rows: ids.rows(),
        ids: ids.to_string(),
    });
    let mut last: BTreeMap<u8, (u64, Folded)> = BTreeMap::new();
    for folded in base.folded.iter().cloned().chain(now) {
        if let Some((shard, first)) = range_of(&folded.name)
            && last.get(&shard).is_none_or(|(known, _)| *known <= first)
        {
            last.insert(shard, (first, folded));
        }
    }
    last.into_values().map(|(_, folded)| folded).collect()
}
