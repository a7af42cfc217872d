//! The archive: its files, whether SQL answers on them, and backups.

use domain::count_of;

use super::check_line::{CheckLine, Deployment, Observed};
use super::observations::{BackupAge, Files, SqlAnswer};
use super::stream_checks::START;
use crate::text::duration;

const FILES: &str = "archive";
const SQL: &str = "sql";
const BACKUPS: &str = "backups";

/// A tick is in a file after five minutes, and the file is visible a little later.
const WAITING_MS_MAX: i64 = 6 * 60_000;

/// How long writing the files takes at most, if they are written less often than that.
const WRITING_MS_MAX: i64 = 60_000;

/// A statement that takes longer needs a look; analysts' tools give up after a minute or two.
const SQL_MS_MAX: u64 = 10_000;

/// The age of a backup from which on it needs a look.
const BACKUP_MS_MAX: i64 = 7 * 24 * 60 * 60_000;

/// What a folder needs whose files are gone or cannot be read.
const RESTORE: &str = "see that its disk is mounted and its rights are those of tickstream's user: `ls -ld $DIR \
                       $DIR/price-archive`; copy lost files from a backup, start tickstream again, and `tickctl verify $ACCESS \
                       --from 24h --repair` writes what the archive lacks";

/// What writes the files on AWS.
const FIREHOSE: &str = "see docs/runbooks/archive-freshness.md: `aws firehose describe-delivery-stream \
                        --delivery-stream-name $PROJECT-archive`";

/// Whether files arrive every five minutes, in a folder that is there.
#[must_use]
pub fn files(place: &Deployment, seen: &Observed<Files>) -> CheckLine {
    CheckLine::of(FILES, seen, |it| {
        if let Some(problem) = &it.problem {
            let advice = place.advice(RESTORE, RESTORE, FIREHOSE);
            return CheckLine::failed(FILES, problem.clone(), advice);
        }
        let evidence = files_evidence(it);
        // Without anything to write, no file is due.
        let waiting_ms_max = WAITING_MS_MAX.max(it.every_ms.saturating_add(WRITING_MS_MAX));
        let is_late = it.waiting != Some(0) && it.waiting_ms.is_some_and(|ms| ms > waiting_ms_max);
        let is_silent = it.waiting_ms.is_none() && it.streamed > 0;
        if !is_late && !is_silent && it.down_ms.is_none() {
            return CheckLine::ok(FILES, evidence);
        }
        let advice = place.advice(
            "`tickctl server flush --to $URL` writes them now, and says what is wrong if it cannot",
            START,
            FIREHOSE,
        );
        CheckLine::failed(FILES, evidence, advice)
    })
}

fn files_evidence(it: &Files) -> String {
    let newest = match (it.newest_age_ms, it.waiting) {
        (Some(age_ms), _) => format!("newest file {} ago, ", duration(age_ms)),
        (None, Some(_)) => "no file since the start, ".to_owned(),
        (None, None) => format!("{} streamed lately, ", count_of(it.streamed, "tick")),
    };
    let waiting = match (it.waiting, it.waiting_ms) {
        (Some(0), _) => "no tick waits".to_owned(),
        (Some(1), Some(ms)) => format!("1 tick waits for {}", duration(ms)),
        (Some(ticks), Some(ms)) => format!("{ticks} ticks wait for up to {}", duration(ms)),
        (None, Some(ms)) => format!("the oldest undelivered record is {} old", duration(ms)),
        (_, None) => "Firehose reports nothing".to_owned(),
    };
    let down = it.down_ms.map_or_else(String::new, |ms| {
        format!(", what writes them has been down for {}", duration(ms))
    });
    newest + &waiting + &down
}

/// Whether SQL answers. The inner error is what the statement failed with.
#[must_use]
pub fn sql(place: &Deployment, seen: &Observed<Result<SqlAnswer, String>>) -> CheckLine {
    CheckLine::of(SQL, seen, |answer| match answer {
        Ok(it) => {
            let evidence = format!(
                "{} counted {} of today and yesterday in {:.1} s",
                it.engine,
                count_of(it.ticks, "tick"),
                std::time::Duration::from_millis(it.took_ms).as_secs_f64()
            );
            if it.took_ms <= SQL_MS_MAX {
                return CheckLine::ok(SQL, evidence);
            }
            let merge = "`tickctl compact --data-dir $DIR` merges small files, which are what slows queries down most";
            let on_aws = "small files are what slows queries down most: `aws logs filter-log-events --log-group-name \
                          /aws/lambda/$PROJECT-compaction` shows whether they are merged";
            CheckLine::warning(SQL, evidence, place.advice(merge, merge, on_aws))
        }
        Err(why) => {
            let here = "`ticksql --data-dir $DIR \"SELECT count(*) FROM price_archive WHERE :days\" -p from=now-1d -p to=now` \
                        shows all of it";
            let on_aws = "`ticksql --engine athena --workgroup $PROJECT \"SELECT count(*) FROM price_archive WHERE :days\" -p \
                          from=now-1d -p to=now` shows all of it";
            let advice = place.advice(here, here, on_aws);
            CheckLine::failed(SQL, format!("ticksql failed: {why}"), advice)
        }
    })
}

