//! Images from lists: paths and URLs, one a line; or inventories, which say more of each.

mod inventory;
mod lines;
mod manifest;
mod text;

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use athena_sources::Location;
use flate2::bufread::MultiGzDecoder;

use self::inventory::Columns;
use super::{Selection, Unreadable, location_of};
use crate::failure::{Failure, Outcome, chain, reason};

/// A line of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Row {
    /// A path, or a URL.
    pub(super) name: PathBuf,
    pub(super) size: Option<u64>,
    pub(super) etag: Option<String>,
    pub(super) version: Option<String>,
    pub(super) modified: Option<SystemTime>,
}

type Rows = Box<dyn Iterator<Item = Result<Row, Unreadable>> + Send>;

/// What a list is, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A name on each line.
    Names,
    Csv,
    /// A JSON object on each line.
    Json,
    /// What S3 Inventory writes about the files of an inventory.
    Manifest,
}

fn kind(name: &str) -> Kind {
    let name = name.to_ascii_lowercase();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    match name.rsplit(['/', '.']).next() {
        _ if name.ends_with("manifest.json") => Kind::Manifest,
        Some("csv") => Kind::Csv,
        Some("json" | "jsonl" | "ndjson") => Kind::Json,
        _ => Kind::Names,
    }
}

/// The rows of a list, read while they are asked for.
pub(super) fn open(selection: &Selection, list: &Path) -> Outcome<Rows> {
    let args = &selection.args;
    let name = list.to_string_lossy();
    let kind = match kind(&name) {
        _ if args.null => Kind::Names,
        Kind::Json if !selection.asks => Kind::Names,
        kind => kind,
    };
    let columns = Columns::new(args.column.clone(), &args.columns);
    if kind == Kind::Manifest {
        return manifest::open(selection, list, columns);
    }
    if columns.are_given() && kind == Kind::Names {
        let cause = "--column and --columns are about inventories: a --from file whose name ends with .csv, .jsonl or .ndjson";
        return Err(Failure::new(crate::exit::Exit::Usage, cause));
    }
    let reader = reader(selection, list)?;
    Ok(match kind {
        Kind::Csv => inventory::csv(reader, list.to_owned(), columns)?,
        Kind::Json => inventory::json(reader, list.to_owned(), columns),
        _ => text::names(reader, list.to_owned(), args.null),
    })
}

/// A list's bytes: standard input, a file or an object, packed by gzip or not.
fn reader(selection: &Selection, list: &Path) -> Outcome<Box<dyn BufRead + Send>> {
    let raw: Box<dyn Read + Send> = if list.as_os_str() == "-" {
        Box::new(io::stdin())
    } else if let Some(location) = location_of(list) {
        let location =
            location.map_err(|error| Failure::new(crate::exit::Exit::Usage, error.to_string()))?;
        object(selection, &location)?
    } else {
        Box::new(File::open(list).map_err(|error| cannot_read(list, &reason(&error)))?)
    };
    let mut reader = BufReader::with_capacity(1 << 16, raw);
    let head = reader
        .fill_buf()
        .map_err(|error| cannot_read(list, &reason(&error)))?;
    match head.starts_with(&[0x1f, 0x8b]) {
        true => Ok(Box::new(BufReader::new(MultiGzDecoder::new(reader)))),
        false => Ok(Box::new(reader)),
    }
}

fn object(selection: &Selection, location: &Location) -> Outcome<Box<dyn Read + Send>> {
    let read = selection.remote()?.read(location);
    read.map(|read| Box::new(read) as Box<dyn Read + Send>)
        .map_err(|error| {
            super::hopeless(&error).unwrap_or_else(|| {
                Failure::local(format!("cannot read the list {}", chain(&error)))
            })
        })
}

fn cannot_read(list: &Path, why: &str) -> Failure {
    Failure::local(format!("cannot read the list {}: {why}", list.display()))
}

/// The rest of a list cannot be read: what it would have named is not known.
fn broken(list: &Path, why: String) -> Unreadable {
    Unreadable {
        path: list.to_owned(),
        reason: why,
        lost: true,
        hopeless: None,
    }
}

/// A row that cannot be read says nothing about the others, and must not be lost without a word.
fn odd(list: &Path, line: Option<u64>) -> Unreadable {
    let name = format!("{}:{}", list.display(), line.unwrap_or(0));
    Unreadable {
        path: name.into(),
        reason: "this row of the list cannot be read".to_owned(),
        lost: false,
        hopeless: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_told_by_their_names() {
        for (name, expected) in [
            ("list.txt", Kind::Names),
            ("-", Kind::Names),
            ("s3://b/inventory.CSV.gz", Kind::Csv),
            ("a/b.ndjson", Kind::Json),
            ("results.jsonl", Kind::Json),
            ("s3://b/2026-01-31T00-00Z/manifest.json", Kind::Manifest),
            ("csv", Kind::Csv),
        ] {
            assert_eq!(kind(name), expected, "{name}");
        }
    }
}
