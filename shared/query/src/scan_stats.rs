//! What a plan reads: its files, their days and their bytes, before and after it runs.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::NaiveDate;
use datafusion::common::ScalarValue;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfig};
use datafusion::datasource::source::DataSourceExec;
use datafusion::object_store::path::Path as StorePath;
use datafusion::physical_plan::ExecutionPlan;

use crate::archive_table;
use crate::partitions::date;
use crate::table_names::folder_of;

/// The name of the reader of Parquet files.
const PARQUET: &str = "parquet";

/// What a query would read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScanEstimate {
    /// The days whose files it would read, in order.
    pub days: Vec<NaiveDate>,
    /// The files of these days, once for each scan.
    pub files: usize,
    /// Their bytes: an upper bound, since columns that the query does not use are not read.
    pub bytes: u64,
}

impl ScanEstimate {
    pub(crate) fn of(plan: &Arc<dyn ExecutionPlan>) -> Self {
        let mut estimate = Self::default();
        estimate.add(plan);
        estimate.days.sort_unstable();
        estimate.days.dedup();
        estimate
    }

    fn add(&mut self, plan: &Arc<dyn ExecutionPlan>) {
        if let Some(scan) = scan_of(plan) {
            for file in files_of(scan).values() {
                self.files += 1;
                self.bytes += file.object_meta.size;
                self.days.extend(day_of(file));
            }
        }
        for child in plan.children() {
            self.add(child);
        }
    }
}

fn day_of(file: &PartitionedFile) -> Option<NaiveDate> {
    let [
        ScalarValue::Int32(Some(year)),
        ScalarValue::Int32(Some(month)),
        ScalarValue::Int32(Some(day)),
    ] = file.partition_values.as_slice()
    else {
        return None;
    };
    date(*year, *month, *day)
}

fn scan_of(node: &Arc<dyn ExecutionPlan>) -> Option<&FileScanConfig> {
    let source = node.downcast_ref::<DataSourceExec>()?;
    source.data_source().downcast_ref::<FileScanConfig>()
}

/// The files of a scan. A large one may be in several groups, a part in each.
fn files_of(scan: &FileScanConfig) -> HashMap<&StorePath, &PartitionedFile> {
    let files = scan.file_groups.iter().flat_map(FileGroup::iter);
    files
        .map(|file| (&file.object_meta.location, file))
        .collect()
}

/// The files that a node of a plan reads, and the bytes that it has read of them.
fn read_by(node: &Arc<dyn ExecutionPlan>) -> (usize, u64) {
    let Some(scan) = scan_of(node) else {
        return (0, 0);
    };
    let files = files_of(scan);
    let metrics = node.metrics();
    let read = match scan.file_source().file_type() {
        PARQUET => metrics
            .and_then(|metrics| metrics.sum_by_name("bytes_scanned"))
            .map_or(0, |bytes| bytes.as_usize() as u64),
        // Other readers report no count; once started, they read whole files.
        _ if metrics.is_some_and(|metrics| metrics.iter().next().is_some()) => {
            files.values().map(|file| file.object_meta.size).sum()
        }
        _ => 0,
    };
    (files.len(), read)
}

/// The Parquet files that a plan reads, below the folder of their table.
fn files(plan: &Arc<dyn ExecutionPlan>, archive_folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    if let Some(scan) = scan_of(plan)
        && scan.file_source().file_type() == PARQUET
    {
        let table = archive_table::at(&scan.object_store_url);
        let folder = folder_of(table, archive_folder);
        let locations = files_of(scan).into_keys();
        found.extend(locations.map(|location| folder.join(location.as_ref())));
    }
    for child in plan.children() {
        found.extend(files(child, archive_folder));
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// What a query has read of the archive so far.
#[derive(Debug, Clone)]
pub struct ScanStats(Arc<dyn ExecutionPlan>);

impl ScanStats {
    pub(crate) fn of(plan: &Arc<dyn ExecutionPlan>) -> Self {
        Self(Arc::clone(plan))
    }

    /// The Parquet files that the query reads, in the archive's folder and beside it.
    pub(crate) fn files(&self, archive_folder: &Path) -> Vec<PathBuf> {
        files(&self.0, archive_folder)
    }

    /// The files that the query reads, and the bytes that it has read of them so far (pages; footers
    /// are kept in memory).
    #[must_use]
    pub fn by_now(&self) -> (usize, u64) {
        read_of(&self.0)
    }
}

fn read_of(plan: &Arc<dyn ExecutionPlan>) -> (usize, u64) {
    let (mut files, mut bytes) = read_by(plan);
    for child in plan.children() {
        let (of_child, bytes_of_child) = read_of(child);
        files += of_child;
        bytes += bytes_of_child;
    }
    (files, bytes)
}