/// Whether there is a recent backup.
#[must_use]
pub fn backups(place: &Deployment, seen: &Observed<BackupAge>) -> CheckLine {
    CheckLine::of(BACKUPS, seen, |it| {
        let advice = place.own_advice(
            "`tickctl backup --to $URL`, and copy it to another disk",
            "`cp -a $DIR COPY` to another disk, while no process runs",
        );
        match it.newest_ms {
            None => {
                let evidence = format!("there is none in {}", it.folder);
                CheckLine::warning(BACKUPS, evidence, advice)
            }
            Some(age_ms) => {
                let evidence = format!(
                    "{} in {}, the newest {} ago",
                    it.count,
                    it.folder,
                    duration(age_ms)
                );
                if age_ms > BACKUP_MS_MAX {
                    CheckLine::warning(BACKUPS, evidence, advice)
                } else {
                    CheckLine::ok(BACKUPS, evidence)
                }
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::check_line::CheckState::{Failed, Ok as Fine, Warning};
    use super::super::tests::{check, process};
    use super::*;

    #[test]
    fn files_that_do_not_arrive_are_found() {
        let line_every = |every_ms, newest_age_ms, waiting, waiting_ms, streamed| {
            let files = Files {
                newest_age_ms,
                waiting,
                waiting_ms,
                every_ms,
                streamed,
                problem: None,
                down_ms: None,
            };
            super::files(&process(), &Ok(files))
        };
        let line = |newest_age_ms, waiting, waiting_ms, streamed| {
            line_every(10_000, newest_age_ms, waiting, waiting_ms, streamed)
        };
        check(
            &line(Some(9_000), Some(5), Some(3_000), 9),
            Fine,
            "newest file 9 s ago, 5 ticks wait",
            "",
        );
        check(
            &line(Some(90_000_000), Some(0), Some(0), 0),
            Fine,
            "25 h ago, no tick waits",
            "",
        );
        check(&line(None, Some(0), Some(0), 0), Fine, "no file", "");
        check(
            &line(Some(400_000), Some(5), Some(400_000), 9),
            Failed,
            "wait for up to 6 min",
            "`tickctl server flush --to http://h:9`",
        );
        // Files may be set to be written every 15 minutes.
        for (waiting_ms, expected, advice) in [(900_000, Fine, ""), (970_000, Failed, "flush")] {
            let line = line_every(900_000, Some(waiting_ms), Some(5), Some(waiting_ms), 9);
            check(&line, expected, "5 ticks wait", advice);
        }
        // On AWS, Firehose says how old its oldest record is, and nothing at all if it stands still.
        let aws = |waiting_ms, streamed| {
            let files = Files {
                newest_age_ms: None,
                waiting: None,
                waiting_ms,
                every_ms: 0,
                streamed,
                problem: None,
                down_ms: None,
            };
            let project = "prices".to_owned();
            super::files(&Deployment::Aws { project }, &Ok(files))
        };
        check(
            &aws(Some(300_000), 9),
            Fine,
            "9 ticks streamed lately, the oldest undelivered record is 5 min",
            "",
        );
        check(&aws(None, 0), Fine, "reports nothing", "");
        check(
            &aws(None, 9),
            Failed,
            "9 ticks streamed lately, Firehose reports nothing",
            "prices-archive",
        );
        check(
            &aws(Some(3_600_000), 9),
            Failed,
            "60 min old",
            "archive-freshness",
        );
    }

    #[test]
    fn a_folder_that_is_gone_or_not_written_is_found() {
        let line = |problem: Option<&str>, down_ms| {
            let files = Files {
                newest_age_ms: Some(9_000),
                waiting: Some(5),
                waiting_ms: Some(3_000),
                every_ms: 10_000,
                streamed: 9,
                problem: problem.map(str::to_owned),
                down_ms,
            };
            super::files(&process(), &Ok(files))
        };
        check(&line(None, None), Fine, "newest file", "");
        let gone = "/srv/data/price-archive does not exist";
        check(
            &line(Some(gone), None),
            Failed,
            gone,
            "tickctl verify --server http://h:9 --from 24h --repair",
        );
        check(
            &line(None, Some(4_000)),
            Failed,
            "5 ticks wait for up to 3 s, what writes them has been down for 4 s",
            "`tickctl server flush --to http://h:9`",
        );
    }

    #[test]
    fn sql_that_fails_or_is_slow_is_found() {
        let answer = |took_ms| {
            let answer = SqlAnswer {
                engine: "local",
                ticks: 12,
                took_ms,
            };
            super::sql(&process(), &Ok(Ok(answer)))
        };
        check(
            &answer(250),
            Fine,
            "local counted 12 ticks of today and yesterday in 0.2 s",
            "",
        );
        check(&answer(11_000), Warning, "11.0 s", "tickctl compact");
        let failed = super::sql(&process(), &Ok(Err("a file is damaged".to_owned())));
        check(&failed, Failed, "a file is damaged", "ticksql");
    }

    #[test]
    fn a_missing_or_old_backup_is_found() {
        let line = |newest_ms: Option<i64>| {
            let age = BackupAge {
                folder: "/d/backups".to_owned(),
                count: u64::from(newest_ms.is_some()),
                newest_ms,
            };
            super::backups(&process(), &Ok(age))
        };
        check(&line(Some(3_600_000)), Fine, "the newest 60 min ago", "");
        check(
            &line(Some(8 * 86_400_000)),
            Warning,
            "8 days ago",
            "tickctl backup",
        );
        check(&line(None), Warning, "none in /d/backups", "tickctl backup");
    }
}
