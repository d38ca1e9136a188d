//! The Python packages: the SDK with the emulator, and the tool.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::{done, output, path};
use crate::Result;

/// Folders of the packages.
const PACKAGES: [&str; 2] = ["bindings/python", "bindings/python/cli"];

/// Linux on any machine: targets, and the oldest system that their wheels run on. Symbols of such old systems are
/// linked with zig, which has them all.
const LINUX: [(&str, &str); 4] = [
    ("x86_64-unknown-linux-gnu", "manylinux2014"),
    ("aarch64-unknown-linux-gnu", "manylinux2014"),
    ("x86_64-unknown-linux-musl", "musllinux_1_2"),
    ("aarch64-unknown-linux-musl", "musllinux_1_2"),
];

/// Builds what can be built here, and says what cannot.
pub(super) fn build(root: &Path, out: &Path) -> Result {
    if Command::new("maturin").arg("--version").output().is_err() {
        println!("not built here: the Python wheels (maturin is not installed)");
        return Ok(());
    }
    let out = out.join("wheels");
    if !(cfg!(target_os = "linux") && has_zig()) {
        println!(
            "not built here: wheels for older systems than this one (no zig: pip install ziglang)"
        );
        for package in PACKAGES {
            wheel(&root.join(package), &out, &[])?;
        }
    } else {
        for (target, system) in LINUX {
            if !has_standard_library(root, target)? {
                println!("not built here: wheels for {target} (rustup target add {target})");
                continue;
            }
            for package in PACKAGES {
                let options = ["--zig", "--target", target, "--compatibility", system];
                wheel(&root.join(package), &out, &options)?;
            }
        }
    }
    for file in fs::read_dir(&out)? {
        let file = file?.file_name().into_string().unwrap_or_default();
        // A free-threaded interpreter makes a wheel for itself alone, without a word.
        if !(file.contains("-abi3-") || file.contains("-py3-none-")) {
            return Err(format!(
                "{file} is for one version of Python: build with one that has a GIL"
            )
            .into());
        }
    }
    Ok(())
}

fn wheel(package: &Path, out: &Path, options: &[&str]) -> Result {
    println!(
        "building a wheel of {} {}",
        package.display(),
        options.join(" ")
    );
    let mut command = Command::new("maturin");
    command
        .current_dir(package)
        .args(["build", "--release", "--locked", "--quiet"]);
    done(command.args(options).args(["--out", path(out)?]))
}

/// As maturin looks for it.
fn has_zig() -> bool {
    let asked = [
        ("zig", &["version"][..]),
        ("python3", &["-m", "ziglang", "version"]),
    ];
    asked.into_iter().any(|(program, arguments)| {
        let answer = Command::new(program).args(arguments).output();
        answer.is_ok_and(|answer| answer.status.success())
    })
}

fn has_standard_library(root: &Path, target: &str) -> Result<bool> {
    let folder = output(
        root,
        "rustc",
        &["--print", "target-libdir", "--target", target],
    )?;
    Ok(PathBuf::from(folder.trim()).exists())
}
