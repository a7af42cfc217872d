//! What the environment says about this user: where state is kept, and whether AWS is set up.

use std::path::PathBuf;

use clap::Args;

/// Environment variables of other programs; none is required.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Environment {
    /// Where programs keep their data
    #[arg(long, env = "XDG_DATA_HOME", hide = true, global = true)]
    pub(crate) xdg_data_home: Option<PathBuf>,
    /// The home folder
    #[arg(long, env = "HOME", hide = true, global = true)]
    pub(crate) home: Option<PathBuf>,
    /// A set of credentials by name
    #[arg(long, env = "AWS_PROFILE", hide = true, global = true)]
    pub(crate) aws_profile: Option<String>,
    /// Credentials
    #[arg(long, env = "AWS_ACCESS_KEY_ID", hide = true, global = true)]
    pub(crate) aws_access_key_id: Option<secrecy::SecretString>,
    /// A region
    #[arg(long, env = "AWS_REGION", hide = true, global = true)]
    pub(crate) aws_region: Option<String>,
    /// A region
    #[arg(long, env = "AWS_DEFAULT_REGION", hide = true, global = true)]
    pub(crate) aws_default_region: Option<String>,
    /// Credentials of a pod
    #[arg(long, env = "AWS_WEB_IDENTITY_TOKEN_FILE", hide = true, global = true)]
    pub(crate) aws_web_identity_token_file: Option<PathBuf>,
    /// Credentials of a container
    #[arg(
        long,
        env = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        hide = true,
        global = true
    )]
    pub(crate) aws_container_credentials_relative_uri: Option<String>,
}

impl Environment {
    /// Whether any AWS variable is set.
    pub(crate) fn names_aws(&self) -> bool {
        self.aws_profile.is_some()
            || self.aws_access_key_id.is_some()
            || self.aws_region.is_some()
            || self.aws_default_region.is_some()
            || self.aws_web_identity_token_file.is_some()
            || self.aws_container_credentials_relative_uri.is_some()
    }

    /// The folder for the state of this program.
    pub(crate) fn state_folder(&self) -> Option<PathBuf> {
        let absolute = |path: &PathBuf| path.is_absolute();
        let data = self.xdg_data_home.clone().filter(absolute);
        let at_home = || Some(self.home.as_ref()?.join(".local").join("share"));
        Some(data.or_else(at_home)?.join("ticksql"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_goes_to_the_users_data_folder() {
        let of = |data: Option<&str>, home: Option<&str>| {
            let environment = Environment {
                xdg_data_home: data.map(PathBuf::from),
                home: home.map(PathBuf::from),
                ..Environment::default()
            };
            environment.state_folder()
        };
        assert_eq!(
            of(Some("/x"), Some("/home/a")),
            Some(PathBuf::from("/x/ticksql"))
        );
        assert_eq!(
            of(Some("x"), Some("/home/a")),
            Some(PathBuf::from("/home/a/.local/share/ticksql"))
        );
        assert_eq!(of(None, None), None);
    }
}
