//! Lists the public API of each library in its `public-api.txt`, so that a change of it is seen in a review.

use std::{fs, path::Path};

use public_api::Builder;
use serde::Deserialize;

use crate::{
    Result, cargo,
    metadata::{Metadata, Package},
};

pub(crate) fn run(root: &Path, check: bool) -> Result {
    let root = &root.canonicalize()?;
    let metadata = Metadata::of_workspace(root)?;
    let libraries: Vec<_> = metadata
        .published(root)
        .filter(|package| package.is_library())
        .collect();
    describe(root, &libraries)?;
    let mut stale = Vec::new();
    for package in libraries {
        let Some(listing) = listing(root, package)? else {
            return Ok(());
        };
        let file = package.manifest_path.with_file_name("public-api.txt");
        if !check {
            fs::write(file, listing)?;
        } else if fs::read_to_string(&file).ok().as_ref() != Some(&listing) {
            stale.push(package.name.as_str());
        }
    }
    if stale.is_empty() {
        println!("checked here: public APIs");
        return Ok(());
    }
    let stale = stale.join(", ");
    Err(
        format!("the public API differs from public-api.txt: {stale}; run `cargo xtask api`")
            .into(),
    )
}

/// Has rustdoc describe the libraries as JSON.
fn describe(root: &Path, libraries: &[&Package]) -> Result {
    let mut command = cargo(root);
    command
        .args(["doc", "--quiet", "--no-deps", "--lib", "--all-features"])
        .env("RUSTDOC", root.join("xtask/unstable-rustdoc"))
        .env("RUSTDOCFLAGS", "-Z unstable-options --output-format json");
    for package in libraries {
        command.args(["--package", &package.name]);
    }
    if command.status()?.success() {
        Ok(())
    } else {
        Err("rustdoc does not describe the libraries".into())
    }
}

/// What `public-api` reads; each release of it knows one, and each compiler writes one.
const FORMAT: u32 = 57;

/// A line for each public item, or `None` where this compiler's JSON cannot be read.
fn listing(root: &Path, package: &Package) -> Result<Option<String>> {
    #[derive(Deserialize)]
    struct Described {
        format_version: u32,
    }

    let described = format!("target/doc/{}.json", package.name.replace('-', "_"));
    let described = root.join(described);
    let Described { format_version } = serde_json::from_slice(&fs::read(&described)?)?;
    if format_version != FORMAT {
        println!(
            "not checked here: public APIs (rustdoc writes format {format_version}, not {FORMAT})"
        );
        return Ok(None);
    }
    // What holds for every type, and what its fields make of it, says nothing of a change.
    let api = Builder::from_rustdoc_json(described)
        .omit_blanket_impls(true)
        .omit_auto_trait_impls(true)
        .build()?;
    Ok(Some(api.to_string()))
}
