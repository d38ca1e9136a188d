//! Actions that are about to be taken: on disk before, gone after. What a run that died has left here is
//! taken up by the next one.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use athena_outcome::{ActionKind, Record};
use serde::{Deserialize, Serialize};

/// The file beside the output; it is made when the first action is due.
#[derive(Debug)]
pub(in crate::commands::scan) struct Intents {
    path: PathBuf,
    file: Option<File>,
}

/// A record that waits for its action.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::commands::scan) struct Intent {
    pub(in crate::commands::scan) action: ActionKind,
    pub(in crate::commands::scan) record: Record,
}

impl Intents {
    /// The file of a scan with this output.
    pub(in crate::commands::scan) fn of(output: &Path) -> Self {
        let mut name = OsString::from(output);
        name.push(".actions");
        Self {
            path: name.into(),
            file: None,
        }
    }

    /// What an earlier run has left. Half a line was never begun.
    pub(in crate::commands::scan) fn left(&self) -> io::Result<Vec<Intent>> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut left = Vec::new();
        for line in BufReader::new(file).split(b'\n') {
            left.extend(serde_json::from_slice::<Intent>(&line?).ok());
        }
        Ok(left)
    }

    /// Notes that the actions of these records are about to be taken.
    pub(in crate::commands::scan) fn note(
        &mut self,
        action: ActionKind,
        records: &[&Record],
    ) -> io::Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        let mut lines = Vec::new();
        for record in records {
            let record = (*record).clone();
            lines.extend(serde_json::to_vec(&Intent { action, record })?);
            lines.push(b'\n');
        }
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                let mut options = OpenOptions::new();
                let file = options.create(true).append(true).open(&self.path)?;
                self.file.insert(file)
            }
        };
        file.write_all(&lines)?;
        file.sync_data()
    }

    /// Every action has its line, and the line is on disk.
    pub(in crate::commands::scan) fn clear(&mut self) -> io::Result<()> {
        self.file = None;
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}
