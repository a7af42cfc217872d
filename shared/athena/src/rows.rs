//! A result's rows: streamed from the object that the query wrote, resuming after a broken
//! connection, or page by page.

use std::collections::VecDeque;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use aws_sdk_athena::Client;
use aws_sdk_athena::types::{ColumnInfo, Row};
use aws_sdk_s3::primitives::ByteStream;
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};

use super::columns::{Gatherer, schema};
use super::error::{self, AthenaError};
use super::execution::Execution;
use super::fields::{Cutter, Fields as _};
use super::folder::Location;
use aws_client::error::CallError;

/// Rows per page: the service's limit.
const PAGE_ROWS: i32 = 1_000;

/// Consecutive resumptions without a single byte before an error is returned.
const RESUMES_MAX: u32 = 4;

/// Codes for a missing object.
const ABSENT_CODES: [&str; 3] = ["NoSuchKey", "NotFound", "NoSuchBucket"];

/// The rows of a result.
pub struct Rows {
    /// The columns, with unique names.
    pub schema: SchemaRef,
    /// The rows in order. The stream ends after an error.
    pub batches: BoxStream<'static, Result<RecordBatch, AthenaError>>,
}

pub(super) async fn open(
    client: &Client,
    s3: &aws_sdk_s3::Client,
    execution: &Execution,
) -> Result<Rows, AthenaError> {
    let object = execution
        .result
        .as_deref()
        .filter(|location| execution.is_query && location.ends_with(".csv"))
        .and_then(Location::parse);
    if let Some(location) = object {
        // The smallest page is one row, the header. It is only needed for the columns.
        let page = page(client, &execution.id, None, 1).await?;
        if let Some(object) = Object::open(s3, location).await? {
            return Ok(of_object(object, &page.columns));
        }
    }
    let first = page(client, &execution.id, None, PAGE_ROWS).await?;
    Ok(of_pages(client.clone(), execution.id.clone(), first))
}

/// The result of a step: batches, and whether they are the last ones.
type Step = Result<(Vec<RecordBatch>, bool), AthenaError>;

/// A source of batches.
trait Source: Send + 'static {
    fn step(&mut self) -> impl Future<Output = Step> + Send;
}

/// The batches of a source one by one, up to the first error.
fn batches(source: impl Source) -> BoxStream<'static, Result<RecordBatch, AthenaError>> {
    let state = (source, VecDeque::new(), false);
    stream::unfold(state, |(mut source, mut ready, mut ended)| async move {
        loop {
            if let Some(batch) = ready.pop_front() {
                return Some((Ok(batch), (source, ready, ended)));
            }
            if ended {
                return None;
            }
            match source.step().await {
                Ok((batches, is_last)) => {
                    ready.extend(batches);
                    ended = is_last;
                }
                Err(error) => return Some((Err(error), (source, ready, true))),
            }
        }
    })
    .boxed()
}

fn of_object(object: Object, columns: &[ColumnInfo]) -> Rows {
    let schema = schema(columns);
    let gatherer = Gatherer::new(schema.clone(), 1);
    let source = ObjectRows {
        object,
        cutter: Cutter::new(),
        gatherer,
    };
    Rows {
        schema,
        batches: batches(source),
    }
}

struct ObjectRows {
    object: Object,
    cutter: Cutter,
    gatherer: Gatherer,
}

impl Source for ObjectRows {
    async fn step(&mut self) -> Step {
        match self.object.next().await? {
            Some(bytes) => {
                self.cutter.push(&bytes, &mut self.gatherer)?;
                Ok((self.gatherer.take_full(), false))
            }
            None => {
                if self.cutter.finish(&mut self.gatherer)? {
                    return Err(AthenaError::Unreadable(format!(
                        "{} ends in the middle of a value",
                        self.object.location
                    )));
                }
                Ok((self.gatherer.finish()?, true))
            }
        }
    }
}

fn is_absence(error: &CallError) -> bool {
    matches!(error, CallError::Refused { code, .. } if ABSENT_CODES.contains(&code.as_str()))
}

/// An object that is read sequentially.
struct Object {
    s3: aws_sdk_s3::Client,
    location: Location,
    body: ByteStream,
    /// The version being read; reading is not resumed if the object is replaced.
    e_tag: Option<String>,
    offset: u64,
    length: u64,
    resumed: u32,
}

