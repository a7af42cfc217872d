//! Numbers without a sign.

/// Parses digits only, without a sign, of at most 64 bits.
pub(super) fn whole_number(text: &str) -> Option<u64> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}
