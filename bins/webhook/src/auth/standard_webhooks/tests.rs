//! Tests of signed messages: the published vector, vectors from other implementations, and properties.

use ed25519_dalek::{Signer, SigningKey};
use proptest::prelude::*;

use super::*;

/// The secret of the published vector.
pub(in super::super) const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
const OTHER_SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const VECTOR_BODY: &str = r#"{"email":"test@example.com","username":"test_user"}"#;
const VECTOR_SECONDS: i64 = 1_649_367_553;

fn vector() -> HeaderMap {
    headers([
        ("webhook-id", "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk"),
        ("webhook-timestamp", "1649367553"),
        (
            "webhook-signature",
            "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=",
        ),
    ])
}

fn headers<const N: usize>(pairs: [(&'static str, &str); N]) -> HeaderMap {
    pairs
        .into_iter()
        .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
        .collect()
}

fn sign(secret: &str, id: &str, seconds: i64, body: &[u8]) -> String {
    let key = BASE64
        .decode(secret.strip_prefix("whsec_").unwrap())
        .unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    mac.update(&[format!("{id}.{seconds}.").as_bytes(), body].concat());
    format!("v1,{}", BASE64.encode(mac.finalize().into_bytes()))
}

/// The headers of a message that is signed with [`SECRET`].
pub(in super::super) fn signed(id: &str, seconds: i64, body: &[u8]) -> HeaderMap {
    headers([
        ("webhook-id", id),
        ("webhook-timestamp", &seconds.to_string()),
        ("webhook-signature", &sign(SECRET, id, seconds, body)),
    ])
}

fn verify(
    secrets: &Secrets,
    headers: &HeaderMap,
    body: &[u8],
    now_ms: i64,
) -> Result<(), AuthError> {
    Claim::read(secrets, headers, now_ms)?.verify(secrets, body)
}

fn verdict(secrets: &str, headers: &HeaderMap, body: &[u8], seconds: i64) -> Result<(), AuthError> {
    verify(
        &Secrets::parse(secrets).unwrap(),
        headers,
        body,
        seconds * 1_000,
    )
}

/// Verifies the vector after changing one header.
#[track_caller]
fn check(name: &'static str, value: &str, expected: Result<(), AuthError>) {
    let mut headers = vector();
    headers.insert(name, value.parse().unwrap());
    let found = verdict(SECRET, &headers, VECTOR_BODY.as_bytes(), VECTOR_SECONDS);
    assert_eq!(found, expected, "{name}: {value}");
}

#[test]
fn the_published_vector_is_valid() {
    let body = VECTOR_BODY.as_bytes();
    assert_eq!(verdict(SECRET, &vector(), body, VECTOR_SECONDS), Ok(()));
    assert_eq!(
        verdict(OTHER_SECRET, &vector(), body, VECTOR_SECONDS),
        Err(AuthError::WrongSignature)
    );
    let both = format!("{OTHER_SECRET},{SECRET}");
    assert_eq!(verdict(&both, &vector(), body, VECTOR_SECONDS), Ok(()));
    assert_eq!(
        verdict("open-sesame-1234", &vector(), body, VECTOR_SECONDS),
        Err(AuthError::WrongSignature)
    );
}

#[test]
fn signatures_from_other_implementations_are_valid() {
    // Python: hmac.new(bytes(range(32)), b"msg_2.1763000000." + body, "sha256"), in base64.
    let body = b"{\"price\":\"1.50\",\"name\":\"\xc3\xa9\"}\n";
    let made = "v1,rd3nGVslM7GQmWZFwCbU60BOxTVYk0d0mGPpekIAqHU=";
    let headers = headers([
        ("svix-id", "msg_2"),
        ("svix-timestamp", "1763000000"),
        ("svix-signature", made),
    ]);
    assert_eq!(verdict(OTHER_SECRET, &headers, body, 1_763_000_000), Ok(()));
    assert_eq!(sign(OTHER_SECRET, "msg_2", 1_763_000_000, body), made);
}

#[test]
fn one_valid_signature_in_the_list_is_enough() {
    const GOOD: &str = "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=";
    const WRONG: &str = "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=";
    let name = "webhook-signature";
    let fits = Ok(());
    check(name, &format!("{WRONG} {GOOD}"), fits.clone());
    check(name, &format!("{GOOD} {WRONG}"), fits.clone());
    check(
        name,
        &format!("v2,abc v1a,abc v1,=%= nonsense  {GOOD}"),
        fits.clone(),
    );
    check(name, GOOD.trim_end_matches('='), fits.clone());
    check(name, &[GOOD; SIGNATURES_MAX].join(" "), fits);
    check(name, WRONG, Err(AuthError::WrongSignature));
    check(name, "v1,", Err(AuthError::WrongSignature));
    check(name, "v1,tZ1I", Err(AuthError::WrongSignature));
    check(
        name,
        &GOOD.replacen("v1", "v1a", 1),
        Err(AuthError::WrongSignature),
    );
    for unknown in ["", "v2,tZ1I", "v1", &GOOD[3..], "V1,tZ1I"] {
        check(name, unknown, Err(AuthError::UnknownVersion));
    }
    let rule = "must contain at most 4 signatures";
    check(
        name,
        &[GOOD; SIGNATURES_MAX + 1].join(" "),
        Err(AuthError::MalformedHeader { name, rule }),
    );
}

#[test]
fn changing_any_signed_part_fails() {
    check(
        "webhook-id",
        "msg_27UH4WbU6Z5A5EzD8u03UvzRbpK",
        Err(AuthError::WrongSignature),
    );
    check(
        "webhook-timestamp",
        "1649367554",
        Err(AuthError::WrongSignature),
    );
    check(
        "webhook-timestamp",
        "01649367553",
        Err(AuthError::WrongSignature),
    );
}

#[test]
fn headers_must_be_well_formed() {
    let malformed = |name, rule| Err(AuthError::MalformedHeader { name, rule });
    let length = "must have 1 to 256 characters";
    check("webhook-id", "", malformed("webhook-id", length));
    check(
        "webhook-id",
        &"x".repeat(257),
        malformed("webhook-id", length),
    );
    check(
        "webhook-id",
        &"x".repeat(256),
        Err(AuthError::WrongSignature),
    );
    check(
        "webhook-id",
        "msg.1",
        malformed("webhook-id", "must not contain a full stop"),
    );
    for text in [
        "",
        "now",
        "+1649367553",
        "-1649367553",
        "1649367553.0",
        "99999999999999999999",
    ] {
        check(
            "webhook-timestamp",
            text,
            malformed("webhook-timestamp", "must be whole seconds since 1970"),
        );
    }
    let mut headers = vector();
    headers.insert("webhook-id", HeaderValue::from_bytes(b"msg_\xff").unwrap());
    let found = verdict(SECRET, &headers, b"", VECTOR_SECONDS);
    let (name, rule) = ("webhook-id", "must be ASCII text");
    assert_eq!(found, Err(AuthError::MalformedHeader { name, rule }));
}

#[test]
fn each_of_the_three_headers_is_required_once() {
    for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
        let mut without = vector();
        let value = without.remove(name).unwrap();
        let found = verdict(SECRET, &without, VECTOR_BODY.as_bytes(), VECTOR_SECONDS);
        assert_eq!(found, Err(AuthError::MissingHeader(name)));
        assert!(is_attempted(&without));
        let mut twice = vector();
        twice.append(name, value);
        let found = verdict(SECRET, &twice, VECTOR_BODY.as_bytes(), VECTOR_SECONDS);
        assert_eq!(found, Err(AuthError::RepeatedHeader(name)));
    }
    assert!(!is_attempted(&HeaderMap::new()));
}

#[test]
fn a_message_is_valid_for_five_minutes_either_way() {
    let at = |seconds| {
        verdict(
            SECRET,
            &vector(),
            VECTOR_BODY.as_bytes(),
            VECTOR_SECONDS + seconds,
        )
        .err()
    };
    assert_eq!(at(300), None);
    assert_eq!(at(-300), None);
    assert_eq!(at(301), Some(AuthError::TooOld { seconds: 301 }));
    assert_eq!(at(-301), Some(AuthError::TooNew { seconds: 301 }));
    let rule = AuthError::TooNew {
        seconds: 9_223_372_036_854_776,
    };
    let mut far = vector();
    far.insert("webhook-timestamp", HeaderValue::from(i64::MAX));
    assert_eq!(verdict(SECRET, &far, b"", 0), Err(rule));
}

#[test]
fn an_asymmetric_signature_is_valid() {
    let (old, new) = (
        SigningKey::from_bytes(&[7; 32]),
        SigningKey::from_bytes(&[8; 32]),
    );
    let public =
        |key: &SigningKey| format!("whpk_{}", BASE64.encode(key.verifying_key().as_bytes()));
    let message = [b"msg_3.1763000000.", VECTOR_BODY.as_bytes()].concat();
    let signature = format!("v1a,{}", BASE64.encode(old.sign(&message).to_bytes()));
    let headers = headers([
        ("webhook-id", "msg_3"),
        ("webhook-timestamp", "1763000000"),
        ("webhook-signature", &signature),
    ]);
    let at = |secrets: &str, body: &[u8]| verdict(secrets, &headers, body, 1_763_000_000);
    let (old, new) = (public(&old), public(&new));
    for secrets in [
        old.clone(),
        format!("{old},{new}"),
        format!("{SECRET},{new},{old}"),
    ] {
        assert_eq!(at(&secrets, VECTOR_BODY.as_bytes()), Ok(()), "{secrets}");
        assert_eq!(
            at(&secrets, b"{}"),
            Err(AuthError::WrongSignature),
            "{secrets}"
        );
    }
    assert_eq!(
        at(&new, VECTOR_BODY.as_bytes()),
        Err(AuthError::WrongSignature)
    );
    assert_eq!(
        at(SECRET, VECTOR_BODY.as_bytes()),
        Err(AuthError::WrongSignature)
    );
}

proptest! {
    #[test]
    fn any_signed_body_is_valid(body in prop::collection::vec(any::<u8>(), 0..300), id in "[!-\\-/-~]{1,40}") {
        let headers = signed(&id, VECTOR_SECONDS, &body);
        prop_assert_eq!(verdict(SECRET, &headers, &body, VECTOR_SECONDS), Ok(()));
    }

    #[test]
    fn any_flipped_bit_of_a_body_fails(mut body in prop::collection::vec(any::<u8>(), 1..300), at: prop::sample::Index, bit in 0..8) {
        let headers = signed("msg_1", VECTOR_SECONDS, &body);
        *at.get_mut(&mut body) ^= 1_u8 << bit;
        prop_assert_eq!(verdict(SECRET, &headers, &body, VECTOR_SECONDS), Err(AuthError::WrongSignature));
    }

    #[test]
    fn any_flipped_bit_of_a_signature_fails(at in 0..32_usize, bit in 0..8) {
        let mut headers = vector();
        let mut bytes = BASE64.decode("tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=").unwrap();
        bytes[at] ^= 1_u8 << bit;
        let changed = format!("v1,{}", BASE64.encode(bytes));
        headers.insert("webhook-signature", changed.parse().unwrap());
        let found = verdict(SECRET, &headers, VECTOR_BODY.as_bytes(), VECTOR_SECONDS);
        prop_assert_eq!(found, Err(AuthError::WrongSignature));
    }

    #[test]
    fn no_header_panics(id in "\\PC*", timestamp in "\\PC*", signature in "(v1a?,)?\\PC*", body: Vec<u8>, now_ms: i64) {
        let value = |text: &str| HeaderValue::from_bytes(text.as_bytes()).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert("webhook-id", value(&id));
        headers.insert("webhook-timestamp", value(&timestamp));
        headers.insert("webhook-signature", value(&signature));
        prop_assert!(verify(&Secrets::parse(SECRET).unwrap(), &headers, &body, now_ms).is_err());
    }
}