impl Object {
    /// Opens an object; `None` if it does not exist.
    async fn open(
        s3: &aws_sdk_s3::Client,
        location: Location,
    ) -> Result<Option<Self>, AthenaError> {
        let got = s3
            .get_object()
            .bucket(&location.bucket)
            .key(&location.key)
            .send()
            .await;
        match got {
            Ok(got) => Ok(Some(Self {
                s3: s3.clone(),
                location,
                e_tag: got.e_tag,
                offset: 0,
                length: u64::try_from(got.content_length.unwrap_or(0)).unwrap_or(0),
                resumed: 0,
                body: got.body,
            })),
            Err(error) => {
                let error = CallError::of(&error);
                if is_absence(&error) {
                    Ok(None)
                } else {
                    Err(error::of_object(error, &location.to_string()))
                }
            }
        }
    }

    /// The next bytes; `None` at the end.
    async fn next(&mut self) -> Result<Option<bytes::Bytes>, AthenaError> {
        loop {
            let broken = match self.body.next().await {
                Some(Ok(bytes)) => {
                    self.offset += bytes.len() as u64;
                    self.resumed = 0;
                    return Ok(Some(bytes));
                }
                None if self.offset >= self.length => return Ok(None),
                None => "it ended early".to_owned(),
                Some(Err(error)) => error.to_string(),
            };
            if self.resumed >= RESUMES_MAX {
                return Err(AthenaError::Result {
                    location: self.location.to_string(),
                    message: format!("{broken}, after {} of {} bytes", self.offset, self.length),
                });
            }
            self.resumed += 1;
            self.body = self.rest().await?;
        }
    }

    /// The bytes after those read so far.
    async fn rest(&self) -> Result<ByteStream, AthenaError> {
        let got = self
            .s3
            .get_object()
            .bucket(&self.location.bucket)
            .key(&self.location.key)
            .set_if_match(self.e_tag.clone())
            .range(format!("bytes={}-", self.offset))
            .send()
            .await;
        match got {
            Ok(got) => Ok(got.body),
            Err(error) => Err(error::of_object(
                CallError::of(&error),
                &self.location.to_string(),
            )),
        }
    }
}

struct Page {
    columns: Vec<ColumnInfo>,
    rows: Vec<Row>,
    next: Option<String>,
}

async fn page(
    client: &Client,
    id: &str,
    token: Option<String>,
    rows: i32,
) -> Result<Page, AthenaError> {
    let got = client
        .get_query_results()
        .query_execution_id(id)
        .set_next_token(token)
        .max_results(rows)
        .send()
        .await
        .map_err(|error| error::of_call(&error))?;
    let (set, next) = (got.result_set, got.next_token);
    let Some(set) = set else {
        return Ok(Page {
            columns: Vec::new(),
            rows: Vec::new(),
            next,
        });
    };
    let columns = set
        .result_set_metadata
        .and_then(|metadata| metadata.column_info);
    Ok(Page {
        columns: columns.unwrap_or_default(),
        rows: set.rows.unwrap_or_default(),
        next,
    })
}

fn of_pages(client: Client, id: String, first: Page) -> Rows {
    let schema = schema(&first.columns);
    let is_header = |row: &Row| {
        let names = first.columns.iter().map(ColumnInfo::name);
        row.data().len() == first.columns.len()
            && names
                .zip(row.data())
                .all(|(name, value)| value.var_char_value() == Some(name))
    };
    // The service only returns a header for SELECT.
    let header = usize::from(first.rows.first().is_some_and(is_header));
    let source = PageRows {
        client,
        id,
        gatherer: Gatherer::new(schema.clone(), header),
        columns: first.columns.len(),
        page: Some(first),
    };
    Rows {
        schema,
        batches: batches(source),
    }
}

struct PageRows {
    client: Client,
    id: String,
    gatherer: Gatherer,
    columns: usize,
    page: Option<Page>,
}

impl Source for PageRows {
    async fn step(&mut self) -> Step {
        let Some(current) = self.page.take() else {
            return Ok((self.gatherer.finish()?, true));
        };
        for row in &current.rows {
            for index in 0..self.columns {
                let value = row
                    .data()
                    .get(index)
                    .and_then(|datum| datum.var_char_value());
                self.gatherer.field(value.map(str::as_bytes))?;
            }
            self.gatherer.end_of_row()?;
        }
        if let Some(token) = current.next {
            self.page = Some(page(&self.client, &self.id, Some(token), PAGE_ROWS).await?);
        }
        Ok((self.gatherer.take_full(), false))
    }
}
