//! Whose a file is, and what others may do with it. Where the system does not tell (Windows),
//! nothing is claimed.

#[cfg(unix)]
use std::fs::Metadata;
#[cfg(unix)]
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Who can change a file besides its owner.
#[cfg(unix)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writers {
    OwnerOnly,
    Group,
    Everyone,
}

/// Whether the file belongs to the user who runs this process.
#[cfg(unix)]
pub(crate) fn is_own(file: &Metadata) -> bool {
    file.uid() == rustix::process::geteuid().as_raw()
}

/// Whether the file belongs to the user or to the system's administrator.
#[cfg(unix)]
pub(crate) fn is_own_or_roots(file: &Metadata) -> bool {
    is_own(file) || file.uid() == 0
}

#[cfg(unix)]
pub(crate) fn writers(file: &Metadata) -> Writers {
    match file.mode() {
        mode if mode & 0o002 != 0 => Writers::Everyone,
        mode if mode & 0o020 != 0 => Writers::Group,
        _ => Writers::OwnerOnly,
    }
}

/// Whether others than the owner can read the file.
#[cfg(unix)]
pub(crate) fn others_can_read(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|file| file.is_file() && file.mode() & 0o077 != 0)
}

#[cfg(not(unix))]
pub(crate) fn others_can_read(_: &Path) -> bool {
    false
}
