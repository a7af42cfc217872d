//! Folders by day as partitions of a table: which of them a query's conditions leave, and their files.
//!
//! The engine's own table over folders is not used: it looks for `month=3` where the folder is
//! `month=03`, and keeps a list of files that new ones are missing from.

use std::fs::Metadata;
use std::path::Path;
use std::sync::Arc;

use archive::{Day, day_files, days};
use chrono::NaiveDate;
use codec::column::PARTITIONS;
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

/// The days of a table that conditions on its partition columns leave.
pub(super) fn days_left(
    folder: &Path,
    partitions: &Fields,
    state: &dyn Session,
    conditions: &[Expr],
) -> Result<Vec<Day>> {
    let days = days(folder)?;
    let Some(condition) = conjunction(conditions.iter().cloned()) else {
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
    let condition = state.create_physical_expr(condition, &DFSchema::try_from(schema)?)?;
    let kept = condition.evaluate(&batch)?.into_array(days.len())?;
    let kept: &BooleanArray = kept.as_boolean();
    let days = days.into_iter().zip(kept);
    Ok(days
        .filter_map(|(day, kept)| (kept == Some(true)).then_some(day))
        .collect())
}

/// The partition columns as the engine sees them.
pub(super) fn partition_fields() -> Fields {
    let partition = |name| Field::new(name, DataType::Int32, false);
    PARTITIONS.map(partition).into_iter().collect()
}

/// A file of a table, with the day that its folder says.
pub(super) fn file_of_day(
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

/// The days for which an archive has files, in their order.
pub(super) fn days_with_files(folder: &Path) -> std::io::Result<Vec<NaiveDate>> {
    let mut found = Vec::new();
    for day in days(folder)? {
        let date = u32::try_from(day.month)
            .ok()
            .zip(u32::try_from(day.day).ok());
        let date =
            date.and_then(|(month, of_month)| NaiveDate::from_ymd_opt(day.year, month, of_month));
        if !day_files(&day.path)?.is_empty() {
            found.extend(date);
        }
    }
    found.sort_unstable();
    Ok(found)
}
