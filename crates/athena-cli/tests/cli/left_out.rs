//! What a build was made without is said by name, with how to get it: never an unknown command or a missing file.

use crate::common::athena_in;

/// Runs what takes a feature; `what` is the subject of the one line that is said.
fn refused(arguments: &[&str], what: &str, feature: &str) {
    let folder = tempfile::tempdir().expect("folder");
    let run = athena_in(folder.path(), arguments);
    assert_eq!(run.code, Some(2), "{arguments:?}: {run:?}");
    let said = format!("error: {what}: this `athena` was built without ");
    let remedy = format!(": build it with --features {feature}\n");
    assert!(
        run.stderr.starts_with(&said) && run.stderr.ends_with(&remedy),
        "{arguments:?}: {run:?}"
    );
}

#[cfg(not(feature = "serve"))]
#[test]
fn a_server() {
    refused(&["serve", "--emulator", "--json"], "athena serve", "serve");
    refused(&["serve", "--help"], "athena serve", "serve");
}

#[cfg(not(feature = "worker"))]
#[test]
fn queues() {
    refused(&["worker", "--emulator"], "athena worker", "worker");
    refused(&["jobs", "submit", "a.jpg"], "athena jobs", "worker");
    refused(&["reconcile", "nats:JOBS"], "athena reconcile", "worker");
    #[cfg(feature = "serve")]
    refused(&["serve", "--emulator", "--queue"], "--queue", "worker");
}

#[cfg(not(feature = "stores"))]
#[test]
fn object_stores() {
    for command in ["classify", "inspect", "hash", "scan"] {
        for url in [
            "s3://b/k.jpg",
            "gs://b/k.jpg",
            "az://b/k.jpg",
            "s3://b/2026/",
        ] {
            let arguments = ["--emulator", "--output=out.jsonl"];
            let more = &arguments[..match command {
                "scan" => 2,
                "classify" => 1,
                _ => 0,
            }];
            refused(&[&[command, url], more].concat(), url, "stores");
        }
    }
    refused(&["hash", "--from=s3://b/list"], "s3://b/list", "stores");
    let photos = crate::common::pictures();
    let photos = photos.to_str().expect("UTF-8");
    for more in [
        &["--output=s3://b/run/"][..],
        &[
            "--output=out.jsonl",
            "--fail-over=PCSAM=0.5",
            "--on-match=copy:s3://b/run/",
        ],
    ] {
        refused(
            &[&["scan", "--emulator", photos], more].concat(),
            "s3://b/run/",
            "stores",
        );
    }
    #[cfg(feature = "serve")]
    refused(
        &["serve", "--emulator", "--allow-url=s3://b/run/"],
        "s3://b/run/",
        "stores",
    );
}

#[cfg(not(feature = "stores"))]
#[test]
fn an_object_in_a_list() {
    let folder = tempfile::tempdir().expect("folder");
    std::fs::write(folder.path().join("list"), "s3://b/k.jpg\n").expect("write");
    let run = athena_in(folder.path(), &["hash", "--from=list"]);
    assert_ne!(run.code, Some(0), "{run:?}");
    assert!(run.stderr.contains("--features stores"), "{run:?}");
}

#[cfg(not(feature = "avif"))]
#[test]
fn avif() {
    let folder = tempfile::tempdir().expect("folder");
    let mut file = b"\0\0\0\x18ftypavif\0\0\0\0avifmif1".to_vec();
    file.resize(64, 0);
    std::fs::write(folder.path().join("a.avif"), file).expect("write");
    let run = athena_in(folder.path(), &["inspect", "--json", "a.avif"]);
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.stdout.contains("the feature `avif`"), "{run:?}");
}
