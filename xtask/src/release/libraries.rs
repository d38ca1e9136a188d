//! Libraries in C that packages bring in source and link: parts of a binary of their own.

use std::{fs, path::Path};

use serde_json::{Value, json};

use super::contents::purl;
use crate::{Result, metadata::Package};

/// Whose C is in which package.
pub(super) struct Library {
    /// The package that brings it.
    package: &'static str,
    name: &'static str,
    /// Where it comes from, as a package URL without a version.
    origin: &'static str,
    licence: &'static str,
    version: Version,
}

/// What is known of a library's version.
enum Version {
    /// A header and its macros that make up the number.
    Of(&'static str, [&'static str; 3]),
    /// The sources do not tell: the package's version and checksum name them.
    Untold,
}

const LIBRARIES: [Library; 3] = [
    Library {
        package: "libwebp-sys",
        name: "libwebp",
        origin: "pkg:github/webmproject/libwebp",
        licence: "BSD-3-Clause",
        version: Version::Of(
            "vendor/src/dec/vp8i_dec.h",
            ["DEC_MAJ_VERSION", "DEC_MIN_VERSION", "DEC_REV_VERSION"],
        ),
    },
    Library {
        package: "mozjpeg-sys",
        name: "mozjpeg",
        origin: "pkg:github/mozilla/mozjpeg",
        licence: "IJG AND Zlib AND BSD-3-Clause",
        version: Version::Untold,
    },
    Library {
        package: "ring",
        name: "boringssl",
        origin: "pkg:github/google/boringssl",
        licence: "Apache-2.0 AND ISC",
        version: Version::Untold,
    },
];

/// How deep below a package its sources of C may lie.
const DEPTH: usize = 3;

impl Library {
    /// The one that a package brings, if it brings one. A package that brings C of which nobody has said whose it is
    /// makes no list.
    pub(super) fn of(package: &Package, is_built_from_c: bool) -> Result<Option<&'static Self>> {
        let known = LIBRARIES.iter().find(|one| one.package == package.name);
        if known.is_none() && is_built_from_c && has_c(package.folder()?, DEPTH)? {
            return Err(format!("{} brings C: say whose in {}", package.name, file!()).into());
        }
        Ok(known)
    }

    /// As a component of CycloneDX.
    pub(super) fn part(&self, package: &Package) -> Result<Value> {
        let mut part = json!({
            "type": "library",
            "bom-ref": self.reference(package)?,
            "name": self.name,
            "purl": self.reference(package)?,
            "licenses": [{ "expression": self.licence }],
            "description": format!("in C, as {} brings it", purl(package)),
        });
        if let Some(version) = self.version(package)? {
            part["version"] = version.into();
        } else {
            let notes = format!(
                "its version is not told by the sources in {}",
                purl(package)
            );
            part["pedigree"] = json!({ "notes": notes });
        }
        Ok(part)
    }

    /// What names it in a list.
    pub(super) fn reference(&self, package: &Package) -> Result<String> {
        let version = self.version(package)?;
        let version = version.map_or_else(String::new, |version| format!("@v{version}"));
        Ok(format!("{}{version}", self.origin))
    }

    fn version(&self, package: &Package) -> Result<Option<String>> {
        let Version::Of(header, macros) = &self.version else {
            return Ok(None);
        };
        let header = package.folder()?.join(header);
        let text = fs::read_to_string(&header)?;
        let number = |name: &str| {
            let mut defined = text.lines().filter_map(|line| {
                let rest = line.strip_prefix("#define ")?.strip_prefix(name)?;
                rest.trim().parse::<u32>().ok()
            });
            defined
                .next()
                .map(|number| number.to_string())
                .ok_or_else(|| format!("{} has no {name}", header.display()))
        };
        let numbers: std::result::Result<Vec<_>, _> = macros.iter().copied().map(number).collect();
        Ok(Some(numbers?.join(".")))
    }
}

fn has_c(folder: &Path, depth: usize) -> Result<bool> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        let is_c = path.extension().is_some_and(|extension| extension == "c");
        if is_c || (entry.file_type()?.is_dir() && depth > 0 && has_c(&path, depth - 1)?) {
            return Ok(true);
        }
    }
    Ok(false)
}
