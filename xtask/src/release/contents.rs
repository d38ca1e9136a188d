//! What is in a binary: the packages that are linked into it, as a list of parts and with their licences.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    fs,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use serde_json::{Value, json};

use super::libraries::Library;
use crate::{
    Result, cargo,
    metadata::{Metadata, Package},
};

/// How deep below a package the sources of C that it brings, and their licences, may lie.
const DEPTH: usize = 3;

/// What the texts of all licences are called.
pub(super) const LICENCES: &str = "LICENSES-OF-PARTS.txt";

pub(super) struct Contents<'a> {
    root: &'a Package,
    packages: Vec<&'a Package>,
    metadata: &'a Metadata,
    /// By name and version.
    checksums: HashMap<(String, String), String>,
    /// Packages that are built with a compiler of C.
    from_c: HashSet<&'a str>,
}

#[derive(Deserialize)]
struct Lock {
    package: Vec<Locked>,
}

#[derive(Deserialize)]
struct Locked {
    name: String,
    version: String,
    checksum: Option<String>,
}

impl<'a> Contents<'a> {
    /// Of the binary of `package` for `target`: what only builds it, macros among that, is not part of it.
    pub(super) fn of(
        root: &Path,
        metadata: &'a Metadata,
        package: &str,
        target: &str,
    ) -> Result<Self> {
        let tree = cargo(root)
            .args(["tree", "--locked", "--prefix=none", "--format={lib} {p}"])
            .args(["--edges=normal,no-proc-macro", "--package", package])
            .args(["--target", target])
            .output()?;
        if !tree.status.success() {
            return Err(String::from_utf8_lossy(&tree.stderr).into());
        }
        // A line is "library name vVERSION", and for our own the path.
        let linked: BTreeSet<(String, String)> = String::from_utf8(tree.stdout)?
            .lines()
            .filter_map(|line| {
                let mut words = line.split_whitespace().skip_while(|word| !is_version(word));
                let version = words.next()?.strip_prefix('v')?.to_owned();
                let before = line.split_whitespace().take_while(|word| !is_version(word));
                Some((before.last()?.to_owned(), version))
            })
            .collect();
        let packages = metadata
            .packages
            .iter()
            .filter(|one| linked.contains(&(one.name.clone(), one.version.clone())))
            .collect();
        let lock: Lock = toml::from_str(&fs::read_to_string(root.join("Cargo.lock"))?)?;
        let checksums = lock
            .package
            .into_iter()
            .filter_map(|one| Some(((one.name, one.version), one.checksum?)))
            .collect();
        Ok(Self {
            root: metadata.package(package)?,
            packages,
            metadata,
            checksums,
            from_c: from_c(metadata)?,
        })
    }

    /// The list of parts as CycloneDX 1.6, <https://cyclonedx.org/docs/1.6/json/>.
    pub(super) fn cyclonedx(&self, version: &str) -> Result<Value> {
        let mut parts: Vec<Value> = self
            .packages
            .iter()
            .map(|package| self.part(package))
            .collect();
        for package in &self.packages {
            if let Some(library) = self.library(package)? {
                parts.push(library.part(package)?);
            }
        }
        Ok(json!({
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "version": 1,
            "metadata": { "component": {
                "type": "application",
                "bom-ref": purl(self.root),
                "name": "athena",
                "version": version,
            }},
            "components": parts,
            "dependencies": self.dependencies()?,
        }))
    }

    fn part(&self, package: &Package) -> Value {
        let mut part = json!({
            "type": "library",
            "bom-ref": purl(package),
            "name": package.name,
            "version": package.version,
            "purl": purl(package),
        });
        if let Some(licence) = &package.license {
            // The slash of old manifests is not an expression of SPDX.
            part["licenses"] = json!([{ "expression": licence.replace('/', " OR ") }]);
        }
        let key = (package.name.clone(), package.version.clone());
        if let Some(checksum) = self.checksums.get(&key) {
            part["hashes"] = json!([{ "alg": "SHA-256", "content": checksum }]);
        }
        part
    }

    /// What a package brings in C.
    fn library(&self, package: &Package) -> Result<Option<&'static Library>> {
        Library::of(package, self.from_c.contains(package.id.as_str()))
    }

    fn dependencies(&self) -> Result<Vec<Value>> {
        let parts: HashMap<&str, &Package> = self
            .packages
            .iter()
            .map(|package| (package.id.as_str(), *package))
            .collect();
        let mut dependencies = Vec::new();
        for node in self.metadata.nodes()? {
            let Some(package) = parts.get(node.id.as_str()) else {
                continue;
            };
            let on = node
                .dependencies
                .iter()
                .filter_map(|id| parts.get(id.as_str()));
            let mut on: Vec<String> = on.map(|package| purl(package)).collect();
            if let Some(library) = self.library(package)? {
                let whole = library.reference(package)?;
                dependencies.push(json!({ "ref": whole, "dependsOn": [] }));
                on.push(whole);
            }
            dependencies.push(json!({ "ref": purl(package), "dependsOn": on }));
        }
        Ok(dependencies)
    }

    /// Every licence text that the packages bring, once, under the names of those that bring it.
    pub(super) fn licences(&self) -> Result<String> {
        let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut listing = String::new();
        let mut without = Vec::new();
        for package in &self.packages {
            let name = format!("{} {}", package.name, package.version);
            let licence = package.license.as_deref().unwrap_or("see its text");
            listing.push_str(&format!("{name}: {licence}\n"));
            let files = licence_files(package.folder()?, DEPTH)?;
            if files.is_empty() {
                without.push(name.clone());
            }
            for file in files {
                let text = String::from_utf8_lossy(&fs::read(&file)?).replace("\r\n", "\n");
                texts
                    .entry(text.trim().to_owned())
                    .or_default()
                    .push(name.clone());
            }
        }
        let mut document =
            format!("What this binary is made of, and under which licences.\n\n{listing}");
        if !without.is_empty() {
            document.push_str(&format!(
                "\nThese come without a text, that of their licence stands under others: {}\n",
                without.join(", ")
            ));
        }
        for (text, mut names) in texts {
            names.dedup();
            document.push_str(&format!(
                "\n{}\n{}\n\n{text}\n",
                "=".repeat(80),
                names.join(", ")
            ));
        }
        Ok(document)
    }
}

