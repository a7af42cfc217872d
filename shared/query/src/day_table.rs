//! The common part of tables whose files are in folders by day: days that a query's predicates on year,
//! month and day exclude are not read.

use std::fmt::Debug;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use archive::DayFile;
use async_trait::async_trait;
use codec::tick_columns::PARTITIONS;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::project_schema;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::listing::helpers::expr_applicable_for_cols;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;

use crate::partitions::{days_left, file_of_day, partition_fields};

/// How the files of a table are found and read.
#[async_trait]
pub(crate) trait DayFormat: Debug + Send + Sync + 'static {
    /// The files of a day's folder.
    fn files(&self, day: &Path) -> io::Result<Vec<DayFile>>;

    /// Whether [`DayFormat::read`] applies a filter that is not on year, month and day.
    fn applies(&self, filter: &Expr) -> TableProviderFilterPushDown;

    /// The plan that reads the files.
    async fn read(&self, scan: DayScan<'_>) -> Result<Arc<dyn ExecutionPlan>>;
}

/// What a query reads of a table.
pub(crate) struct DayScan<'a> {
    pub(crate) state: &'a dyn Session,
    pub(crate) folder: &'a Path,
    pub(crate) schema: &'a TableSchema,
    /// The files of the days that are left; at least one.
    pub(crate) files: Vec<PartitionedFile>,
    /// The columns, by their position in the schema.
    pub(crate) projection: Option<&'a Vec<usize>>,
    /// Those that are not on year, month and day.
    pub(crate) filters: Vec<Expr>,
    pub(crate) limit: Option<usize>,
}

/// A table whose files are in folders by day. If the folder does not exist, the table is empty.
#[derive(Debug)]
pub(crate) struct DayTable<F> {
    folder: PathBuf,
    schema: TableSchema,
    format: F,
}

impl<F: DayFormat> DayTable<F> {
    /// `file_schema` has the columns of the files, without year, month and day.
    pub(crate) fn new(folder: &Path, file_schema: SchemaRef, format: F) -> Self {
        Self {
            folder: folder.to_owned(),
            schema: TableSchema::builder(file_schema)
                .with_table_partition_cols(partition_fields())
                .build(),
            format,
        }
    }
}

fn is_on_day(filter: &Expr) -> bool {
    expr_applicable_for_cols(&PARTITIONS, filter)
}

#[async_trait]
impl<F: DayFormat> TableProvider for DayTable<F> {
    fn schema(&self) -> SchemaRef {
        Arc::clone(self.schema.table_schema())
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        let pushdown = |filter: &&Expr| match is_on_day(filter) {
            true => TableProviderFilterPushDown::Exact,
            false => self.format.applies(filter),
        };
        Ok(filters.iter().map(pushdown).collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let (on_day, filters): (Vec<Expr>, Vec<Expr>) =
            filters.iter().cloned().partition(is_on_day);
        let mut files = Vec::new();
        for day in days_left(
            &self.folder,
            self.schema.table_partition_cols(),
            state,
            on_day,
        )? {
            let mut of_day = self.format.files(&day.path)?;
            of_day.sort_by(|a, b| a.name.cmp(&b.name));
            for DayFile { name, metadata } in of_day {
                files.push(file_of_day(&self.folder, &day, &name, &metadata)?);
            }
        }
        if files.is_empty() {
            let projected = project_schema(&self.schema(), projection)?;
            return Ok(Arc::new(EmptyExec::new(projected)));
        }
        let scan = DayScan {
            state,
            folder: &self.folder,
            schema: &self.schema,
            files,
            projection,
            filters,
            limit,
        };
        self.format.read(scan).await
    }
}
