//! `manifest.json`, as S3 Inventory writes it: the columns, and the files with the rows.

use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::inventory::{self, Columns};
use super::{Rows, broken, cannot_read, location_of, reader};
use crate::failure::Outcome;
use crate::input::Selection;

/// The longest manifest that is read: some 300,000 files.
const MOST_BYTES: u64 = 64 << 20;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    file_format: String,
    file_schema: String,
    files: Vec<DataFile>,
}

#[derive(Debug, Deserialize)]
struct DataFile {
    key: String,
}

/// The rows of all its files, one after the other. The files lie in the manifest's own bucket, or, for a copy of an
/// inventory on this machine, beside the manifest.
pub(super) fn open(selection: &Selection, list: &Path, columns: Columns) -> Outcome<Rows> {
    let mut text = Vec::new();
    let mut limited = reader(selection, list)?.take(MOST_BYTES);
    limited
        .read_to_end(&mut text)
        .map_err(|error| cannot_read(list, &error.to_string()))?;
    let manifest: Manifest = serde_json::from_slice(&text)
        .map_err(|_| cannot_read(list, "it is not a manifest of S3 Inventory"))?;
    if !manifest.file_format.eq_ignore_ascii_case("csv") {
        let why = format!(
            "its files are {}, and only CSV is read",
            manifest.file_format
        );
        return Err(cannot_read(list, &why).remedy("have the inventory written as CSV"));
    }
    let columns = Columns::of_manifest(columns.into_name(), &manifest.file_schema);
    let (selection, list) = (selection.clone(), list.to_owned());
    Ok(Box::new(manifest.files.into_iter().flat_map(move |file| {
        let path = beside(&list, &file.key);
        let rows = reader(&selection, &path)
            .and_then(|reader| inventory::csv(reader, path.clone(), columns.clone()));
        rows.unwrap_or_else(|failure| {
            Box::new(std::iter::once(Err(broken(&path, failure.to_string()))))
        })
    })))
}

fn beside(list: &Path, key: &str) -> PathBuf {
    match location_of(list) {
        Some(Ok(location)) => location.with_key(key).to_string().into(),
        _ => {
            let name = key.rsplit('/').next().unwrap_or(key);
            list.with_file_name(name)
        }
    }
}
