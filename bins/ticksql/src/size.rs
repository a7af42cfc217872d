//! Numbers of bytes, as people write and read them.

use std::fmt;
use std::str::FromStr;

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

/// The units, each with its bytes.
const UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

/// Decimals of a number that are read.
const DECIMALS_MAX: usize = 9;

impl FromStr for Size {
    type Err = String;

    /// Reads `500MB`, `1.5 GiB`, `1000000`.
    fn from_str(text: &str) -> Result<Self, String> {
        let expected =
            || "a number with B, kB, MB, GB, TB, KiB, MiB, GiB or TiB is expected: 2GB".to_owned();
        let text = text.trim();
        let mut units = UNITS.iter();
        let unit = units.find_map(|(name, bytes)| {
            let at = text.len().checked_sub(name.len())?;
            let (number, unit) = text.split_at_checked(at)?;
            unit.eq_ignore_ascii_case(name).then_some((number, *bytes))
        });
        let (number, unit) = unit.unwrap_or((text, 1));
        let (whole, decimals) = number.trim().split_once('.').unwrap_or((number.trim(), ""));
        let digits = |text: &str| text.chars().all(|char| char.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !digits(decimals) || decimals.len() > DECIMALS_MAX
        {
            return Err(expected());
        }
        let whole: u128 = whole.parse().map_err(|_| expected())?;
        let part: u128 = if decimals.is_empty() {
            0
        } else {
            decimals.parse().map_err(|_| expected())?
        };
        let scale = (0..decimals.len()).fold(1_u128, |scale, _| scale * 10);
        let bytes = whole
            .checked_mul(u128::from(unit))
            .and_then(|bytes| bytes.checked_add(part * u128::from(unit) / scale))
            .and_then(|bytes| u64::try_from(bytes).ok());
        bytes.map(Self).ok_or_else(expected)
    }
}

/// With three digits or so: `4.2 MB`.
impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut unit = 1;
        for name in ["B", "kB", "MB", "GB"] {
            if self.0 < unit * 1_000 || name == "GB" {
                let (whole, tenths) = (self.0 / unit, self.0 % unit * 10 / unit);
                return if unit == 1 || whole >= 100 {
                    write!(f, "{whole} {name}")
                } else {
                    write!(f, "{whole}.{tenths} {name}")
                };
            }
            unit *= 1_000;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_told_in_their_unit() {
        let check = |count, expected: &str| assert_eq!(Size(count).to_string(), expected);
        check(0, "0 B");
        check(999, "999 B");
        check(1_000, "1.0 kB");
        check(99_949, "99.9 kB");
        check(123_456, "123 kB");
        check(4_260_000, "4.2 MB");
        check(5_000_000_000_000, "5000 GB");
    }

    #[test]
    fn bytes_are_read_with_their_unit() {
        let check = |text: &str, expected| assert_eq!(text.parse(), Ok(Size(expected)), "{text}");
        check("0", 0);
        check("17", 17);
        check("2GB", 2_000_000_000);
        check("1.5 gib", 1_610_612_736);
        check("500mb", 500_000_000);
        check("0.25 kB", 250);
        for text in [
            "",
            "GB",
            "-1",
            "1.5.5",
            "2 GX",
            "1e9",
            "99999999999999999999TB",
            "ÄGB",
        ] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
    }
}
