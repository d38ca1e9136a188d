//! Checks that no dependency asks for a newer compiler than the workspace promises.
//!
//! The workspace's own code is held to it by clippy's `incompatible_msrv`.

use std::path::Path;

use serde::Deserialize;

use crate::{Result, cargo};

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    rust_version: Option<String>,
}

pub(crate) fn run(root: &Path) -> Result {
    let output = cargo(root)
        .args(["metadata", "--format-version=1", "--locked"])
        .output()?;
    let metadata: Metadata = serde_json::from_slice(&output.stdout)?;
    let promised = metadata
        .packages
        .iter()
        .find(|package| package.name == "xtask")
        .and_then(|package| package.rust_version.clone())
        .ok_or("the workspace states no rust-version")?;
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
