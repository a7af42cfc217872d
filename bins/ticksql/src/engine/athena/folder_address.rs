//! Addresses of folders on S3, as users write them.

use athena::folder::Location;

use crate::engine::EngineError;

/// Reads the address of a folder.
pub(crate) fn location(text: &str) -> Result<Location, EngineError> {
    Location::parse(text)
        .or_else(|| Location::parse(&format!("{text}/")))
        .ok_or_else(|| {
            EngineError::Usage(format!(
                "{text} is not a folder on S3: write s3://BUCKET/PREFIX/"
            ))
        })
}
