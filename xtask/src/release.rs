//! Builds what a release consists of: crates, Python wheels and the tool for every machine that can be built for
//! here, with lists and licences of their parts, and checksums.
//!
//! Nothing is published and no tag is set: the last lines say how a person does that.

mod builds;
mod contents;
mod libraries;
mod tool;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use sha2::{Digest as _, Sha256};

use crate::{Result, cargo, metadata::Metadata};

/// The package whose binary is released.
const TOOL: &str = "athena-cli";

pub(crate) fn run(root: &Path, dry_run: bool, targets: &[String]) -> Result {
    let root = &root.canonicalize()?;
    let metadata = Metadata::of_everything(root)?;
    let version = &metadata.package(TOOL)?.version;
    let unready = unready(root, &metadata, version)?;
    for problem in &unready {
        println!("not ready: {problem}");
    }
    if !(dry_run || unready.is_empty()) {
        return Err("put that right, or look at everything else with --dry-run".into());
    }
    let out = metadata.target_directory.join(format!("release-{version}"));
    if out.exists() {
        fs::remove_dir_all(&out)?;
    }
    fs::create_dir_all(&out)?;
    let platforms = builds::platforms(root, targets)?;
    crates(root, &metadata, dry_run, &out)?;
    let mut archives = tool::Archives::new(root, &metadata, version, &out);
    for platform in &platforms {
        platform.build(root, &metadata, &mut archives, &out)?;
    }
    checksums(&out)?;
    println!("\n{} holds the release.", out.display());
    println!("To publish: cargo publish --workspace, then git tag v{version}.");
    Ok(())
}

/// What a person must do before a release.
fn unready(root: &Path, metadata: &Metadata, version: &str) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    for package in metadata.published(root) {
        if package.version != version {
            let named = format!("{} is version {}", package.name, package.version);
            problems.push(format!("{named}, {TOOL} is {version}"));
        }
    }
    let changelog = fs::read_to_string(root.join("CHANGELOG.md"))?;
    let heading = format!("## {version} (");
    if !changelog.lines().any(|line| line.starts_with(&heading)) {
        problems.push(format!("CHANGELOG.md has no heading \"{heading}DATE)\""));
    }
    if !output(root, "git", &["status", "--porcelain"])?.is_empty() {
        problems.push("the working tree has changes that are not committed".to_owned());
    }
    if !output(root, "git", &["tag", "--list", &format!("v{version}")])?.is_empty() {
        problems.push(format!("the tag v{version} is there already"));
    }
    Ok(problems)
}

/// Packages every crate, and builds each from its package alone.
fn crates(root: &Path, metadata: &Metadata, dry_run: bool, out: &Path) -> Result {
    println!("packing and verifying the crates");
    let mut command = cargo(root);
    command.args(["package", "--workspace", "--quiet", "--locked"]);
    // Each package would build all its dependencies anew in a folder of its own.
    command.env("CARGO_TARGET_DIR", &metadata.target_directory);
    if dry_run {
        command.arg("--allow-dirty");
    }
    for package in &metadata.packages {
        let ours = package.manifest_path.starts_with(root);
        if ours && package.publish.as_ref() == Some(&Vec::new()) {
            command.args(["--exclude", &package.name]);
        }
    }
    done(&mut command)?;
    let folder = out.join("crates");
    fs::create_dir(&folder)?;
    for package in metadata.published(root) {
        let file = format!("{}-{}.crate", package.name, package.version);
        fs::copy(
            metadata.target_directory.join("package").join(&file),
            folder.join(&file),
        )?;
    }
    Ok(())
}

/// `SHA256SUMS`, as `sha256sum --check` reads it.
fn checksums(out: &Path) -> Result {
    let mut files = Vec::new();
    collect(out, &mut files)?;
    files.sort();
    let mut sums = String::new();
    for file in files {
        let digest: String = Sha256::digest(fs::read(&file)?)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        sums.push_str(&format!("{digest}  {}\n", path(file.strip_prefix(out)?)?));
    }
    Ok(fs::write(out.join("SHA256SUMS"), sums)?)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

fn path(path: &Path) -> Result<&str> {
    path.to_str()
        .ok_or_else(|| format!("{} is not UTF-8", path.display()).into())
}

fn done(command: &mut Command) -> Result {
    if command.status()?.success() {
        return Ok(());
    }
    Err(format!("{} failed", command.get_program().display()).into())
}

fn output(root: &Path, program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(root)
        .output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{program} {}: {said}", arguments.join(" ")).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}