fn is_version(word: &str) -> bool {
    word.strip_prefix('v')
        .is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
}

/// The packages of others that are built with a compiler of C.
fn from_c(metadata: &Metadata) -> Result<HashSet<&str>> {
    let others = metadata
        .packages
        .iter()
        .filter(|package| package.source.is_some());
    let others: HashMap<&str, &str> = others
        .map(|package| (package.id.as_str(), package.name.as_str()))
        .collect();
    let builds = |id: &String| others.get(id.as_str()) == Some(&"cc");
    Ok(metadata
        .nodes()?
        .iter()
        .filter(|node| others.contains_key(node.id.as_str()))
        .filter(|node| node.dependencies.iter().any(builds))
        .map(|node| node.id.as_str())
        .collect())
}

pub(super) fn purl(package: &Package) -> String {
    format!("pkg:cargo/{}@{}", package.name, package.version)
}

fn licence_files(folder: &Path, depth: usize) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().to_uppercase();
        let is_licence = [
            "LICENSE",
            "LICENCE",
            "COPYING",
            "COPYRIGHT",
            "NOTICE",
            "UNLICENSE",
        ]
        .iter()
        .any(|start| name.starts_with(start))
            && name != LICENCES.to_uppercase();
        let kind = entry.file_type()?;
        // Those of our own crates are links.
        if is_licence && entry.path().is_file() {
            found.push(entry.path());
        } else if kind.is_dir() && depth > 0 && name != "TARGET" {
            found.extend(licence_files(&entry.path(), depth - 1)?);
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: &str = "x86_64-unknown-linux-gnu";

    #[test]
    fn what_is_linked_is_listed_and_what_builds_it_is_not() {
        let root = crate::workspace_root();
        let metadata = Metadata::of_everything(root).expect("metadata");
        let contents = Contents::of(root, &metadata, "athena-cli", TARGET).expect("contents");
        let parts = contents.cyclonedx("1.2.3").expect("a list");
        let parts = parts["components"].as_array().expect("components");
        let named = |name: &str| parts.iter().find(|part| part["name"] == name);
        for name in ["ring", "tokio", "libwebp-sys", "athena-client"] {
            assert!(named(name).is_some(), "{name} is linked");
        }
        for name in ["syn", "clap_derive", "cc", "tempfile"] {
            assert!(named(name).is_none(), "{name} is not linked");
        }
        for part in parts {
            let licence = part["licenses"][0]["expression"].as_str();
            assert!(licence.is_some(), "{part} has a licence");
        }
        assert_eq!(
            named("ring").expect("linked")["hashes"][0]["alg"],
            "SHA-256"
        );
    }

    #[test]
    fn libraries_in_c_are_parts_of_their_own_that_packages_depend_on() {
        let root = crate::workspace_root();
        let metadata = Metadata::of_everything(root).expect("metadata");
        let contents = Contents::of(root, &metadata, "athena-cli", TARGET).expect("contents");
        let list = contents.cyclonedx("1.2.3").expect("a list");
        let found = |list: &Value, key: &str, start: &str| -> Value {
            let mut all = list.as_array().expect("a list").iter();
            let is_meant = |one: &&Value| one[key].as_str().is_some_and(|it| it.starts_with(start));
            all.find(is_meant).expect(start).clone()
        };
        for (library, package, licence) in [
            (
                "pkg:github/webmproject/libwebp@v",
                "libwebp-sys",
                "BSD-3-Clause",
            ),
            ("pkg:github/mozilla/mozjpeg", "mozjpeg-sys", "IJG"),
            ("pkg:github/google/boringssl", "ring", "Apache-2.0"),
        ] {
            let part = found(&list["components"], "purl", library);
            let said = part["licenses"][0]["expression"].as_str();
            assert!(said.expect("a licence").contains(licence), "{part}");
            let told = part["version"]
                .as_str()
                .map(|version| version.split('.').count());
            assert!(
                told == Some(3) || part["pedigree"]["notes"].is_string(),
                "{part}"
            );
            let package = format!("pkg:cargo/{package}@");
            let on = &found(&list["dependencies"], "ref", &package)["dependsOn"];
            let on = on.as_array().expect("a list");
            assert!(on.contains(&part["bom-ref"]), "{on:?}");
            found(&list["dependencies"], "ref", library);
        }
    }

    #[test]
    fn the_licences_of_c_sources_are_among_the_texts() {
        let root = crate::workspace_root();
        let metadata = Metadata::of_everything(root).expect("metadata");
        let contents = Contents::of(root, &metadata, "athena-cli", TARGET).expect("contents");
        let texts = contents.licences().expect("texts");
        for words in ["libjpeg-turbo", "Google Inc", "Apache License"] {
            assert!(texts.contains(words), "{words}");
        }
        let (listed, texts) = texts.split_once("\n===").expect("texts");
        let (listed, bare) = listed.split_once("These come").expect("some are bare");
        let mut names = listed.lines().filter_map(|line| line.split_once(": "));
        assert!(names.clone().count() > 200, "{listed}");
        assert!(names.all(|(name, _)| texts.contains(name) || bare.contains(name)));
        assert!(!bare.contains("athena"), "{bare}");
    }
}
