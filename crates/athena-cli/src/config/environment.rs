//! Variables of the process and of a `.env` file.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::failure::{Failure, Outcome, reason};

/// The variables of a `.env` file.
#[derive(Default)]
pub(crate) struct EnvFile {
    path: PathBuf,
    values: HashMap<String, String>,
}

impl EnvFile {
    /// Reads the file named by the user, or `.env` in the current folder when there is one.
    pub(crate) fn load(named: Option<&Path>) -> Outcome<Self> {
        let path = named.unwrap_or(Path::new(".env"));
        if named.is_none() && !path.is_file() {
            return Ok(Self::default());
        }
        let mut values = HashMap::new();
        let entries = dotenvy::from_path_iter(path).map_err(|error| unreadable(path, &error))?;
        for entry in entries {
            let (name, value) = entry.map_err(|error| unreadable(path, &error))?;
            values.insert(name, value);
        }
        Ok(Self {
            path: path.to_owned(),
            values,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }
}

/// dotenvy's own message quotes the line, which may well be the secret.
fn unreadable(path: &Path, error: &dotenvy::Error) -> Failure {
    let why = match error {
        dotenvy::Error::Io(error) => reason(error),
        _ => "a line is not NAME=value".to_owned(),
    };
    Failure::configuration(format!("cannot read {}: {why}", path.display()))
        .remedy("values with spaces or # need quotes")
}

/// A variable of the process. Empty is the same as unset: containers often pass empty ones.
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_line_is_reported_without_its_text() {
        let file = tempfile::NamedTempFile::new().expect("temporary file");
        std::fs::write(file.path(), "OAUTH_CLIENT_SECRET=hun ter2 '\n").expect("write");
        let failure = EnvFile::load(Some(file.path())).err().expect("broken line");
        assert!(!failure.to_string().contains("ter2"), "{failure}");
    }

    #[test]
    fn quotes_comments_and_export_are_understood() {
        let file = tempfile::NamedTempFile::new().expect("temporary file");
        std::fs::write(
            file.path(),
            "# comment\nexport OAUTH_CLIENT_ID='abc def'\nATHENA_HOST=\"x:1\"\n",
        )
        .expect("write");
        let values = EnvFile::load(Some(file.path())).expect("valid file");
        assert_eq!(values.value("OAUTH_CLIENT_ID"), Some("abc def"));
        assert_eq!(values.value("ATHENA_HOST"), Some("x:1"));
    }

    #[test]
    fn a_named_file_must_exist() {
        assert!(EnvFile::load(Some(Path::new("/no/such/.env"))).is_err());
    }
}
