//! What is built for one machine after the other: the Python packages, and the tool that is in one of them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::{
    TOOL,
    contents::{Contents, LICENCES},
    done, output, path,
    tool::Archives,
};
use crate::{Result, cargo, metadata::Metadata};

/// The SDK's Python package, a workspace of its own, and the name of its crate.
const SDK: (&str, &str) = ("bindings/python", "athena-python");
/// The Python package whose content is the tool.
const TOOL_FOR_PYTHON: &str = "bindings/python/cli";

/// Linux on any machine: targets, and the oldest system that what is built for them runs on. Symbols of such old systems
/// are linked with zig, which has them all.
const LINUX: [(&str, &str); 4] = [
    ("x86_64-unknown-linux-gnu", "manylinux2014"),
    ("aarch64-unknown-linux-gnu", "manylinux2014"),
    ("x86_64-unknown-linux-musl", "musllinux_1_2"),
    ("aarch64-unknown-linux-musl", "musllinux_1_2"),
];

/// A kind of machine that can be built for here.
pub(super) struct Platform {
    target: String,
    wheels: Wheels,
}

enum Wheels {
    /// There is no maturin.
    None,
    /// For systems that are at least as new as this one.
    ForThisSystem,
    /// For systems that are at least as new as the one named.
    Since(&'static str),
}

/// What is to be built for and can be here, this machine first; all that can be where nothing is `wanted`. What cannot
/// is told.
pub(super) fn platforms(root: &Path, wanted: &[String]) -> Result<Vec<Platform>> {
    let mut platforms = possible(root)?;
    for target in wanted {
        if !platforms.iter().any(|platform| platform.target == *target) {
            return Err(format!("{target} cannot be built for here").into());
        }
    }
    platforms.retain(|platform| wanted.is_empty() || wanted.contains(&platform.target));
    Ok(platforms)
}

fn possible(root: &Path) -> Result<Vec<Platform>> {
    let about = output(root, "rustc", &["-vV"])?;
    let host = about.lines().find_map(|line| line.strip_prefix("host: "));
    let host = host.ok_or("rustc names no host")?;
    let has_maturin = Command::new("maturin").arg("--version").output().is_ok();
    if has_maturin && cfg!(target_os = "linux") && has_zig() {
        let mut platforms = Vec::new();
        for (target, system) in LINUX {
            if has_standard_library(root, target)? {
                platforms.push(Platform {
                    target: target.to_owned(),
                    wheels: Wheels::Since(system),
                });
            } else {
                println!("not built here: anything for {target} (rustup target add {target})");
            }
        }
        platforms.sort_by_key(|platform| platform.target != host);
        return Ok(platforms);
    }
    let wheels = if has_maturin {
        println!(
            "not built here: what runs on other or older systems than this one (no zig: pip install ziglang)"
        );
        Wheels::ForThisSystem
    } else {
        println!(
            "not built here: the Python wheels, and anything for other systems (pip install maturin ziglang)"
        );
        Wheels::None
    };
    Ok(vec![Platform {
        target: host.to_owned(),
        wheels,
    }])
}

impl Platform {
    pub(super) fn build(
        &self,
        root: &Path,
        metadata: &Metadata,
        archives: &mut Archives<'_>,
        out: &Path,
    ) -> Result {
        let wheels = out.join("wheels");
        let target = &self.target;
        let built = match self.wheels {
            Wheels::None => {
                println!("building the tool for {target}");
                // As maturin does it.
                let strip = ["--config", "profile.release.strip=true"];
                done(
                    cargo(root)
                        .args(["build", "--release", "--locked", "--package", TOOL])
                        .args(strip),
                )?;
                metadata.target_directory.join("release")
            }
            Wheels::ForThisSystem | Wheels::Since(_) => {
                println!("building the wheels and the tool for {target}");
                let sdk = root.join(SDK.0);
                let sdks = Metadata::of_everything(&sdk)?;
                let contents = Contents::of(&sdk, &sdks, SDK.1, target)?;
                self.wheel(&sdk, &contents, &wheels)?;
                let contents = Contents::of(root, metadata, TOOL, target)?;
                self.wheel(&root.join(TOOL_FOR_PYTHON), &contents, &wheels)?;
                check_names(&wheels)?;
                metadata.target_directory.join(target).join("release")
            }
        };
        let tool = built
            .join("athena")
            .with_extension(std::env::consts::EXE_EXTENSION);
        archives.pack(target, &tool)
    }

    fn wheel(&self, package: &Path, contents: &Contents<'_>, out: &Path) -> Result {
        // The package's settings take it along.
        let licences = package.join(LICENCES);
        fs::write(&licences, contents.licences()?)?;
        let mut maturin = Command::new("maturin");
        maturin
            .current_dir(package)
            .args(["build", "--release", "--strip", "--locked", "--quiet"])
            .args(["--target", &self.target, "--out", path(out)?]);
        if let Wheels::Since(system) = self.wheels {
            maturin.args(["--zig", "--compatibility", system]);
        }
        let built = done(&mut maturin);
        fs::remove_file(&licences)?;
        built
    }
}

/// A free-threaded interpreter makes a wheel for itself alone, with no more than a warning.
fn check_names(wheels: &Path) -> Result {
    for file in fs::read_dir(wheels)? {
        let file = file?.file_name().into_string().unwrap_or_default();
        if !(file.contains("-abi3-") || file.contains("-py3-none-")) {
            let problem = "is for one version of Python: build with one that has a GIL";
            return Err(format!("{file} {problem}").into());
        }
    }
    Ok(())
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
    let arguments = ["--print", "target-libdir", "--target", target];
    let folder = output(root, "rustc", &arguments)?;
    Ok(PathBuf::from(folder.trim()).exists())
}
