//! Numbers of bytes, as people write and read them.

use std::fmt;
use std::str::FromStr;

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Size(pub(crate) u64);

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

impl FromStr for Size {
    type Err = String;

    /// Parses `500MB`, `1.5 GiB`, `1000000`.
    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let mut units = UNITS.iter();
        let unit = units.find_map(|(name, bytes)| {
            let at = text.len().checked_sub(name.len())?;
            let (number, unit) = text.split_at_checked(at)?;
            unit.eq_ignore_ascii_case(name).then_some((number, *bytes))
        });
        let (number, unit) = unit.unwrap_or((text, 1));
        let number = Decimal::from_str_exact(number.trim()).ok();
        let bytes = number.and_then(|number| number.checked_mul(Decimal::from(unit)));
        bytes
            .and_then(|bytes| bytes.to_u64())
            .map(Self)
            .ok_or_else(|| {
                "expected a number with B, kB, MB, GB, TB, KiB, MiB, GiB or TiB: 2GB".to_owned()
            })
    }
}

/// With about three digits: `4.2 MB`.
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
    fn bytes_are_shown_in_their_unit() {
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
