//! What `cargo metadata` tells of the workspace and of everything that it depends on.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use crate::{Result, cargo};

#[derive(Deserialize)]
pub(crate) struct Metadata {
    pub packages: Vec<Package>,
    pub resolve: Option<Resolve>,
    pub target_directory: PathBuf,
}

#[derive(Deserialize)]
pub(crate) struct Package {
    pub id: String,
    pub name: String,
    pub version: String,
    pub rust_version: Option<String>,
    pub license: Option<String>,
    pub features: BTreeMap<String, Vec<String>>,
    /// `None` for what is of a workspace.
    pub source: Option<String>,
    pub manifest_path: PathBuf,
    pub targets: Vec<Target>,
    /// Where it may be published: `None` is anywhere, an empty list nowhere.
    pub publish: Option<Vec<String>>,
}

#[derive(Deserialize)]
pub(crate) struct Target {
    pub kind: Vec<String>,
}

#[derive(Deserialize)]
pub(crate) struct Resolve {
    pub nodes: Vec<Node>,
}

#[derive(Deserialize)]
pub(crate) struct Node {
    pub id: String,
    pub dependencies: Vec<String>,
}

impl Metadata {
    /// Of the workspace's own packages.
    pub(crate) fn of_workspace(root: &Path) -> Result<Self> {
        Self::read(root, "--no-deps")
    }

    /// Of every package in the lock file as well.
    pub(crate) fn of_everything(root: &Path) -> Result<Self> {
        Self::read(root, "--locked")
    }

    fn read(root: &Path, flag: &str) -> Result<Self> {
        let output = cargo(root)
            .args(["metadata", "--format-version=1", flag])
            .output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into());
        }
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// Which package depends on which.
    pub(crate) fn nodes(&self) -> Result<&[Node]> {
        let resolve = self.resolve.as_ref();
        Ok(&resolve.ok_or("cargo metadata resolved nothing")?.nodes)
    }

    pub(crate) fn package(&self, name: &str) -> Result<&Package> {
        let found = self.packages.iter().find(|package| package.name == name);
        found.ok_or_else(|| format!("there is no package {name}").into())
    }

    /// The workspace's packages that are meant for others.
    pub(crate) fn published(&self, root: &Path) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(move |package| {
            package.manifest_path.starts_with(root) && package.publish.as_ref() != Some(&Vec::new())
        })
    }
}

impl Package {
    /// Where it lies.
    pub(crate) fn folder(&self) -> Result<&Path> {
        let folder = self.manifest_path.parent();
        folder.ok_or_else(|| format!("the manifest of {} is in no folder", self.name).into())
    }

    pub(crate) fn is_library(&self) -> bool {
        let mut kinds = self.targets.iter().flat_map(|target| &target.kind);
        kinds.any(|kind| kind == "lib")
    }
}
