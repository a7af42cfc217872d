//! Ticks of a running tickstream's store, which it sends as fast as it can: they wait in a file for their turn, so that
//! a slow replay holds up nobody.

use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Seek as _, Write as _};

use anyhow::{Context as _, bail};
use app::ports::PortError;
use app::read_back::{Page, Pages, ReceiptRange, StoredTick, StoredTicks, UnseenPart};
use app::tick_replay::TickSelection;
use futures_util::StreamExt as _;
use futures_util::stream;
use hyper::Method;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use crate::server_client::ServerClient;

/// The number of ticks of a page.
const PAGE_TICKS: usize = 8_192;

/// A line of the server's response.
#[derive(Deserialize)]
struct Part {
    #[serde(default)]
    ticks: Vec<Box<RawValue>>,
    /// For each of them, whether it belongs to the stream.
    #[serde(default)]
    in_cohort: Vec<Option<bool>>,
    #[serde(default)]
    unseen: Option<String>,
}

#[derive(Deserialize)]
struct End {
    ticks: u64,
}

/// Ticks in a temporary file, which is removed with it.
pub(super) struct SpooledTicks {
    file: File,
    unseen: Vec<String>,
}

impl SpooledTicks {
    /// Reads the ticks of a selection.
    ///
    /// # Errors
    /// If the server cannot be asked, or the temporary file cannot be written.
    pub(super) async fn read(
        server: &ServerClient,
        selection: &TickSelection,
    ) -> anyhow::Result<Self> {
        let file = tempfile::tempfile().context("cannot create a temporary file")?;
        let mut writer = BufWriter::new(file);
        let (mut unseen, mut written, mut failed) = (Vec::new(), 0_u64, None);
        let tokens: Vec<&str> = selection.tokens.iter().map(domain::Token::as_str).collect();
        let body =
            json!({"from": selection.range.from_ms, "to": selection.range.to_ms, "tokens": tokens});
        let keep = |part: Part| {
            unseen.extend(part.unseen);
            for (tick, in_cohort) in part.ticks.iter().zip(part.in_cohort) {
                written += 1;
                let decided = match in_cohort {
                    Some(true) => b'1',
                    Some(false) => b'0',
                    None => b'?',
                };
                let line = [&[decided], tick.get().as_bytes(), b"\n"].concat();
                failed = failed.take().or(writer.write_all(&line).err());
            }
        };
        let read = server
            .job(Method::POST, "/api/replay/ticks", Some(&body), keep)
            .await;
        let end: End = read.map_err(|error| server.explain(error))?;
        if let Some(error) = failed {
            return Err(error).context("cannot write the temporary file");
        }
        if end.ticks != written {
            bail!(
                "the server sent {written} of {} ticks: repeat the command",
                end.ticks
            );
        }
        let file = writer
            .into_inner()
            .map_err(std::io::IntoInnerError::into_error);
        let file = file.context("cannot write the temporary file")?;
        Ok(Self { file, unseen })
    }

    fn page(
        lines: &mut BufReader<File>,
    ) -> Result<Option<Page<StoredTick>>, Box<dyn std::error::Error + Send + Sync>> {
        let mut ticks = Vec::new();
        let mut line = Vec::new();
        while ticks.len() < PAGE_TICKS {
            line.clear();
            if lines.read_until(b'\n', &mut line)? == 0 {
                break;
            }
            let (decided, text) = line.split_first().ok_or("an empty line")?;
            ticks.push(StoredTick {
                tick: codec::json::from_json(text.trim_ascii_end())?,
                in_cohort: match decided {
                    b'1' => Some(true),
                    b'0' => Some(false),
                    _ => None,
                },
            });
        }
        Ok((!ticks.is_empty()).then_some(Page::Ticks(ticks)))
    }
}

impl StoredTicks for SpooledTicks {
    /// The ticks of the selection that was read; the range must be its own.
    fn stored(&self, _: ReceiptRange) -> Pages<'_, StoredTick> {
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| PortError {
            operation: "read the temporary file",
            retryable: false,
            source,
        };
        let unseen = self.unseen.iter().map(|what| {
            Ok(Page::Unseen(UnseenPart {
                before_ms: None,
                what: what.clone(),
            }))
        });
        let file = self.file.try_clone().and_then(|mut file| {
            file.rewind()?;
            Ok(BufReader::new(file))
        });
        let mut lines = match file {
            Ok(lines) => lines,
            Err(error) => return stream::iter([Err(failed(error.into()))]).boxed(),
        };
        let pages = std::iter::from_fn(move || Self::page(&mut lines).map_err(failed).transpose());
        stream::iter(unseen.collect::<Vec<_>>())
            .chain(stream::iter(pages))
            .boxed()
    }
}
