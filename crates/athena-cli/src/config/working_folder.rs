//! The `.env` of the working folder, which is hostile until shown otherwise: people change into
//! archives that others have packed.

use std::path::Path;

use athena_client::environment;

use super::dotenv::{Problem, Variables};
use super::environment::MAX_BYTES;
use crate::bounded;
use crate::failure::reason;
use crate::input::InputArgs;

/// Where it is looked for: never in a parent folder.
pub(super) const PATH: &str = ".env";

/// What it may set, as it does for clients in other languages: all of it together, with a secret of
/// its own, or nothing.
pub(super) const MAY_SET: [&str; 6] = [
    environment::CLIENT_ID,
    environment::CLIENT_SECRET,
    environment::HOST,
    environment::TOKEN_URL,
    environment::AUDIENCE,
    environment::AFFILIATE,
];

/// A CA that it may set as well, for a host and a token endpoint of its own and for no other.
pub(super) const MAY_SET_FOR_ITS_OWN: [&str; 2] =
    ["ATHENA_CA_FILE", "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"];

/// What only the file that `--env-file` names may set. A file of secrets that it named could be any
/// file of the user's, sent to where it likes.
const MAY_NOT_SET: [&str; 4] = [
    "ATHENA_CONFIG",
    "ATHENA_PROFILE",
    environment::CLIENT_SECRET_FILE,
    environment::TOKEN,
];

/// The `.env` of the working folder.
#[derive(Default)]
pub(super) struct WorkingFile {
    variables: Variables,
    /// Why none of it counts.
    refused: Option<String>,
    /// Nothing of it was read.
    opaque: bool,
}

impl WorkingFile {
    /// Looks at the file, if there is one. What is scanned is never trusted.
    pub(super) fn look(scanned: Option<&InputArgs>) -> Self {
        match open() {
            Ok(None) => Self::default(),
            Ok(Some(opened)) => {
                let scanned = scanned.and_then(why_scanned);
                Self {
                    refused: opened.refused.or(scanned.map(str::to_owned)),
                    variables: opened.variables,
                    opaque: false,
                }
            }
            Err(why) => Self {
                refused: Some(why),
                variables: Variables::default(),
                opaque: true,
            },
        }
    }

    pub(super) fn refused(&self) -> Option<&str> {
        self.refused.as_deref()
    }

    /// Whether what it holds is not known.
    pub(super) fn is_opaque(&self) -> bool {
        self.opaque
    }

    /// A variable that the file may set, whether or not it counts.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        let allowed = MAY_SET.contains(&name) || MAY_SET_FOR_ITS_OWN.contains(&name);
        allowed.then(|| self.variables.value(name)).flatten()
    }

    /// What it sets without the right to.
    pub(super) fn forbidden(&self) -> impl Iterator<Item = &'static str> {
        let set = |name: &&'static str| self.variables.value(name).is_some();
        MAY_NOT_SET.into_iter().filter(set)
    }

    pub(super) fn problems(&self) -> &[Problem] {
        self.variables.problems()
    }
}

/// What was read of a file, and why it does not count, if it does not.
struct Opened {
    variables: Variables,
    refused: Option<String>,
}

fn why_scanned(input: &InputArgs) -> Option<&'static str> {
    if input.covers(Path::new(PATH)) {
        Some("it lies in a folder that is scanned")
    } else if input.is_listed() {
        Some("the list of --from may name the folder that it lies in")
    } else {
        None
    }
}

/// Judges the file that was opened, not its name: nobody can exchange it in between.
#[cfg(unix)]
fn open() -> Result<Option<Opened>, String> {
    use super::ownership::{Writers, is_own, is_own_or_roots, writers};
    use rustix::fs::{Mode, OFlags};

    // Not through a link, and without waiting for the other end of a pipe.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::open(PATH, flags, Mode::empty()) {
        Ok(file) => std::fs::File::from(file),
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        Err(rustix::io::Errno::LOOP) => return Err("it is a symbolic link".to_owned()),
        Err(error) => return Err(reason(&error.into())),
    };
    let told = file.metadata().map_err(|error| reason(&error))?;
    if told.is_dir() {
        // A virtual environment of Python, for example.
        return Ok(None);
    }
    if !told.is_file() {
        return Err("it is not a regular file".to_owned());
    }
    let folder = std::fs::metadata(".").map_err(|error| reason(&error))?;
    let why = if !is_own(&told) {
        Some("it belongs to another user")
    } else if !is_own_or_roots(&folder) {
        Some("its folder belongs to another user")
    } else {
        match (writers(&told), writers(&folder)) {
            (Writers::Everyone, _) => Some("everyone can write it"),
            (Writers::Group, _) => Some("its group can write it"),
            (_, Writers::Everyone) => Some("everyone can write its folder"),
            (Writers::OwnerOnly, _) => None,
        }
    };
    let bytes = bounded::read(file, MAX_BYTES).map_err(|error| reason(&error))?;
    Ok(Some(Opened {
        variables: Variables::parse(&bytes),
        refused: why.map(str::to_owned),
    }))
}

/// Who may write a file is not told here: it counts as anybody's.
#[cfg(not(unix))]
fn open() -> Result<Option<Opened>, String> {
    let Ok(file) = std::fs::File::open(PATH) else {
        return Ok(None);
    };
    let bytes = bounded::read(file, MAX_BYTES).map_err(|error| reason(&error))?;
    Ok(Some(Opened {
        variables: Variables::parse(&bytes),
        refused: Some("this system does not tell who can write it".to_owned()),
    }))
}
