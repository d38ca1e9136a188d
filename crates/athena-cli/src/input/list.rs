//! Paths from a file: one a line, or separated by NUL.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use super::{Found, Input, Unreadable};
use crate::failure::{Failure, Outcome, reason};

/// The paths in the file, read while they are asked for. Lines may end in CR LF; empty ones are left out.
pub(super) fn open(path: &Path, null: bool) -> Outcome<impl Iterator<Item = Found> + Send + use<>> {
    let reader: Box<dyn BufRead + Send> = if path.as_os_str() == "-" {
        Box::new(BufReader::new(io::stdin()))
    } else {
        let file = File::open(path).map_err(|error| {
            Failure::local(format!(
                "cannot read the list {}: {}",
                path.display(),
                reason(&error)
            ))
        })?;
        Box::new(BufReader::new(file))
    };
    let list = path.to_owned();
    let entries = reader.split(if null { b'\0' } else { b'\n' });
    Ok(entries.filter_map(move |entry| match entry {
        Ok(mut bytes) => {
            if !null && bytes.last() == Some(&b'\r') {
                bytes.pop();
            }
            (!bytes.is_empty()).then(|| Ok(Input::File(to_path(bytes))))
        }
        Err(error) => Some(Err(Unreadable {
            path: list.clone(),
            reason: reason(&error),
            lost: true,
        })),
    }))
}

#[cfg(unix)]
fn to_path(bytes: Vec<u8>) -> PathBuf {
    use std::os::unix::ffi::OsStringExt;
    PathBuf::from(std::ffi::OsString::from_vec(bytes))
}

#[cfg(not(unix))]
fn to_path(bytes: Vec<u8>) -> PathBuf {
    PathBuf::from(String::from_utf8_lossy(&bytes).into_owned())
}
