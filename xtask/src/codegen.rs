//! Compiles the `.proto` files with protox and writes the Rust code and the file descriptor set.

use std::{collections::BTreeMap, fs, path::Path};

use prost::Message as _;

use crate::Result;

const GENERATED: &str = "crates/athena-proto/src/generated";
const DESCRIPTORS: &str = "athena.fds";

pub(crate) fn run(root: &Path, check: bool) -> Result {
    let target = root.join(GENERATED);
    let fresh = tempfile::tempdir()?;
    generate(&root.join("proto"), fresh.path())?;
    let (new, old) = (contents(fresh.path())?, contents(&target)?);
    if new == old {
        return Ok(());
    }
    if check {
        return Err(
            format!("{GENERATED} is stale: run `cargo xtask codegen` and commit it").into(),
        );
    }
    if target.exists() {
        fs::remove_dir_all(&target)?;
    }
    fs::create_dir_all(&target)?;
    for (name, bytes) in new {
        fs::write(target.join(name), bytes)?;
    }
    println!("{GENERATED} written");
    Ok(())
}

fn generate(protos: &Path, out: &Path) -> Result {
    let descriptors = protox::compile(["athena/athena.proto"], [protos])?;
    fs::write(out.join(DESCRIPTORS), descriptors.encode_to_vec())?;
    tonic_prost_build::configure()
        .out_dir(out)
        // The stubs work over any tower service; connecting is the client crate's affair.
        .build_transport(false)
        .codec_path("crate::codec::SizedCodec")
        // Image data is handed on without a copy.
        .bytes(".athena")
        // The contract may grow without a break of everybody's matches.
        .enum_attribute(".athena", "#[non_exhaustive]")
        .client_mod_attribute("athena", "#[cfg(feature = \"client\")]")
        .server_mod_attribute("athena", "#[cfg(feature = \"server\")]")
        .compile_fds(descriptors)?;
    Ok(())
}

/// File names and contents of a folder; empty when there is no such folder.
fn contents(folder: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    if folder.exists() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            files.insert(name, fs::read(entry.path())?);
        }
    }
    Ok(files)
}
