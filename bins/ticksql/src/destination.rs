//! Where an answer goes and in which format.

use std::io::{IsTerminal as _, Write, stdout};
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;

use crate::atomic_file::{AtomicFile, folder_of, follow_links};
use crate::cli_error::CliError;
use crate::format;
use crate::options::{Format, Options};
use runtime::printable::PrintableWriter;

/// The default limit for the rows of a table, all of which are held in memory.
const TABLE_ROWS_MAX: usize = 10_000;

/// The format of an answer.
pub(crate) fn format(options: &Options) -> Result<Format, CliError> {
    if let (Some(output), Some(page)) = (&options.output, &options.html)
        && canonical(output) == canonical(page)
    {
        return Err(CliError::Usage(format!(
            "--output and --html name the same file, {}: the page would replace the answer",
            page.display()
        )));
    }
    let extension = options
        .output
        .as_ref()
        .and_then(|path| path.extension())
        .and_then(|extension| extension.to_str());
    let format = match (options.format, extension) {
        (Some(format), _) => format,
        (None, Some(extension)) => Format::of_extension(extension).ok_or_else(|| {
            CliError::Usage(format!(
                "unknown format `.{extension}`: pass --format, or name the file .csv, .tsv, .jsonl, .json, .md, .parquet or .txt"
            ))
        })?,
        (None, None) => Format::Table,
    };
    let to_terminal = options.output.is_none() && options.chart.is_none();
    if format == Format::Parquet && to_terminal && stdout().is_terminal() {
        return Err(CliError::Usage(
            "a Parquet file is not for a terminal: pass -o FILE".to_owned(),
        ));
    }
    Ok(format)
}

/// The canonical path of a file, which may not exist yet, as far as it is known.
fn canonical(path: &Path) -> PathBuf {
    let at = follow_links(path).unwrap_or_else(|_| path.to_owned());
    match (folder_of(&at).canonicalize(), at.file_name()) {
        (Ok(folder), Some(name)) => folder.join(name),
        (Ok(_) | Err(_), _) => at,
    }
}

/// The rows after which an answer is cut.
pub(crate) fn rows_max(options: &Options, format: Format) -> Option<usize> {
    let held = format.is_for_reading() && (options.output.is_some() || options.chart.is_none());
    options.max_rows.or(held.then_some(TABLE_ROWS_MAX))
}

/// Writes rows to the file of `-o`, or to standard output.
pub(crate) fn write_rows(
    options: &Options,
    batch: &RecordBatch,
    output: &mut (dyn Write + Send),
) -> Result<(), CliError> {
    let format = format(options)?;
    write_with(options, output, |output| format::all(format, batch, output))
}

/// Writes a text to the file of `-o`, or to standard output.
pub(crate) fn write_text(
    options: &Options,
    text: &str,
    output: &mut (dyn Write + Send),
) -> Result<(), CliError> {
    write_with(options, output, |output| {
        output.write_all(text.as_bytes())?;
        Ok(output.flush()?)
    })
}

fn write_with(
    options: &Options,
    output: &mut (dyn Write + Send),
    write: impl FnOnce(&mut (dyn Write + Send)) -> Result<(), CliError>,
) -> Result<(), CliError> {
    let Some(path) = &options.output else {
        return match stdout().is_terminal() {
            true => write(&mut PrintableWriter::new(output)),
            false => write(output),
        };
    };
    let mut file = AtomicFile::start(path)?;
    write(file.writer())?;
    file.finish()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use clap::Parser as _;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn the_answer_and_the_page_are_two_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        symlink("x.csv", path("link")).unwrap();
        let format = |output: &str, page: &str| {
            let cli = Cli::try_parse_from(["ticksql", "-f", "csv", "-o", output, "--html", page]);
            format(&cli.unwrap().options)
        };
        for (output, page) in [
            (path("x.csv"), path("x.csv")),
            (path("./x.csv"), path("x.csv")),
            (path("link"), path("x.csv")),
        ] {
            let error = format(&output, &page).unwrap_err();
            assert!(error.to_string().contains("name the same file"), "{error}");
        }
        assert!(format(&path("x.csv"), &path("x.html")).is_ok());
    }
}
