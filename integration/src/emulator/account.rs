//! The account of the emulator.

/// The region of all tests.
pub const REGION: &str = "us-east-1";
/// The account of the emulator.
pub const ACCOUNT: &str = "000000000000";
/// The access key and the secret, which no real account accepts.
pub const ACCESS_KEY: &str = "test";
