//! Checks that no dependency asks for a newer compiler than the workspace promises.
//!
//! The workspace's own code is held to it by clippy's `incompatible_msrv`.

use std::path::Path;

use crate::{Result, metadata::Metadata};

pub(crate) fn run(root: &Path) -> Result {
    let metadata = Metadata::of_everything(root)?;
    let promised = metadata.package("xtask")?.rust_version.clone();
    let promised = promised.ok_or("the workspace states no rust-version")?;
    let newer: Vec<_> = metadata
        .packages
        .iter()
        .filter_map(|package| Some((package, package.rust_version.as_deref()?)))
        .filter(|(_, wanted)| parts(wanted) > parts(&promised))
        .map(|(package, wanted)| {
            format!("{} {} wants Rust {wanted}", package.name, package.version)
        })
        .collect();
    if newer.is_empty() {
        return Ok(());
    }
    Err(format!(
        "the workspace promises Rust {promised}, but\n       {}",
        newer.join("\n       ")
    )
    .into())
}

fn parts(version: &str) -> Vec<u32> {
    let mut parts: Vec<u32> = version
        .split('.')
        .filter_map(|part| part.parse().ok())
        .collect();
    parts.resize(3, 0);
    parts
}
