//! Opening files: regular ones only, whatever a name turns into meanwhile; and telling a file that
//! cannot be read from a disk that has gone away.

use std::fs::{File, FileType, Metadata};
use std::io;
use std::path::{Path, PathBuf};

/// What a path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(
    not(unix),
    expect(dead_code, reason = "elsewhere no path leads to a FIFO or a socket")
)]
pub(crate) enum Kind {
    File,
    Folder,
    Link,
    Fifo,
    Socket,
    Device,
}

impl Kind {
    pub(crate) fn of(file_type: FileType) -> Self {
        if file_type.is_file() {
            return Self::File;
        }
        if file_type.is_dir() {
            return Self::Folder;
        }
        if file_type.is_symlink() {
            return Self::Link;
        }
        #[cfg(unix)]
        {
            use std::os::unix::fs::FileTypeExt;
            if file_type.is_fifo() {
                return Self::Fifo;
            }
            if file_type.is_socket() {
                return Self::Socket;
            }
        }
        Self::Device
    }

    fn with_article(self) -> &'static str {
        match self {
            Self::File => "a file",
            Self::Folder => "a folder",
            Self::Link => "a symbolic link",
            Self::Fifo => "a FIFO",
            Self::Socket => "a socket",
            Self::Device => "a device",
        }
    }
}

/// Opens a regular file for reading. Anything else could block for good or never end.
pub(crate) fn open(path: &Path) -> io::Result<(File, Metadata)> {
    // Opening a device may do something to it, so look first; the handle has the last word.
    regular(&std::fs::metadata(path)?)?;
    let mut options = std::fs::OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32);
    }
    let file = options.open(path)?;
    let metadata = file.metadata()?;
    regular(&metadata)?;
    Ok((file, metadata))
}

fn regular(metadata: &Metadata) -> io::Result<()> {
    let kind = Kind::of(metadata.file_type());
    if kind == Kind::File {
        return Ok(());
    }
    let hint = match kind {
        Kind::Folder => "",
        _ => "; only regular files are read, `-` is standard input",
    };
    Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        format!("it is {}{hint}", kind.with_article()),
    ))
}

/// The folders that are walked, as they were at the start.
#[derive(Debug, Default)]
pub(crate) struct Roots(Vec<(PathBuf, Option<Identity>)>);

impl Roots {
    pub(super) fn of<'a>(paths: impl Iterator<Item = &'a PathBuf>) -> Self {
        let folders = paths.filter(|path| path.is_dir());
        Self(folders.map(|path| (path.clone(), identity(path))).collect())
    }

    /// Whether an error says that the storage, or this process's means to read it, has gone, rather
    /// than that something is wrong with the file.
    pub(crate) fn lost(&self, error: &io::Error, path: &Path) -> bool {
        is_of_storage(error)
            || (error.kind() == io::ErrorKind::NotFound && self.folder_is_gone(path))
    }

    /// Whether the folder that the path was found in is no longer there, or another one: what a
    /// file system leaves that is no longer mounted.
    fn folder_is_gone(&self, path: &Path) -> bool {
        let mut roots = self.0.iter().filter(|(root, _)| path.starts_with(root));
        let found_by_walk = roots.clone().next().is_some();
        roots.any(|(root, then)| identity(root) != *then)
            || (found_by_walk && path.parent().is_some_and(|parent| !parent.exists()))
    }
}

/// Device and number of a folder; nothing where it is not there.
type Identity = (u64, u64);

#[cfg(unix)]
fn identity(path: &Path) -> Option<Identity> {
    use std::os::unix::fs::MetadataExt;
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn identity(path: &Path) -> Option<Identity> {
    std::fs::metadata(path).is_ok().then_some((0, 0))
}

#[cfg(unix)]
fn is_of_storage(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let of_storage = [
        Errno::IO,
        Errno::STALE,
        Errno::NOTCONN,
        Errno::NODEV,
        Errno::TIMEDOUT,
        Errno::HOSTDOWN,
        Errno::HOSTUNREACH,
        Errno::NETDOWN,
        Errno::NETUNREACH,
        // Ours rather than the disk's, and no more the file's fault.
        Errno::MFILE,
        Errno::NFILE,
        Errno::NOMEM,
    ];
    let code = error.raw_os_error();
    of_storage
        .iter()
        .any(|errno| code == Some(errno.raw_os_error()))
}

#[cfg(not(unix))]
fn is_of_storage(_: &io::Error) -> bool {
    false
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_file_is_refused_at_once() {
        let folder = tempfile::tempdir().expect("folder");
        let socket = folder.path().join("socket.jpg");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).expect("socket");
        for (path, word) in [
            (socket.as_path(), "a socket"),
            (Path::new("/dev/zero"), "a device"),
            (folder.path(), "a folder"),
        ] {
            let error = open(path).expect_err("no file");
            assert!(error.to_string().contains(word), "{error}");
        }
    }

    #[test]
    fn a_file_that_is_gone_is_told_from_a_folder_that_is_gone() {
        let folder = tempfile::tempdir().expect("folder");
        let root = folder.path().join("archive");
        let inner = root.join("2024");
        std::fs::create_dir_all(&inner).expect("folder");
        let roots = Roots::of([&root].into_iter());
        let missing = io::Error::from(io::ErrorKind::NotFound);
        let file = inner.join("a.jpg");
        assert!(!roots.lost(&missing, &file), "only the file is gone");
        std::fs::remove_dir(&inner).expect("remove");
        assert!(roots.lost(&missing, &file));
        std::fs::rename(&root, folder.path().join("unmounted")).expect("rename");
        std::fs::create_dir_all(&inner).expect("folder");
        assert!(roots.lost(&missing, &file), "another folder in its place");
        assert!(!roots.lost(&missing, Path::new("named.jpg")));
        assert!(roots.lost(&io::Error::from_raw_os_error(5), Path::new("named.jpg")));
    }
}
