//! `tickctl quarantine`: shows quarantined entries, and replays them once their cause is fixed.

mod entry_text;
mod open_entries;
mod quarantine_access;
mod redelivery;

use anyhow::bail;
use app::quarantine_review::{QuarantineFilter, ReviewedEntry};
use clap::{Args, Subcommand, value_parser};
use domain::{Reason, count_of};

use crate::moment::{Moment, range_ms};
use crate::process::{BadInput, ProcessContext, print_line};
use open_entries::OpenEntries;
use quarantine_access::{QuarantineAccess, QuarantineOptions};
use redelivery::InboxOptions;

/// Shows quarantined entries, and replays them once their cause is fixed.
#[derive(Debug, Args)]
#[command(after_help = "\
An entry is replayed through the parser of its source, as it was received. The ticks get the ids that the sender's
own retry would give them: what is stored already is a duplicate. What became of each entry is recorded with who
replayed it, and `list` shows it; one that is still malformed is not quarantined a second time. Without ids, the
entries that are not done are replayed, at most --limit at once: first those that were never replayed, oldest first,
then those that stayed malformed. The output says how many are left for another run. Of an entry, at most
4 KiB are kept: a larger one cannot be replayed, and its sender must deliver that time again.

Without --apply, `replay` only shows what would be replayed.

Examples:
  tickctl quarantine list --from 2h --reason invalid_token
  tickctl quarantine show 1767312000000-17
  tickctl quarantine replay --from 2026-01-02 --reason invalid_token --source pyth
  tickctl quarantine replay --from 2026-01-02 --reason invalid_token --source pyth --apply
  tickctl quarantine replay 1767312000000-17 --apply --who ann
  tickctl quarantine list --bucket tickstream-archive-123456789012-us-east-1
  TICKCTL_SECRET=... tickctl quarantine replay --from 1d --apply --into https://ticks.example \\
    --bucket tickstream-archive-123456789012-us-east-1

Exit codes: 0 done; 1 an entry is still malformed or could not be replayed; 2 a wrong option; 3 the range is in the
future, or, without --apply, the tickstream cannot be asked.")]
pub struct QuarantineArgs {
    /// The action.
    #[command(subcommand)]
    action: Action,
    /// Where the quarantine is.
    #[command(flatten)]
    place: QuarantineOptions,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Lists entries, newest first, with what became of them.
    List {
        #[command(flatten)]
        selection: Selection,
        /// Print one JSON object per entry instead of text.
        #[arg(long)]
        json: bool,
    },
    /// Shows one entry as it was received.
    Show {
        /// Its id, as `list` shows it.
        id: String,
        /// Print it as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Replays entries.
    Replay {
        /// The ids of entries; without any, those that the options select.
        ids: Vec<String>,
        #[command(flatten)]
        selection: Selection,
        /// Replay them, instead of only showing what would be replayed.
        #[arg(long)]
        apply: bool,
        /// The most entries a second.
        #[arg(long, value_name = "N", default_value_t = 50, value_parser = value_parser!(u32).range(1..=1_000))]
        rate: u32,
        /// Who replays them, which is recorded.
        #[arg(
            long,
            value_name = "NAME",
            env = "USER",
            hide_env = true,
            default_value = "unknown"
        )]
        who: String,
        #[command(flatten)]
        inbox: InboxOptions,
        /// Print one JSON object per entry instead of text.
        #[arg(long)]
        json: bool,
    },
}

/// Which entries are meant.
#[derive(Debug, Args)]
struct Selection {
    /// Only entries that were received at this time or later: a time, or how long ago (2h).
    #[arg(long, value_name = "TIME", default_value = "7d")]
    from: Moment,
    /// Only entries that were received before this time.
    #[arg(long, value_name = "TIME", default_value = "now")]
    to: Moment,
    /// Only entries that break this rule, such as invalid_price.
    #[arg(long, value_parser = reason)]
    reason: Option<Reason>,
    /// Only entries of this source.
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// The most entries.
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = value_parser!(u32).range(1..=10_000))]
    limit: u32,
}

