//! A value, the place where it was found, and who stands behind that.

use std::fmt;
use std::path::PathBuf;

use super::working_folder;

/// Who stands behind a value, the weakest first. A secret, and the token that it is exchanged for,
/// goes only where the same level or a stronger one points.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Trust {
    /// Whoever packed the folder that the user is in.
    WorkingFolder,
    /// The user, at some earlier time: the configuration file.
    OwnFile,
    /// Whoever starts the command: flags, environment, the file of `--env-file`; and what is built in.
    Command,
}

/// Where a value was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Flag(&'static str),
    Environment(&'static str),
    /// The file that `--env-file` names.
    EnvFile(PathBuf, &'static str),
    /// A profile and its file.
    Profile(String, PathBuf),
    /// A built-in profile, and who chose it.
    BuiltIn(String, Trust),
    /// `.env` of the working folder.
    WorkingFolder(&'static str),
    Default,
}

impl Source {
    pub(crate) fn trust(&self) -> Trust {
        match self {
            Self::Flag(_) | Self::Environment(_) | Self::EnvFile(..) | Self::Default => {
                Trust::Command
            }
            Self::Profile(..) => Trust::OwnFile,
            Self::BuiltIn(_, chosen_by) => *chosen_by,
            Self::WorkingFolder(_) => Trust::WorkingFolder,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => write!(f, "--{flag}"),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::EnvFile(path, name) => write!(f, "{} {name}", path.display()),
            Self::Profile(name, path) => write!(f, "{} [{name}]", path.display()),
            Self::BuiltIn(name, _) => write!(f, "built-in profile {name}"),
            Self::WorkingFolder(name) => write!(f, "{} {name}", working_folder::PATH),
            Self::Default => f.write_str("default"),
        }
    }
}

/// A value and where it was found.
#[derive(Clone, Debug)]
pub(crate) struct Setting<T = String> {
    pub(crate) value: T,
    pub(crate) source: Source,
}
