//! What a tickstream runs on: its process, clocks, disk, versions, and the certificate of its address.

use domain::count_of;

use super::check_line::{CheckLine, Deployment, Observed, Unobserved};
use super::observations::{Certificate, Clocks, Disk, Versions};
use super::stream_checks::START;
use crate::text::duration;

const PROCESS: &str = "process";
const CLOCKS: &str = "clocks";
const DISK: &str = "disk";
const VERSIONS: &str = "versions";
const CERTIFICATE: &str = "certificate";

/// By how much a clock may differ. Ticks that have no time of their own get the receiving clock's.
const AHEAD_MS_MAX: i64 = 2_000;

/// From this difference on AWS refuses requests: `SignatureDoesNotMatch`, after five minutes.
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/signing-elements.html>
const AHEAD_MS_FAILED: i64 = 300_000;

/// By how much event times may be ahead of the clock that receives them: providers' clocks differ by seconds.
const EVENT_AHEAD_MS_MAX: i64 = 60_000;

/// Below this many times the room at which ticks are refused, it is time to make room.
const ROOM_FACTOR: u64 = 4;

/// Room in which a merge of the store's files and a day of the archive usually fit.
const ROOM_BYTES_MIN: u64 = 2_000_000_000;

/// A certificate is renewed by then at the latest: Let's Encrypt's clients do so 30 days before the end.
const CERTIFICATE_DAYS_MIN: u32 = 14;

/// Whether the process runs: its address, its id and how long it has run.
#[must_use]
pub fn process(place: &Deployment, running: Option<(&str, u32, i64)>) -> CheckLine {
    match running {
        Some((url, pid, uptime_ms)) => {
            let evidence = format!("{url}, process {pid}, up for {}", duration(uptime_ms));
            CheckLine::ok(PROCESS, evidence)
        }
        None => CheckLine::failed(
            PROCESS,
            "no process has the data folder open, so nothing is received; the store itself was looked at",
            place.own_advice("start tickstream", START),
        ),
    }
}

/// A process or store that cannot be looked at: it hangs or is broken, which is a failure, or whether it works could not
/// be seen.
#[must_use]
pub fn process_unobserved(fails: bool, why: &str) -> CheckLine {
    let advice = "no other check could run: fix this, then run doctor again";
    if fails {
        return CheckLine::failed(PROCESS, why, advice);
    }
    CheckLine::not_seen(
        PROCESS,
        &Unobserved {
            why: why.to_owned(),
            advice: advice.to_owned(),
        },
    )
}

/// Whether the clocks agree, and event times are not ahead of them.
#[must_use]
pub fn clocks(place: &Deployment, seen: &Observed<Clocks>) -> CheckLine {
    CheckLine::of(CLOCKS, seen, |it| {
        let events = match it.event_ahead_ms {
            None => String::new(),
            Some(ahead_ms @ 1..) => {
                format!("; event times of the latest ticks are up to {ahead_ms} ms ahead of it")
            }
            Some(_) => "; event times of the latest ticks are not ahead of it".to_owned(),
        };
        let side = if it.ahead_ms < 0 {
            "behind"
        } else {
            "ahead of"
        };
        let evidence = format!(
            "the server's clock is {} ms {side} this one (± {} ms){events}",
            it.ahead_ms.unsigned_abs(),
            it.within_ms
        );
        let off_ms = it.ahead_ms.abs().saturating_sub(it.within_ms);
        let advice = "`timedatectl timesync-status` on both machines: one of them does not synchronize its clock";
        if off_ms > AHEAD_MS_FAILED {
            CheckLine::failed(CLOCKS, evidence, advice)
        } else if off_ms > AHEAD_MS_MAX {
            CheckLine::warning(CLOCKS, evidence, advice)
        } else if it.event_ahead_ms.is_some_and(|ms| ms > EVENT_AHEAD_MS_MAX) {
            let advice = place.own_advice(
                "a provider's clock or unit of time is wrong: `curl -s $URL/api/tokens` has the latest ticks with their \
                 sources",
                START,
            );
            CheckLine::warning(CLOCKS, evidence, advice)
        } else {
            CheckLine::ok(CLOCKS, evidence)
        }
    })
}

