//! The formats of `date_format`: MySQL's, in which a percent sign and a letter are a part of a time. chrono formats; its
//! letters differ.

use chrono::NaiveDateTime;
use datafusion::common::exec_err;
use datafusion::error::Result;

/// Letters that neither engine has.
const NOT_IN_TRINO: [char; 6] = ['D', 'U', 'u', 'V', 'w', 'X'];

/// A time in a format.
pub(super) fn format_time(time: NaiveDateTime, format: &str) -> Result<String> {
    Ok(time.format(&translated(format)?).to_string())
}

/// A format in chrono's letters.
fn translated(format: &str) -> Result<String> {
    if format.is_empty() {
        return exec_err!("the format is empty");
    }
    let mut part = String::new();
    let mut characters = format.chars();
    while let Some(character) = characters.next() {
        if character != '%' {
            part.push(character);
            continue;
        }
        part.push_str(match characters.next() {
            Some('a') => "%a",
            Some('b') => "%b",
            Some('c') => "%-m",
            Some('d') => "%d",
            Some('e') => "%-d",
            Some('f') => "%6f",
            Some('H') => "%H",
            Some('h' | 'I') => "%I",
            Some('i') => "%M",
            Some('j') => "%j",
            Some('k') => "%-H",
            Some('l') => "%-I",
            Some('M') => "%B",
            Some('m') => "%m",
            Some('p') => "%p",
            Some('r') => "%I:%M:%S %p",
            Some('S' | 's') => "%S",
            Some('T') => "%H:%M:%S",
            Some('v') => "%V",
            Some('W') => "%A",
            Some('x') => "%G",
            Some('Y') => "%Y",
            Some('y') => "%y",
            Some('%') => "%%",
            Some(letter) if NOT_IN_TRINO.contains(&letter) => {
                return exec_err!("%{letter} is not supported in a format, as in Trino");
            }
            // Any other letter is itself.
            Some(letter) => {
                part.push(letter);
                continue;
            }
            None => return exec_err!("the format '{format}' ends with a single percent sign"),
        });
    }
    Ok(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_formatted() {
        let time = "2026-03-07T15:04:05.678".parse().unwrap();
        for (format, expected) in [
            ("%Y-%m-%d %H:%i:%s.%f", "2026-03-07 15:04:05.678000"),
            ("%y %c %e %k %l %j", "26 3 7 15 3 066"),
            ("%a %b, %W %M", "Sat Mar, Saturday March"),
            ("%h %I %p; %r; %T", "03 03 PM; 03:04:05 PM; 15:04:05"),
            ("%x-W%v", "2026-W10"),
            ("100%% %Q", "100% Q"),
        ] {
            assert_eq!(format_time(time, format).unwrap(), expected, "{format}");
        }
        assert!(format_time(time, "%w").is_err());
        assert!(format_time(time, "%").is_err());
        assert!(format_time(time, "").is_err());
    }
}
