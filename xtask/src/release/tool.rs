//! The tool in an archive for each machine, with what comes with it, and a list of its parts beside it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::{
    TOOL,
    contents::{Contents, LICENCES},
    done, output, path,
};
use crate::{Result, metadata::Metadata};

/// Makes the archives.
pub(super) struct Archives<'a> {
    root: &'a Path,
    metadata: &'a Metadata,
    version: &'a str,
    out: &'a Path,
    /// A tool that runs on this machine: it writes completions and manual pages for all.
    runs_here: Option<PathBuf>,
}

impl<'a> Archives<'a> {
    pub(super) fn new(
        root: &'a Path,
        metadata: &'a Metadata,
        version: &'a str,
        out: &'a Path,
    ) -> Self {
        Self {
            root,
            metadata,
            version,
            out,
            runs_here: None,
        }
    }

    /// Puts what was built for `target` into an archive. The first that comes must run on this machine.
    pub(super) fn pack(&mut self, target: &str, built: &Path) -> Result {
        let runs_here = path(self.runs_here.get_or_insert_with(|| built.to_owned()))?;
        let name = format!("athena-{}-{target}", self.version);
        let folder = self.out.join(&name);
        fs::create_dir(&folder)?;
        fs::copy(built, folder.join(built.file_name().unwrap_or_default()))?;
        for file in ["README.md", "CHANGELOG.md", "LICENSE-APACHE", "LICENSE-MIT"] {
            fs::copy(self.root.join(file), folder.join(file))?;
        }
        for shell in ["bash", "zsh", "fish"] {
            let script = output(self.root, runs_here, &["completions", shell])?;
            fs::write(folder.join(format!("athena.{shell}")), script)?;
        }
        let pages = folder.join("man");
        output(self.root, runs_here, &["man", "--folder", path(&pages)?])?;
        let contents = Contents::of(self.root, self.metadata, TOOL, target)?;
        fs::write(folder.join(LICENCES), contents.licences()?)?;
        let parts = serde_json::to_vec_pretty(&contents.cyclonedx(self.version)?)?;
        fs::write(self.out.join(format!("{name}.cdx.json")), parts)?;
        // Not the numbers of whoever builds it, whose files they would become where root unpacks.
        done(Command::new("tar").current_dir(self.out).args([
            "--owner=0",
            "--group=0",
            "--numeric-owner",
            "-czf",
            &format!("{name}.tar.gz"),
            &name,
        ]))?;
        Ok(fs::remove_dir_all(&folder)?)
    }
}
