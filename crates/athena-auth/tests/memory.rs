//! What of a secret and a token stays in this process's memory once both are dropped.
//!
//! A test crate of its own, so that nothing else is in the process.
#![cfg(all(feature = "oauth", target_os = "linux"))]

mod support;

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::process::{Command, Stdio};

use athena_auth::{OAuthClientCredentials, TokenSource};
use support::{Endpoint, token};

/// How often a text stands in the writable memory of this process. The text is given backwards, so
/// that the search does not find itself.
fn copies(backwards: &[u8]) -> usize {
    let needle: Vec<u8> = backwards.iter().rev().map(|byte| byte ^ 1).collect();
    // Across the edge of two pages a copy is missed, which a run in a hundred may have.
    let maps = std::fs::read_to_string("/proc/self/maps").expect("readable");
    let memory = File::open("/proc/self/mem").expect("readable");
    let mut found = 0;
    // A small buffer, whose contents are made unlike the text at once: it lies in what is searched.
    let mut bytes = [0; 4096];
    for line in maps.lines().filter(|line| line.contains(" rw-p ")) {
        let (range, _) = line.split_once(' ').expect("a range");
        let (start, end) = range.split_once('-').expect("a range");
        let bound = |text| u64::from_str_radix(text, 16).expect("hexadecimal");
        let (mut start, end) = (bound(start), bound(end));
        while start < end && memory.read_exact_at(&mut bytes, start).is_ok() {
            for byte in &mut bytes {
                *byte ^= 1;
            }
            let windows = bytes.windows(needle.len());
            found += windows.filter(|window| *window == needle).count();
            // Pages end where ranges do: a step that overlaps would read beyond the last.
            start += 4096;
        }
    }
    found
}

/// The endpoint, in a process of its own: what it keeps does not count.
#[tokio::test]
#[ignore = "run by the other test"]
async fn endpoint() {
    let endpoint = Endpoint::start(|_| token("the-last-of-a-token-1234", 3600)).await;
    let folder = std::env::var("TEST_FOLDER").expect("set");
    let write = |name, text: &str| std::fs::write(format!("{folder}/{name}"), text);
    write("ca", endpoint.ca_pem()).expect("written");
    write("url.new", &endpoint.url()).expect("written");
    std::fs::rename(format!("{folder}/url.new"), format!("{folder}/url")).expect("renamed");
    std::future::pending::<()>().await;
}

#[test]
fn no_copy_of_the_secret_stays_behind() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut server = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "endpoint", "--ignored"])
        .env("TEST_FOLDER", folder.path())
        .stdout(Stdio::null())
        .spawn()
        .expect("it starts");
    let url = loop {
        match std::fs::read_to_string(folder.path().join("url")) {
            Ok(url) => break url,
            Err(_) => std::thread::yield_now(),
        }
    };
    let ca = std::fs::read(folder.path().join("ca")).expect("written");
    for basic in [false, true] {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let secret = reversed(b"8765-terces-a-fo-tsal-eht");
            let builder = OAuthClientCredentials::builder("the-id", secret)
                .token_url(&url)
                .ca_certificate(&ca);
            let builder = if basic { builder.basic_auth() } else { builder };
            let source = builder.build().expect("good settings");
            drop(source.token().await.expect("a token"));
        });
        drop(runtime);
        let (plain, encoded, token) = (
            copies(b"8765-terces-a-fo-tsal-eht"),
            // The end of the base64 of the-id:the-last-of-a-secret-5678.
            copies(b"=gzN2UTL0VmcjV2ctEWLm9WL"),
            copies(b"4321-nekot-a-fo-tsal-eht"),
        );
        println!("basic {basic}: secret {plain}, header {encoded}, token {token}");
        assert_eq!(plain, 0, "the secret itself");
    }
    server.kill().expect("it runs");
    server.wait().expect("it ends");
}

fn reversed(text: &[u8]) -> String {
    text.iter().rev().map(|byte| char::from(*byte)).collect()
}
