//! Variables of the process, and of the file that `--env-file` names.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::dotenv::{Problem, Variables};
use crate::bounded;
use crate::failure::{Failure, Outcome, reason};

/// More than any file of variables holds.
pub(super) const MAX_BYTES: u64 = 64 * 1024;

/// The variables of the file that the user has named.
#[derive(Default)]
pub(super) struct EnvFile {
    path: PathBuf,
    variables: Variables,
}

impl EnvFile {
    /// Reads the file. It may be a pipe: `--env-file <(pass show athena)`.
    pub(super) fn load(path: &Path) -> Outcome<Self> {
        let read = File::open(path).and_then(|file| bounded::read(file, MAX_BYTES));
        let bytes = read.map_err(|error| {
            let why = reason(&error);
            Failure::configuration(format!("cannot read {}: {why}", path.display()))
        })?;
        Ok(Self {
            path: path.to_owned(),
            variables: Variables::parse(&bytes),
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.variables.value(name)
    }

    pub(super) fn problems(&self) -> &[Problem] {
        self.variables.problems()
    }
}

/// A variable of the process. Empty is the same as unset: containers often pass empty ones.
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_file_must_exist_and_be_of_some_size() {
        assert!(EnvFile::load(Path::new("/no/such/.env")).is_err());
        #[cfg(unix)]
        assert!(EnvFile::load(Path::new("/dev/zero")).is_err());
    }
}
