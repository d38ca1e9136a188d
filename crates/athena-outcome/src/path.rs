//! Paths in JSON, whatever bytes they have.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use serde::{Deserialize, Serialize};

/// A path as JSON can hold it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PathText {
    /// The path, with U+FFFD for what is not UTF-8.
    pub path: String,
    /// The path's bytes in hexadecimal, only when they are not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_bytes: Option<String>,
}

impl From<&Path> for PathText {
    fn from(path: &Path) -> Self {
        let text = path.to_string_lossy();
        let path_bytes = match &text {
            Cow::Borrowed(_) => None,
            Cow::Owned(_) => Some(HEXLOWER.encode(path.as_os_str().as_encoded_bytes())),
        };
        Self {
            path: text.into_owned(),
            path_bytes,
        }
    }
}

impl PathText {
    /// The path again; none where this system cannot have it.
    pub fn to_path(&self) -> Option<PathBuf> {
        let Some(digits) = &self.path_bytes else {
            return Some(PathBuf::from(&self.path));
        };
        let bytes = HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).ok()?;
        path_from_bytes(bytes)
    }
}

#[cfg(unix)]
fn path_from_bytes(bytes: Vec<u8>) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStringExt;
    Some(PathBuf::from(std::ffi::OsString::from_vec(bytes)))
}

#[cfg(not(unix))]
fn path_from_bytes(_: Vec<u8>) -> Option<PathBuf> {
    None
}

#[cfg(test)]
mod tests {
    #[cfg(unix)]
    #[test]
    fn a_path_that_is_not_utf8_keeps_its_bytes() {
        use super::*;
        use std::os::unix::ffi::OsStrExt;
        let path = Path::new(std::ffi::OsStr::from_bytes(b"a\xff.png"));
        let text = PathText::from(path);
        assert_eq!(text.path, "a\u{fffd}.png");
        assert_eq!(text.path_bytes.as_deref(), Some("61ff2e706e67"));
        assert_eq!(text.to_path().as_deref(), Some(path));
    }
}
