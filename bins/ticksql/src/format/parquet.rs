//! A Parquet file.

use std::collections::HashSet;
use std::io::Write;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use super::{AnswerSummary, Rows};
use crate::cli_error::CliError;

/// Rows of the answer, compressed with ZSTD.
pub(super) struct File<'w>(ArrowWriter<&'w mut (dyn Write + Send)>);

impl<'w> File<'w> {
    pub(super) fn new(
        schema: &SchemaRef,
        output: &'w mut (dyn Write + Send),
    ) -> Result<Self, CliError> {
        let mut names = HashSet::new();
        if let Some(field) = schema
            .fields()
            .iter()
            .find(|field| !names.insert(field.name()))
        {
            return Err(CliError::Usage(format!(
                "two columns are called `{}`, which a Parquet file cannot have: name one of them with AS",
                field.name()
            )));
        }
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .build();
        let writer = ArrowWriter::try_new(output, SchemaRef::clone(schema), Some(properties))?;
        Ok(Self(writer))
    }
}

impl Rows for File<'_> {
    fn batch(&mut self, batch: &RecordBatch) -> Result<(), CliError> {
        Ok(self.0.write(batch)?)
    }

    fn finish(self: Box<Self>, _summary: &AnswerSummary) -> Result<(), CliError> {
        let output = self.0.into_inner()?;
        Ok(output.flush()?)
    }

    fn finish_incomplete(self: Box<Self>) -> Result<(), CliError> {
        // Without a footer, no row could be read.
        Ok(())
    }
}
