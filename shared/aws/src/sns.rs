//! Notifies people by SNS.

use app::ports::{Notifier, PortError};
use async_trait::async_trait;
use aws_sdk_sns::Client;

use crate::error::port_error;

/// The longest subject: SNS's own limit for e-mail is less than 100 characters.
pub(crate) const SUBJECT_CHARS_MAX: usize = 99;

/// The longest text, 256 KiB; SNS's own limit.
const TEXT_BYTES_MAX: usize = 256 * 1_024;

/// A topic to which people subscribe.
#[derive(Debug, Clone)]
pub struct SnsTopic {
    client: Client,
    topic_arn: String,
}

impl SnsTopic {
    /// The topic of an ARN.
    #[must_use]
    pub fn new(client: &Client, topic_arn: impl Into<String>) -> Self {
        Self {
            client: client.clone(),
            topic_arn: topic_arn.into(),
        }
    }
}

#[async_trait]
impl Notifier for SnsTopic {
    async fn notify(&self, subject: &str, text: &str) -> Result<(), PortError> {
        let subject = subject_line(subject);
        let text = cut(text);
        // SNS refuses an empty text.
        let text = if text.is_empty() { &subject } else { text };
        self.client
            .publish()
            .topic_arn(&self.topic_arn)
            .subject(&subject)
            .message(text)
            .send()
            .await
            .map_err(|error| port_error("notify", &error))?;
        Ok(())
    }
}

/// A subject that SNS accepts: printable ASCII on one line, 1 to 99 characters, without
/// surrounding blanks. Other characters become question marks.
pub(crate) fn subject_line(subject: &str) -> String {
    let printable = |c: char| match c {
        ' '..='~' => c,
        c if c.is_whitespace() => ' ',
        _ => '?',
    };
    let line: String = subject
        .trim()
        .chars()
        .map(printable)
        .take(SUBJECT_CHARS_MAX)
        .collect();
    match line.trim() {
        "" => "tickstream".to_owned(),
        line => line.to_owned(),
    }
}

/// A text that SNS accepts, truncated at a character boundary.
fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(TEXT_BYTES_MAX))
        .unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn subjects_are_one_line_of_printable_ascii() {
        for (subject, line) in [
            ("3 anomalies", "3 anomalies"),
            (" two\nlines\t ", "two lines"),
            ("5 % über dem Üblichen", "5 % ?ber dem ?blichen"),
            ("", "tickstream"),
            ("\u{7}", "?"),
        ] {
            assert_eq!(subject_line(subject), line);
        }
        assert_eq!(subject_line(&"x".repeat(500)).len(), SUBJECT_CHARS_MAX);
    }

    #[test]
    fn texts_are_truncated_at_a_character_boundary() {
        let text = "ü".repeat(TEXT_BYTES_MAX);
        assert_eq!(cut(&text).len(), TEXT_BYTES_MAX);
        let odd = format!("x{text}");
        assert_eq!(cut(&odd).len(), TEXT_BYTES_MAX - 1);
        assert_eq!(cut("short"), "short");
    }

    proptest! {
        #[test]
        fn every_subject_is_accepted(subject in any::<String>()) {
            let line = subject_line(&subject);
            prop_assert!((1..100).contains(&line.len()));
            prop_assert!(line.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            prop_assert_eq!(line.trim(), &line);
        }
    }
}
