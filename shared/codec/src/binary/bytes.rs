//! Reads and writes the numbers of a record, without reading past its end.

use crate::error::CodecError;

/// Appends a number in LEB128: seven bits per byte, the lowest first.
pub(super) fn put_number(mut value: u128, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(low_byte(value) | 0x80);
        value >>= 7;
    }
    out.push(low_byte(value));
}

/// Same as [`put_number`], but faster, for the many numbers of at most 64 bits.
pub(super) fn put_short_number(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

fn low_byte(value: u128) -> u8 {
    value.to_le_bytes()[0]
}

/// Moves the sign into the lowest bit, so small negative numbers stay short.
pub(super) fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

/// Undoes [`zigzag`].
pub(super) fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

/// The unread rest of a record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(record: &'a [u8]) -> Self {
        Self(record)
    }

    pub(super) fn byte(&mut self, field: &'static str) -> Result<u8, CodecError> {
        let (first, rest) = self.0.split_first().ok_or(CodecError::Truncated(field))?;
        self.0 = rest;
        Ok(*first)
    }

    pub(super) fn array<const N: usize>(
        &mut self,
        field: &'static str,
    ) -> Result<[u8; N], CodecError> {
        let (first, rest) = self
            .0
            .split_first_chunk::<N>()
            .ok_or(CodecError::Truncated(field))?;
        self.0 = rest;
        Ok(*first)
    }

    pub(super) fn slice(
        &mut self,
        bytes: usize,
        field: &'static str,
    ) -> Result<&'a [u8], CodecError> {
        let (first, rest) = self
            .0
            .split_at_checked(bytes)
            .ok_or(CodecError::Truncated(field))?;
        self.0 = rest;
        Ok(first)
    }

    /// A number of at most 64 bits.
    pub(super) fn number(&mut self, field: &'static str) -> Result<u64, CodecError> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte(field)?;
            let bits = u64::from(byte & 0x7f);
            // The tenth byte has room for one bit only.
            if shift == 63 && bits > 1 {
                return Err(CodecError::Code { field, value: bits });
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(CodecError::Code { field, value })
    }

    /// A number of at most 128 bits.
    pub(super) fn long_number(&mut self, field: &'static str) -> Result<u128, CodecError> {
        let mut value = 0_u128;
        for shift in (0..128).step_by(7) {
            let byte = self.byte(field)?;
            let bits = u128::from(byte & 0x7f);
            if shift == 126 && bits > 3 {
                return Err(CodecError::Code {
                    field,
                    value: u64::from(byte),
                });
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(CodecError::Code {
            field,
            value: u64::MAX,
        })
    }

    /// How many bytes are left.
    pub(super) fn left(&self) -> usize {
        self.0.len()
    }

    /// Fails if bytes follow the last field.
    pub(super) fn end(self) -> Result<(), CodecError> {
        match self.left() {
            0 => Ok(()),
            bytes => Err(CodecError::Trailing(bytes)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_and_largest_numbers_round_trip() {
        for value in [0, 1, 127, 128, 16_383, 16_384, u64::MAX >> 1, u64::MAX] {
            let mut short = Vec::new();
            put_short_number(value, &mut short);
            let mut long = Vec::new();
            put_number(u128::from(value), &mut long);
            assert_eq!(short, long);
            assert_eq!(Reader::new(&short).number("x").unwrap(), value);
            assert_eq!(
                Reader::new(&short).long_number("x").unwrap(),
                u128::from(value)
            );
        }
        for value in [0, -1, 1, i64::MIN, i64::MAX] {
            assert_eq!(unzigzag(zigzag(value)), value);
        }
        let mut out = Vec::new();
        put_number(u128::MAX, &mut out);
        assert_eq!(Reader::new(&out).long_number("x").unwrap(), u128::MAX);
    }

    #[test]
    fn numbers_that_do_not_fit_are_refused() {
        assert!(matches!(
            Reader::new(&[0xff; 10]).number("x"),
            Err(CodecError::Code { .. })
        ));
        assert!(matches!(
            Reader::new(&[0xff; 20]).long_number("x"),
            Err(CodecError::Code { .. })
        ));
        assert!(matches!(
            Reader::new(&[0xff; 3]).number("x"),
            Err(CodecError::Truncated("x"))
        ));
        assert!(matches!(
            Reader::new(&[]).array::<1>("x"),
            Err(CodecError::Truncated("x"))
        ));
    }
}
