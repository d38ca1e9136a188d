//! `--retry-failed`: which failed images a resumed scan does again.

use std::str::FromStr;

use athena_client::ErrorKind;
use athena_outcome::{Record, Status};

/// Error kinds of files, besides those of the service.
const FILE_KINDS: [&str; 11] = [
    "unknown_format",
    "unsupported",
    "truncated",
    "corrupt",
    "image",
    "internal",
    "unreadable",
    "too_large",
    "changed",
    "not_found",
    "refused",
];

/// The kinds to do again; empty for all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Retry {
    kinds: Vec<String>,
}

impl FromStr for Retry {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words = text.split(',').map(str::trim);
        let kinds: Vec<String> =
            (words.filter(|word| !word.is_empty()).map(str::to_owned)).collect();
        let service = ErrorKind::ALL.iter().map(|kind| kind.as_str());
        let mut known: Vec<&str> = FILE_KINDS.into_iter().chain(service).collect();
        known.sort_unstable();
        known.dedup();
        match kinds.iter().find(|kind| !known.contains(&kind.as_str())) {
            Some(unknown) => Err(format!(
                "`{unknown}` is not an error kind; there are {}",
                known.join(", ")
            )),
            None => Ok(Self { kinds }),
        }
    }
}

impl Retry {
    /// Whether the image is to be done again. What is no longer where it was keeps its line, which is
    /// all that is known of it.
    pub(super) fn wants(&self, record: &Record) -> bool {
        if record.status != Status::Failed {
            return false;
        }
        let kind = record.error.as_ref().map(|error| error.kind.as_ref());
        let of_kind = self.kinds.is_empty()
            || kind.is_some_and(|kind| self.kinds.iter().any(|wanted| wanted == kind));
        // Whether an object is still there says the store, when it is asked.
        let is_there = || match &record.path {
            None => record.url.is_some(),
            Some(path) => {
                (path.to_path()).is_some_and(|path| std::fs::symlink_metadata(path).is_ok())
            }
        };
        of_kind && is_there()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_chosen_and_what_is_gone_is_left() {
        let file = tempfile::NamedTempFile::new().expect("file");
        let failed = |kind| {
            let mut record = Record::of_path(file.path());
            record.fail(kind, "");
            record
        };
        let retry: Retry = "truncated,timeout".parse().expect("kinds");
        assert!(retry.wants(&failed("truncated")));
        assert!(!retry.wants(&failed("corrupt")));
        let mut classified = failed("truncated");
        classified.status = Status::Classified;
        assert!(!retry.wants(&classified));
        let all: Retry = "".parse().expect("all");
        let record = failed("corrupt");
        assert!(all.wants(&record));
        drop(file);
        assert!(!all.wants(&record));
        assert!("broken".parse::<Retry>().is_err());
    }
}
