//! Secrets from files: neither the environment nor the arguments of the process have them then, which other
//! programs and core files would show.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use secrecy::{ExposeSecret as _, SecretString};

/// The largest file with secrets, in bytes. The most secrets that are allowed take far less.
const FILE_BYTES_MAX: u64 = 64 * 1_024;

/// Files with secrets, instead of the options that have them as values.
#[derive(Debug, Clone, Default, Args)]
pub struct SecretFiles {
    /// A file with the webhook secrets, in one line, instead of WEBHOOK_SECRETS. It is read at the start.
    #[arg(long, env = "WEBHOOK_SECRETS_FILE", value_name = "FILE")]
    pub webhook_secrets_file: Option<PathBuf>,

    /// A file with the token of operators, instead of OPERATOR_TOKEN. It is read at the start.
    #[arg(long, env = "OPERATOR_TOKEN_FILE", value_name = "FILE")]
    pub operator_token_file: Option<PathBuf>,
}

/// A secret, from its option or its file; `name` is that of the option's variable.
pub(crate) fn secret(
    name: &str,
    value: &SecretString,
    file: Option<&Path>,
) -> anyhow::Result<SecretString> {
    let Some(file) = file.filter(|file| !file.as_os_str().is_empty()) else {
        return Ok(value.clone());
    };
    if !value.expose_secret().is_empty() {
        bail!("{name} and {name}_FILE are both set: remove one of them");
    }
    let place = || format!("{name}_FILE is `{}`", file.display());
    read(file).with_context(place)
}

fn read(file: &Path) -> anyhow::Result<SecretString> {
    let mut text = String::new();
    let file = File::open(file).context("which cannot be opened")?;
    // An error of the text would not say what is in it.
    let bytes = file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text);
    let bytes = bytes.context("which cannot be read as UTF-8 text")?;
    ensure!(
        u64::try_from(bytes).unwrap_or(u64::MAX) <= FILE_BYTES_MAX,
        "which is larger than {FILE_BYTES_MAX} bytes: it should only have the secrets"
    );
    ensure!(
        !text.trim().is_empty(),
        "which is empty: write the secrets into it, or omit it"
    );
    Ok(SecretString::from(text.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: &str = "";

    fn read_text(content: &[u8], value: &str) -> Result<String, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secrets");
        std::fs::write(&file, content).unwrap();
        secret("WEBHOOK_SECRETS", &SecretString::from(value), Some(&file))
            .map(|read| read.expose_secret().to_owned())
            .map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn a_secret_is_the_content_without_line_ends() {
        for content in ["one,two", "one,two\n", " one,two\r\n\n"] {
            assert_eq!(read_text(content.as_bytes(), NONE).unwrap(), "one,two");
        }
        let value = SecretString::from("three");
        for file in [None, Some(Path::new(""))] {
            let read = secret("WEBHOOK_SECRETS", &value, file).unwrap();
            assert_eq!(read.expose_secret(), "three");
        }
    }

    #[test]
    fn a_file_that_cannot_be_used_is_refused_without_its_content() {
        let large = [b"hidden,".as_slice(); 10_000].concat();
        for (content, value, rule) in [
            (&b"hidden"[..], "hidden", "are both set"),
            (b"\n", NONE, "is empty"),
            (b"hidden\xff", NONE, "UTF-8"),
            (&large, NONE, "larger than 65536 bytes"),
        ] {
            let refused = read_text(content, value).unwrap_err();
            assert!(refused.contains(rule), "{refused}");
            assert!(refused.contains("WEBHOOK_SECRETS_FILE"), "{refused}");
            assert!(!refused.contains("hidden"), "{refused}");
        }
        let missing = Path::new("/no/such/file");
        let refused = secret("OPERATOR_TOKEN", &SecretString::from(NONE), Some(missing));
        let refused = format!("{:#}", refused.unwrap_err());
        assert!(
            refused.contains("OPERATOR_TOKEN_FILE is `/no/such/file`"),
            "{refused}"
        );
    }
}
