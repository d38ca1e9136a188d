//! Image files on disk: regular ones only, no larger than is allowed.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::path::Path;

use bytes::Bytes;

use crate::error::{Error, ErrorKind};
use crate::image::MAX_FILE_BYTES;

/// The size of a file that can be read; `None` when reading will tell why not.
pub(crate) fn size(path: &Path) -> Option<u64> {
    let metadata = std::fs::metadata(path).ok()?;
    metadata.is_file().then_some(metadata.len())
}

/// Reads a regular file, no further than `most` bytes whatever its metadata claims.
pub(crate) fn read(path: &Path, most: u64) -> Result<Bytes, Error> {
    let most = most.min(MAX_FILE_BYTES);
    let unreadable = |error: io::Error| {
        let message = format!("cannot read {}", path.display());
        Error::new(ErrorKind::Unreadable, message).with_source(error)
    };
    let mut bytes = Vec::new();
    let file = open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        let what = if metadata.is_dir() {
            "a folder"
        } else {
            "a device, pipe or socket"
        };
        let message = format!("{} is {what}, not a regular file", path.display());
        return Err(Error::new(ErrorKind::Unreadable, message));
    }
    let length = usize::try_from(metadata.len().min(most)).unwrap_or(0);
    bytes.reserve_exact(length + 1);
    (&file)
        .take(most + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        let message = format!(
            "{} has more than {MAX_FILE_BYTES} bytes, the most that is read",
            path.display()
        );
        return Err(Error::new(ErrorKind::TooLarge, message));
    }
    if bytes.len() as u64 > most {
        let message = format!("{} has grown since it was submitted", path.display());
        return Err(Error::new(ErrorKind::Unreadable, message));
    }
    Ok(bytes.into())
}

/// Opening a pipe would wait for somebody who writes to it.
#[cfg(unix)]
fn open(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

#[cfg(not(unix))]
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, b"abc").unwrap();
        assert_eq!(size(&file), Some(3));
        assert_eq!(read(&file, 3).unwrap(), &b"abc"[..]);
        let error = read(&file, 2).unwrap_err();
        assert!(error.to_string().contains("has grown"), "{error}");

        let error = read(folder.path(), 99).unwrap_err();
        assert!(error.to_string().contains("a folder"), "{error}");
        assert_eq!(size(folder.path()), None);
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_and_a_device_are_refused_at_once() {
        use rustix::fs::{CWD, FileType, Mode};
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        rustix::fs::mknodat(CWD, &pipe, FileType::Fifo, Mode::RWXU, 0).unwrap();
        for path in [pipe.as_path(), Path::new("/dev/zero")] {
            let error = read(path, 99).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unreadable);
            assert!(error.to_string().contains("not a regular file"), "{error}");
        }
    }
}