/// Whether the disk has room.
#[must_use]
pub fn disk(place: &Deployment, seen: &Observed<Disk>) -> CheckLine {
    CheckLine::of(DISK, seen, |it| {
        let mb = |bytes: u64| bytes / 1_000_000;
        let evidence = format!(
            "{} MB free, the store takes {} MB, {}",
            mb(it.free_bytes),
            mb(it.store_bytes),
            match it.min_free_bytes {
                None => "and the limit (--min-free-disk-mb) is known only while tickstream runs"
                    .to_owned(),
                Some(0) =>
                    "ticks are refused only when it is full (--min-free-disk-mb 0)".to_owned(),
                Some(min) => format!(
                    "ticks are refused below {} MB{}",
                    mb(min),
                    match it.free_bytes < min {
                        true => ", and so they are now",
                        false => "",
                    }
                ),
            }
        );
        let room = "make room: old backups (the line `backups` has their folder), fewer --retention-days, `tickctl \
                    compact --data-dir $DIR` for the archive";
        let advice = place.same_advice(room);
        let min_bytes = it.min_free_bytes.unwrap_or_default();
        if it.free_bytes < min_bytes {
            CheckLine::failed(DISK, evidence, advice)
        } else if it.free_bytes < ROOM_BYTES_MIN.max(min_bytes.saturating_mul(ROOM_FACTOR)) {
            CheckLine::warning(DISK, evidence, advice)
        } else {
            CheckLine::ok(DISK, evidence)
        }
    })
}

/// Whether this tool and what it looks at are of the same version.
#[must_use]
pub fn versions(place: &Deployment, seen: &Observed<Versions>) -> CheckLine {
    CheckLine::of(VERSIONS, seen, |it| {
        let code = it.code_sha256.as_ref().map_or_else(String::new, |hash| {
            let short: String = hash.chars().take(12).collect();
            format!(", code {short}…")
        });
        let evidence = format!("tickctl {}, running {}{code}", it.tool, it.running);
        if it.tool == it.running {
            return CheckLine::ok(VERSIONS, evidence);
        }
        let advice = place.advice(
            "use the tickctl of the running version, or restart tickstream with this one's",
            START,
            "`PROJECT=$PROJECT just status` has the deployed version, beside whose zips its tickctl is",
        );
        CheckLine::warning(VERSIONS, evidence, advice)
    })
}

