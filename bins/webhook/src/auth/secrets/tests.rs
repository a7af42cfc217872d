//! Tests of the list of secrets: what is accepted, and what is refused and why.

use super::*;

const KEY: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
// The public key of the secret key 07 07 … 07.
const PUBLIC: &str = "whpk_6kpsY+KcUgq+9VB7Ey7F+ZVHdq6+vnuSQh7qaRRG0iw=";

#[track_caller]
fn check(text: &str, expected: Result<(usize, usize, usize), SecretsError>) {
    let found = Secrets::parse(text).map(|secrets| {
        (
            secrets.plain.len(),
            secrets.hmac.len(),
            secrets.ed25519.len(),
        )
    });
    assert_eq!(found, expected, "{text:?}");
}

#[test]
fn secrets_are_distinguished_by_prefix() {
    check("", Ok((0, 0, 0)));
    check("  ", Ok((0, 0, 0)));
    check("0123456789abcdef", Ok((1, 0, 0)));
    check("two words of them", Ok((1, 0, 0)));
    check(KEY, Ok((0, 1, 0)));
    check(PUBLIC, Ok((0, 0, 1)));
    check(PUBLIC.trim_end_matches('='), Ok((0, 0, 1)));
    check(
        &format!("open-sesame-1234,{KEY},{PUBLIC},{KEY}"),
        Ok((1, 2, 1)),
    );
    check(
        &["0123456789abcdef"; SECRETS_MAX].join(","),
        Ok((SECRETS_MAX, 0, 0)),
    );
}

#[test]
fn an_invalid_secret_is_named_by_its_position() {
    check("open-sesame-1234,", Err(SecretsError::Empty(2)));
    check(",open-sesame-1234", Err(SecretsError::Empty(1)));
    check(
        "open-sesame-1234, other-secret-123",
        Err(SecretsError::Blank(2)),
    );
    check("open-sesame-1234\n", Err(SecretsError::Blank(1)));
    check("0123456789abcde", Err(SecretsError::TooShort(1)));
    check("open-sesame", Err(SecretsError::TooShort(1)));
    check("abcdeabcdeabcdeabcde", Err(SecretsError::TooSimple(1)));
    check("open\tsesame", Err(SecretsError::NotAscii(1)));
    check("öffne-dich", Err(SecretsError::NotAscii(1)));
    check(
        &["0123456789abcdef"; 9].join(","),
        Err(SecretsError::TooMany(9)),
    );
}

#[test]
fn quotes_around_secrets_are_refused() {
    for mark in ["\"", "'", "`"] {
        let quoted = |secret: &str| format!("{mark}{secret}{mark}");
        for secret in [KEY, PUBLIC, "open-sesame-1234", "short", ""] {
            check(&quoted(secret), Err(SecretsError::Quoted(1)));
        }
        let second = format!("open-sesame-1234,{}", quoted(KEY));
        check(&second, Err(SecretsError::Quoted(2)));
        let each = format!("{},{}", quoted("open-sesame-1234"), quoted(KEY));
        check(&each, Err(SecretsError::Quoted(1)));
        let list = quoted(&format!("open-sesame-1234,{KEY}"));
        check(&list, Err(SecretsError::QuotedList));
        check(&format!("{mark}{KEY}"), Err(SecretsError::Quoted(1)));
        let scheme = format!("Bearer {}", quoted("open-sesame-1234"));
        check(&scheme, Err(SecretsError::Quoted(1)));
    }
    // A quote that is not around a secret may be a part of it.
    for secret in [
        "open\"sesame-1234",
        "'open-sesame-1234",
        "open-sesame-1234\"",
        "\"open-sesame-1234'",
    ] {
        check(secret, Ok((1, 0, 0)));
    }
    for text in [format!("'{KEY}'"), format!("\"open-sesame-1234,{KEY}\"")] {
        let error = Secrets::parse(&text).unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(
            !shown.contains("sesame") && !shown.contains("whsec_"),
            "{shown}"
        );
    }
}

#[test]
fn an_invalid_key_is_refused() {
    let key = |bytes: usize| format!("{HMAC_PREFIX}{}", BASE64.encode(vec![5; bytes]));
    check(&key(24), Ok((0, 1, 0)));
    check(&key(64), Ok((0, 1, 0)));
    check(
        &key(23),
        Err(SecretsError::KeySize {
            place: 1,
            bytes: 23,
        }),
    );
    check(
        &key(65),
        Err(SecretsError::KeySize {
            place: 1,
            bytes: 65,
        }),
    );
    check("whsec_", Err(SecretsError::KeySize { place: 1, bytes: 0 }));
    check("whsec_not base64", Err(SecretsError::NotBase64(1)));
    check(
        "whsk_6kpsY+KcUgq+9VB7Ey7F+ZVHdq6=",
        Err(SecretsError::PrivateKey(1)),
    );
    let public = |bytes: &[u8]| format!("{PUBLIC_PREFIX}{}", BASE64.encode(bytes));
    check(&public(&[1; 31]), Err(SecretsError::PublicKey(1)));
    // The neutral element, for which any signature is valid.
    let mut weak = [0; 32];
    weak[0] = 1;
    check(&public(&weak), Err(SecretsError::PublicKey(1)));
}

#[test]
fn only_a_plain_secret_is_an_echo() {
    let secrets = Secrets::parse(&format!("open-sesame-1234,{KEY},{PUBLIC}")).unwrap();
    let is_echo = |value: &str| secrets.is_echo(Some(&HeaderValue::from_str(value).unwrap()));
    assert!(is_echo("open-sesame-1234"));
    assert!(is_echo("Bearer open-sesame-1234"));
    assert!(!is_echo("Bearer  open-sesame-1234"));
    assert!(!is_echo(&format!("Bearer {KEY}")));
    assert!(!is_echo(&format!("Bearer {PUBLIC}")));
    assert!(!is_echo("") && !secrets.is_echo(None));
    assert!(!Secrets::default().is_echo(Some(&HeaderValue::from_static(""))));
}

#[test]
fn debug_shows_counts_only() {
    let secrets = Secrets::parse(&format!("open-sesame-1234,{KEY}")).unwrap();
    assert_eq!(
        format!("{secrets:?}"),
        "Secrets { plain: 1, hmac: 1, ed25519: 0 }"
    );
}
