//! Names from a file: one a line, or separated by NUL.

use std::io::BufRead;
use std::path::PathBuf;

use super::lines::Lines;
use super::{Row, Rows};

/// Lines may end in CR LF; empty ones are left out.
pub(super) fn names(reader: Box<dyn BufRead + Send>, list: PathBuf, null: bool) -> Rows {
    let lines = Lines::new(reader, list, if null { b'\0' } else { b'\n' });
    Box::new(lines.filter_map(move |line| match line {
        Ok((_, mut bytes)) => {
            if !null && bytes.last() == Some(&b'\r') {
                bytes.pop();
            }
            (!bytes.is_empty()).then(|| {
                Ok(Row {
                    name: to_path(bytes),
                    ..Row::default()
                })
            })
        }
        Err(unreadable) => Some(Err(unreadable)),
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
