//! Names of time zones that are on both engines.

use datafusion::arrow::array::timezone::Tz;

/// Names of chrono's that Athena has not.
const NOT_ON_ATHENA: [&str; 5] = ["America/Coyhaique", "EST", "HST", "MST", "ROC"];

/// Other names of UTC, which Athena writes as UTC.
const UTC_NAMES: [&str; 5] = ["GMT", "UCT", "UTC", "Universal", "Zulu"];

/// The farthest from UTC, in minutes.
const OFFSET_MAX_MINUTES: u32 = 14 * 60;

/// A zone's name as Athena writes it; `None` if Athena has it not, or writes it in another way.
pub(crate) fn zone_name(name: &str) -> Option<String> {
    if UTC_NAMES.contains(&name) {
        return Some("UTC".to_owned());
    }
    if let Some(offset) = name.strip_prefix(['+', '-']) {
        let digits = offset.replace(':', "");
        let number = |range| {
            digits
                .get(range)
                .map_or(Some(0), |it: &str| it.parse::<u32>().ok())
        };
        let (hours, minutes) = (number(0..2)?, number(2..4)?);
        let sign = name.get(..1)?;
        let is_offset = name.parse::<Tz>().is_ok() && minutes < 60;
        return match hours * 60 + minutes {
            _ if !is_offset => None,
            0 => Some("UTC".to_owned()),
            1..=OFFSET_MAX_MINUTES => Some(format!("{sign}{hours:02}:{minutes:02}")),
            _ => None,
        };
    }
    // Athena writes `Etc/GMT+5` as -05:00, and `Etc/UTC` as UTC.
    let is_here = !NOT_ON_ATHENA.contains(&name)
        && !name.starts_with("Etc/")
        && !name.starts_with("GMT")
        && name != "Greenwich";
    (is_here && name.parse::<Tz>().is_ok()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_both() {
        for (name, expected) in [
            ("Asia/Tokyo", "Asia/Tokyo"),
            ("GMT", "UTC"),
            ("+0530", "+05:30"),
            ("-03", "-03:00"),
            ("-00:00", "UTC"),
            ("+14:00", "+14:00"),
        ] {
            assert_eq!(zone_name(name).as_deref(), Some(expected), "{name}");
        }
        for name in [
            "EST",
            "+15:00",
            "+14:01",
            "+1:00",
            "+01:75",
            "Etc/GMT+5",
            "asia/tokyo",
            "",
            "+",
        ] {
            assert_eq!(zone_name(name), None, "{name}");
        }
    }
}
