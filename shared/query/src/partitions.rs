//! Folders by day as partitions of a table: which of them a query's predicates leave, and their files.
//!
//! DataFusion's listing table is not used: it looks for `month=3` although the folder is
//! `month=03`, and caches a list of files that lacks new ones.

use std::fs::Metadata;
use std::io;
use std::path::Path;
use std::sync::Arc;

use archive::{Day, DayFile, days};
use chrono::NaiveDate;
use codec::tick_columns::PARTITIONS;
use datafusion::arrow::array::{AsArray, BooleanArray, Int32Array, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Field, Fields, Schema};
use datafusion::catalog::Session;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::error::Result;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::utils::conjunction;
use datafusion::object_store::ObjectMeta;
use datafusion::object_store::path::Path as StorePath;

/// The days of a table that filters on its partition columns leave.
pub(crate) fn days_left(
    folder: &Path,
    partitions: &Fields,
    state: &dyn Session,
    filters: Vec<Expr>,
) -> Result<Vec<Day>> {
    let days = days(folder)?;
    let Some(filter) = conjunction(filters) else {
        return Ok(days);
    };
    let column = |of: fn(&Day) -> i32| Arc::new(days.iter().map(of).collect::<Int32Array>());
    let schema = Arc::new(Schema::new(partitions.clone()));
    let batch = RecordBatch::try_new(
        Arc::clone(&schema),
        vec![
            column(|day| day.year),
            column(|day| day.month),
            column(|day| day.day),
        ],
    )?;
    let filter = state.create_physical_expr(filter, &DFSchema::try_from(schema)?)?;
    let kept = filter.evaluate(&batch)?.into_array(days.len())?;
    let kept: &BooleanArray = kept.as_boolean();
    let days = days.into_iter().zip(kept);
    Ok(days
        .filter_map(|(day, kept)| (kept == Some(true)).then_some(day))
        .collect())
}

/// The partition columns as the engine sees them.
pub(crate) fn partition_fields() -> Fields {
    let partition = |name| Field::new(name, DataType::Int32, false);
    PARTITIONS.map(partition).into_iter().collect()
}

/// A file of a table, with the day of its folder.
pub(crate) fn file_of_day(
    folder: &Path,
    day: &Day,
    name: &str,
    metadata: &Metadata,
) -> Result<PartitionedFile> {
    let path = day.path.join(name);
    let inside = path.strip_prefix(folder).unwrap_or(&path);
    let object = ObjectMeta {
        location: StorePath::parse(inside.to_string_lossy())?,
        last_modified: metadata.modified()?.into(),
        size: metadata.len(),
        e_tag: None,
        version: None,
    };
    let values = [day.year, day.month, day.day].map(|value| ScalarValue::Int32(Some(value)));
    Ok(PartitionedFile::new_from_meta(object).with_partition_values(values.to_vec()))
}

/// The days for which a table has files, in order. `files` lists those of a day's folder.
pub(crate) fn days_with_files(
    folder: &Path,
    files: impl Fn(&Path) -> io::Result<Vec<DayFile>>,
) -> io::Result<Vec<NaiveDate>> {
    let mut found = Vec::new();
    for day in days(folder)? {
        if let Some(date) = date(day.year, day.month, day.day)
            && !files(&day.path)?.is_empty()
        {
            found.push(date);
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// `None` for a folder such as `month=02/day=30`.
pub(crate) fn date(year: i32, month: i32, day: i32) -> Option<NaiveDate> {
    NaiveDate::from_ymd_opt(year, u32::try_from(month).ok()?, u32::try_from(day).ok()?)
}
