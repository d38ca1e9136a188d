//! The files that Amazon's tools keep: `~/.aws/config` and `~/.aws/credentials`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::environment::Environment;
use crate::error::{Error, SourceErrorKind};

/// The longest file that is read.
const MOST_BYTES: u64 = 1024 * 1024;

/// What a profile sets, by the names of the variables that mean the same.
const SETTINGS: [(&str, &str); 8] = [
    ("aws_access_key_id", "AWS_ACCESS_KEY_ID"),
    ("aws_secret_access_key", "AWS_SECRET_ACCESS_KEY"),
    ("aws_session_token", "AWS_SESSION_TOKEN"),
    ("endpoint_url", "AWS_ENDPOINT_URL"),
    ("region", "AWS_REGION"),
    ("role_arn", "AWS_ROLE_ARN"),
    ("role_session_name", "AWS_ROLE_SESSION_NAME"),
    ("web_identity_token_file", "AWS_WEB_IDENTITY_TOKEN_FILE"),
];

/// What takes a program, a browser or another profile: more than these files say.
const BEYOND: [&str; 5] = [
    "credential_process",
    "credential_source",
    "source_profile",
    "sso_session",
    "sso_start_url",
];

/// One profile's settings. They are secrets: nothing prints them.
#[derive(Default)]
pub(super) struct Profile(BTreeMap<&'static str, String>);

impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Profile {
    /// The profile that AWS_PROFILE names, or `default` where there is one.
    pub(super) async fn load(environment: &Environment) -> Result<Self, Error> {
        let named = environment
            .get("AWS_PROFILE")
            .or_else(|| environment.get("AWS_DEFAULT_PROFILE"))
            .map(str::to_owned);
        let home = environment
            .get("HOME")
            .or_else(|| environment.get("USERPROFILE"));
        let folder = home.map(|home| Path::new(home).join(".aws"));
        let file = |variable, name| {
            let given = environment.get(variable).map(PathBuf::from);
            given.or_else(|| folder.as_ref().map(|folder| folder.join(name)))
        };
        let files = [
            file("AWS_CONFIG_FILE", "config"),
            file("AWS_SHARED_CREDENTIALS_FILE", "credentials"),
        ];
        let has_keys = environment.get("AWS_ACCESS_KEY_ID").is_some();
        let read = tokio::task::spawn_blocking(move || {
            let name = named.as_deref().unwrap_or("default");
            let mut profile = Self::default();
            let (mut found, mut beyond) = (false, None);
            for path in files.into_iter().flatten() {
                let text = read(&path)?;
                for (key, value) in section(&text, name) {
                    found = true;
                    match SETTINGS.iter().find(|(known, _)| *known == key) {
                        Some((_, variable)) => drop(profile.0.insert(variable, value.to_owned())),
                        None => beyond = BEYOND.into_iter().find(|known| *known == key).or(beyond),
                    }
                }
            }
            if named.is_some() && !found {
                let message =
                    format!("there is no profile {name:?} in ~/.aws/config or ~/.aws/credentials");
                return Err(Error::new(SourceErrorKind::Credentials, message));
            }
            if let Some(beyond) = beyond.filter(|_| !has_keys && !profile.has_keys()) {
                let message = format!(
                    "the profile {name:?} gets its credentials by {beyond}, which is not supported: \
                     `eval \"$(aws configure export-credentials --profile {name} --format env)\"` gives them to this program"
                );
                return Err(Error::new(SourceErrorKind::Credentials, message));
            }
            Ok(profile)
        });
        read.await
            .map_err(|_| Error::new(SourceErrorKind::Transient, "stopped while ~/.aws was read"))?
    }

    /// Its settings, by the names of variables; without its credentials where the environment has some, since
    /// half of one and half of the other are none.
    pub(super) fn settings(&self, has_keys: bool) -> impl Iterator<Item = (&str, &str)> {
        let all = self.0.iter().map(|(name, value)| (*name, &**value));
        all.filter(move |(name, _)| !has_keys || matches!(*name, "AWS_REGION" | "AWS_ENDPOINT_URL"))
    }

    fn has_keys(&self) -> bool {
        self.0.contains_key("AWS_ACCESS_KEY_ID")
            || self.0.contains_key("AWS_WEB_IDENTITY_TOKEN_FILE")
    }
}

/// A file's text; nothing where there is none.
fn read(path: &Path) -> Result<String, Error> {
    let failed = |error: std::io::Error| {
        let message = format!("cannot read {}", path.display());
        Error::new(SourceErrorKind::Credentials, message).because(error)
    };
    match std::fs::metadata(path) {
        Ok(file) if !file.is_file() || file.len() > MOST_BYTES => {
            let message = format!("{} is not a file of profiles", path.display());
            Err(Error::new(SourceErrorKind::Credentials, message))
        }
        Ok(_) => std::fs::read_to_string(path).map_err(failed),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(failed(error)),
    }
}

/// The settings in a profile's section: `[NAME]`, or `[profile NAME]` in the one file.
fn section<'a>(text: &'a str, name: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
    let mut inside = false;
    text.lines().filter_map(move |line| {
        // What is indented belongs to a setting with parts of its own.
        let nested = line.starts_with([' ', '\t']);
        let line = line.trim();
        if let Some(header) = line.strip_prefix('[') {
            let header = header.split(']').next().unwrap_or("").trim();
            let plain = header.strip_prefix("profile ").unwrap_or(header).trim();
            inside = plain == name;
            return None;
        }
        if !inside || nested || line.starts_with(['#', ';']) {
            return None;
        }
        let (key, value) = line.split_once('=')?;
        let value = value.split(" #").next().unwrap_or("");
        Some((key.trim(), value.trim()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(folder: &Path, more: &[(&str, &str)]) -> Environment {
        let home = folder.display().to_string();
        let variables = [("HOME", home.as_str())]
            .into_iter()
            .chain(more.iter().copied());
        Environment::of(variables.map(|(name, value)| (name.to_owned(), value.to_owned())))
    }

    fn home() -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("folder");
        let aws = folder.path().join(".aws");
        std::fs::create_dir(&aws).expect("folder");
        std::fs::write(
            aws.join("config"),
            "[default]\nregion = eu-west-1\n[profile work]\nregion=us-east-2 # there\ns3 =\n  addressing_style = path\n[profile sso]\nsso_session = x\n",
        )
        .expect("write");
        std::fs::write(
            aws.join("credentials"),
            "# keys\n[default]\naws_access_key_id = AKIADEFAULT\naws_secret_access_key = hunter2=\n[work]\naws_access_key_id=AKIAWORK\naws_secret_access_key=hunter3\n",
        )
        .expect("write");
        folder
    }

    async fn settings(more: &[(&str, &str)], has_keys: bool) -> Vec<(String, String)> {
        let folder = home();
        let profile = Profile::load(&environment(folder.path(), more))
            .await
            .expect("profile");
        assert!(!format!("{profile:?}").contains("hunter"));
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        profile.settings(has_keys).map(owned).collect()
    }

    #[tokio::test]
    async fn profiles_are_read_from_both_files() {
        let set = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let expected = vec![
            set("AWS_ACCESS_KEY_ID", "AKIADEFAULT"),
            set("AWS_REGION", "eu-west-1"),
            set("AWS_SECRET_ACCESS_KEY", "hunter2="),
        ];
        assert_eq!(settings(&[], false).await, expected);
        assert_eq!(settings(&[], true).await, [set("AWS_REGION", "eu-west-1")]);
        let expected = vec![
            set("AWS_ACCESS_KEY_ID", "AKIAWORK"),
            set("AWS_REGION", "us-east-2"),
            set("AWS_SECRET_ACCESS_KEY", "hunter3"),
        ];
        assert_eq!(settings(&[("AWS_PROFILE", "work")], false).await, expected);
    }

    #[tokio::test]
    async fn what_a_profile_cannot_give_is_said() {
        let folder = home();
        for (name, word) in [("none", "no profile"), ("sso", "sso_session")] {
            let environment = environment(folder.path(), &[("AWS_PROFILE", name)]);
            let error = Profile::load(&environment).await.expect_err(name);
            assert_eq!(error.kind(), SourceErrorKind::Credentials);
            assert!(error.to_string().contains(word), "{error}");
        }
        let empty = tempfile::tempdir().expect("folder");
        let profile = Profile::load(&environment(empty.path(), &[]))
            .await
            .expect("none");
        assert_eq!(profile.settings(false).count(), 0);
    }
}
