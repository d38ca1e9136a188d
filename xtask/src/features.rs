//! Checks every crate of the workspace with no feature, and with each of its features alone.

use std::path::Path;

use crate::{Result, cargo, metadata::Metadata};

pub(crate) fn run(root: &Path) -> Result {
    let metadata = Metadata::of_workspace(root)?;
    for package in metadata.packages {
        check(root, &package.name, None)?;
        for feature in package.features.keys().filter(|name| *name != "default") {
            check(root, &package.name, Some(feature))?;
        }
    }
    Ok(())
}

fn check(root: &Path, package: &str, feature: Option<&str>) -> Result {
    let shown = feature.unwrap_or("no features");
    println!("{package}: {shown}");
    let mut command = cargo(root);
    command.args([
        "check",
        "--quiet",
        "--no-default-features",
        "--package",
        package,
    ]);
    command.args(feature.iter().flat_map(|name| ["--features", name]));
    if command.status()?.success() {
        Ok(())
    } else {
        Err(format!("{package} does not compile with {shown}").into())
    }
}