impl QuarantineArgs {
    /// Whether nothing is replayed.
    pub(crate) fn only_reads(&self) -> bool {
        match &self.action {
            Action::List { .. } | Action::Show { .. } => true,
            Action::Replay { apply, .. } => !apply,
        }
    }
}

impl Selection {
    fn filter(&self, now_ms: i64) -> anyhow::Result<QuarantineFilter> {
        let (from_ms, to_ms) = range_ms(self.from, self.to, now_ms)?;
        Ok(QuarantineFilter {
            from_ms,
            to_ms,
            reason: self.reason,
            source: self.source.clone(),
        })
    }

    fn limit(&self) -> usize {
        usize::try_from(self.limit).unwrap_or(usize::MAX)
    }
}

fn reason(text: &str) -> Result<Reason, String> {
    let known = Reason::ALL.into_iter().find(|it| it.as_str() == text);
    known.ok_or_else(|| format!("use one of {}", Reason::ALL.map(Reason::as_str).join(", ")))
}

/// Runs the action.
///
/// # Errors
/// If the quarantine cannot be read, or an entry was not replayed.
pub async fn run(args: QuarantineArgs, process: ProcessContext) -> anyhow::Result<()> {
    let place = args.place.open().await?;
    let done = act(args.action, &place, &process).await;
    place.close();
    done
}

async fn act(
    action: Action,
    place: &QuarantineAccess,
    process: &ProcessContext,
) -> anyhow::Result<()> {
    let now_ms = (process.now_ms)();
    match action {
        Action::List { selection, json } => {
            let filter = selection.filter(now_ms)?;
            let found = place.entries(&filter, selection.limit()).await?;
            for entry in &found {
                print_line(&match json {
                    true => serde_json::to_string(entry)?,
                    false => entry_text::line(entry),
                })?;
            }
            if !json {
                print_line(&entry_text::counts(&filter, &found, selection.limit()))?;
            }
        }
        Action::Show { id, json } => {
            let entry = entry(place, &id).await?;
            print_line(&match json {
                true => serde_json::to_string(&entry)?,
                false => entry_text::whole(&entry),
            })?;
        }
        Action::Replay {
            ids,
            selection,
            apply,
            rate,
            who,
            inbox,
            json,
        } => {
            let mut chosen = Vec::new();
            for id in &ids {
                chosen.push(entry(place, id).await?);
            }
            let mut beyond_limit = 0;
            if ids.is_empty() {
                let filter = selection.filter(now_ms)?;
                (chosen, beyond_limit) =
                    OpenEntries::find(place, filter, selection.limit()).await?;
            }
            if !apply {
                for entry in &chosen {
                    print_line(&match json {
                        true => serde_json::to_string(entry)?,
                        false => entry_text::plan_line(entry),
                    })?;
                }
                if !json {
                    print_line(&entry_text::plan(&chosen, beyond_limit))?;
                }
                return Ok(());
            }
            let replayer = place.replayer(&inbox)?;
            let summary = replayer.replay(&chosen, &who, rate, json, process).await?;
            if !json {
                print_line(&summary.text())?;
                if let Some(more) = entry_text::more(beyond_limit) {
                    print_line(&more)?;
                }
            }
            if summary.left > 0 {
                bail!(
                    "still malformed or not replayable: {}",
                    count_of(summary.left, "entry")
                );
            }
            if summary.stopped {
                bail!("stopped; what was replayed is recorded, and the others are as they were");
            }
        }
    }
    Ok(())
}

async fn entry(place: &QuarantineAccess, id: &str) -> anyhow::Result<ReviewedEntry> {
    let missing = || {
        BadInput(format!(
            "there is no entry {id}, or it has been removed with the ticks of its day: `list` shows those that exist"
        ))
    };
    place.entry(id).await?.ok_or_else(|| missing().into())
}