/// Whether the address is protected on the way, and will be.
#[must_use]
pub fn certificate(seen: &Observed<Certificate>) -> CheckLine {
    CheckLine::of(CERTIFICATE, seen, |it| {
        let renew = "renew it where TLS ends: docs/operations.md#tls";
        match it {
            Certificate::Loopback => CheckLine::ok(CERTIFICATE, "none, on loopback"),
            Certificate::Plain => CheckLine::warning(
                CERTIFICATE,
                "none: secrets and tokens are readable on the way",
                "put a proxy with a certificate in front of it: docs/operations.md#tls",
            ),
            Certificate::Valid => CheckLine::ok(CERTIFICATE, "valid for at least 30 more days"),
            Certificate::Refused { in_days: 0, why } => {
                CheckLine::failed(CERTIFICATE, format!("refused: {why}"), renew)
            }
            Certificate::Refused { in_days, why } => {
                let evidence = format!(
                    "refused within {}: {why}",
                    count_of(u64::from(*in_days), "day")
                );
                if *in_days <= CERTIFICATE_DAYS_MIN {
                    CheckLine::warning(CERTIFICATE, evidence, renew)
                } else {
                    CheckLine::ok(CERTIFICATE, evidence)
                }
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::check_line::CheckState::{Failed, NotSeen, Ok as Fine, Warning};
    use super::super::tests::{check, process};
    use super::*;

    #[test]
    fn a_process_that_does_not_run_or_answer_is_found() {
        let folder = Deployment::Folder {
            data_dir: "/srv/data".to_owned(),
        };
        let up = super::process(&process(), Some(("http://127.0.0.1:8080", 7, 60_000)));
        check(
            &up,
            Fine,
            "http://127.0.0.1:8080, process 7, up for 60 s",
            "",
        );
        check(
            &super::process(&folder, None),
            Failed,
            "no process",
            "`tickstream --data-dir /srv/data`",
        );
        let hangs = process_unobserved(true, "no response within 30 s");
        check(&hangs, Failed, "no response", "no other check");
        let refused = process_unobserved(false, "set OPERATOR_TOKEN");
        check(&refused, NotSeen, "OPERATOR_TOKEN", "no other check");
    }

    #[test]
    fn clocks_that_differ_and_ticks_from_the_future_are_found() {
        let line = |ahead_ms, within_ms, event_ahead_ms| {
            let clocks = Clocks {
                ahead_ms,
                within_ms,
                event_ahead_ms,
            };
            super::clocks(&process(), &Ok(clocks))
        };
        check(
            &line(-1_500, 10, Some(900)),
            Fine,
            "1500 ms behind this one (± 10 ms); event times of the latest ticks are up to 900 ms ahead",
            "",
        );
        check(&line(2, 10, Some(-20)), Fine, "are not ahead of it", "");
        check(&line(2_400, 500, None), Fine, "± 500 ms", "");
        check(
            &line(-2_400, 10, None),
            Warning,
            "2400 ms behind",
            "timedatectl",
        );
        check(&line(400_000, 10, None), Failed, "400000 ms", "timedatectl");
        check(
            &line(0, 10, Some(3_600_000)),
            Warning,
            "3600000 ms ahead of it",
            "`curl -s http://h:9/api/tokens`",
        );
    }

    #[test]
    fn a_disk_that_fills_up_is_found() {
        let of = |free_bytes, min_free_bytes| {
            let disk = Disk {
                free_bytes,
                min_free_bytes,
                store_bytes: 70_000_000,
            };
            super::disk(&process(), &Ok(disk))
        };
        let line = |free_bytes| of(free_bytes, Some(256_000_000));
        check(
            &line(3_000_000_000),
            Fine,
            "3000 MB free, the store takes 70 MB",
            "",
        );
        check(&line(1_000_000_000), Warning, "1000 MB free", "make room");
        check(
            &line(255_000_000),
            Failed,
            "below 256 MB",
            "tickctl compact --data-dir /srv/data",
        );
        // The limit of a process that does not run is not known, and must not be said to be 0.
        let unknown = of(3_000_000_000, None);
        check(&unknown, Fine, "known only while tickstream runs", "");
        check(&of(255_000_000, None), Warning, "255 MB free", "make room");
        check(
            &of(3_000_000_000, Some(0)),
            Fine,
            "only when it is full",
            "",
        );
    }

    #[test]
    fn another_version_is_found() {
        let line = |running: &str| {
            super::versions(
                &process(),
                &Ok(Versions {
                    tool: "0.1.0".to_owned(),
                    running: running.to_owned(),
                    code_sha256: Some("0123456789abcdef".to_owned()),
                }),
            )
        };
        check(
            &line("0.1.0"),
            Fine,
            "running 0.1.0, code 0123456789ab…",
            "",
        );
        check(&line("0.2.0"), Warning, "running 0.2.0", "use the tickctl");
    }

    #[test]
    fn a_certificate_that_expires_or_is_missing_is_found() {
        let line = |certificate| super::certificate(&Ok(certificate));
        let refused = |in_days| Certificate::Refused {
            in_days,
            why: "it expires".to_owned(),
        };
        check(&line(Certificate::Loopback), Fine, "loopback", "");
        check(
            &line(Certificate::Plain),
            Warning,
            "readable on the way",
            "proxy",
        );
        check(&line(Certificate::Valid), Fine, "30 more days", "");
        check(&line(refused(30)), Fine, "within 30 days", "");
        check(&line(refused(14)), Warning, "within 14 days", "renew");
        check(&line(refused(0)), Failed, "it expires", "renew");
    }
}
