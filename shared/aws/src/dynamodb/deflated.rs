//! Values that are compressed. DynamoDB bills each KB that is written: without compression, ten minutes of a pair's
//! candles are two units, and with it mostly one.

use aws_sdk_dynamodb::types::AttributeValue;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::attributes::{Item, ItemError, PK, bytes, bytes_of, text_of};

/// The most bytes of a value: 600 candles of one second have about 100 KB.
const VALUE_BYTES_MAX: usize = 4 * 1_024 * 1_024;

/// More than a value can grow by: five bytes for each block of deflate, of 16 KB at least, and the end.
const GROWTH_BYTES_MAX: usize = 4_096;

/// Raw deflate, without a header and a checksum.
const WITH_HEADER: bool = false;

/// A value in a compact binary form, compressed for an item with its key. The texts of the key, such as names, take
/// next to no room in it.
pub(crate) fn deflated<T: Serialize>(value: &T, item: &Item) -> Result<AttributeValue, ItemError> {
    let encode = |error: &dyn std::error::Error| ItemError::Encode(error.to_string());
    let plain = postcard::to_stdvec(value).map_err(|error| encode(&error))?;
    let mut deflate = Compress::new(Compression::best(), WITH_HEADER);
    deflate
        .set_dictionary(text_of(item, PK)?.as_bytes())
        .map_err(|error| encode(&error))?;
    let mut small = Vec::with_capacity(plain.len() + GROWTH_BYTES_MAX);
    match deflate.compress_vec(&plain, &mut small, FlushCompress::Finish) {
        Ok(Status::StreamEnd) => Ok(bytes(small)),
        Ok(status) => Err(ItemError::Encode(format!(
            "the compression ended with {status:?}"
        ))),
        Err(error) => Err(encode(&error)),
    }
}

/// Restores a [`deflated`] value.
pub(crate) fn inflated<T: DeserializeOwned>(
    item: &Item,
    name: &'static str,
) -> Result<T, ItemError> {
    let unreadable = |cause: String| ItemError::Unreadable { name, cause };
    let small = bytes_of(item, name)?;
    let mut inflate = Decompress::new(WITH_HEADER);
    inflate
        .set_dictionary(text_of(item, PK)?.as_bytes())
        .map_err(|error| unreadable(error.to_string()))?;
    let mut plain = Vec::new();
    loop {
        // Twice as much each time.
        plain.reserve(plain.len().max(GROWTH_BYTES_MAX));
        let read = usize::try_from(inflate.total_in()).unwrap_or(usize::MAX);
        let rest = small.get(read..).unwrap_or_default();
        let before = plain.len();
        match inflate.decompress_vec(rest, &mut plain, FlushDecompress::Finish) {
            Ok(Status::StreamEnd) => break,
            Ok(_) if plain.len() > before && plain.len() <= VALUE_BYTES_MAX => {}
            Ok(_) => return Err(unreadable("it is cut off, or too large".to_owned())),
            Err(error) => return Err(unreadable(error.to_string())),
        }
    }
    postcard::from_bytes(&plain).map_err(|error| unreadable(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::super::attributes::key;
    use super::*;

    const NAME: &str = "value";

    fn stored<T: Serialize>(value: &T) -> Item {
        let mut item = key("0123456789abcdefghijklmnopqrstuvwxyz", "1");
        item.insert(NAME.to_owned(), deflated(value, &item).unwrap());
        item
    }

    #[test]
    fn a_value_is_restored_and_what_is_in_the_key_takes_no_room() {
        let value = vec!["0123456789abcdef".to_owned(); 1_000];
        let item = stored(&value);
        assert!(bytes_of(&item, NAME).unwrap().len() < 200);
        assert_eq!(inflated::<Vec<String>>(&item, NAME).unwrap(), value);
        let item = stored(&"abcdefghijklmnopqrstuvwxyz");
        assert!(bytes_of(&item, NAME).unwrap().len() < 10);
        // What has no pattern.
        let value: Vec<u32> = (1..100_000_u32)
            .map(|n| n.wrapping_mul(2_654_435_761))
            .collect();
        assert_eq!(inflated::<Vec<u32>>(&stored(&value), NAME).unwrap(), value);
    }

    #[test]
    fn what_is_broken_cut_off_or_too_large_cannot_be_read() {
        let cause = |item: &Item| inflated::<Vec<u8>>(item, NAME).unwrap_err().to_string();
        let mut item = stored(&vec![0_u8; 1_000]);
        let whole = bytes_of(&item, NAME).unwrap().to_vec();
        item.insert(NAME.to_owned(), bytes(vec![7; 100]));
        assert!(cause(&item).contains("cannot be read"), "{}", cause(&item));
        for cut in 0..whole.len() {
            item.insert(NAME.to_owned(), bytes(whole[..cut].to_vec()));
            assert!(cause(&item).contains("cut off"), "{}", cause(&item));
        }
        let item = stored(&vec![0_u8; 16 * 1_024 * 1_024]);
        assert!(cause(&item).contains("too large"), "{}", cause(&item));
    }
}
