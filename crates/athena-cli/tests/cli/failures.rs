//! What can be wrong before the first image: one line with cause and remedy, a documented exit
//! code, no secret.

use std::path::Path;

use crate::common::{Run, archive, athena, athena_in, run};
use tempfile::tempdir;

const SECRET: &str = "hunter2-hunter2";

/// Checks the one line.
fn assert_fails(run: &Run, code: i32, cause: &str, remedy: &str) {
    assert_eq!(run.code, Some(code), "{run:?}");
    assert!(run.stdout.is_empty(), "{run:?}");
    assert_eq!(run.stderr.lines().count(), 1, "{run:?}");
    assert!(run.stderr.starts_with("error: "), "{run:?}");
    for part in [cause, remedy] {
        assert!(run.stderr.contains(part), "{part}: {run:?}");
    }
    assert!(!run.stderr.contains(SECRET), "{run:?}");
}

fn classify(folder: &Path, flags: &[&str]) -> Run {
    archive(folder, "in", 1);
    let arguments = [&["classify", "in"], flags].concat();
    run(athena(folder, &arguments)
        .env("OAUTH_CLIENT_ID", "someone")
        .env("OAUTH_CLIENT_SECRET", SECRET)
        .env("ATHENA_AFFILIATE", "acme"))
}

#[test]
fn nothing_is_configured() {
    let folder = tempdir().expect("folder");
    archive(folder.path(), "in", 1);
    let run = athena_in(folder.path(), &["classify", "in"]);
    assert_fails(&run, 3, "no client id", "OAUTH_CLIENT_ID");
}

#[test]
fn the_secret_is_wrong() {
    let folder = tempdir().expect("folder");
    std::fs::write(folder.path().join("secret"), SECRET).expect("write");
    let run = classify(
        folder.path(),
        &["--emulator", "--client-secret-file=secret"],
    );
    assert_fails(&run, 4, "invalid_client", "OAUTH_CLIENT_SECRET");
}

#[test]
fn the_affiliate_is_unknown() {
    let folder = tempdir().expect("folder");
    let run = classify(folder.path(), &["--emulator", "--affiliate=nobody"]);
    assert_fails(&run, 4, "'nobody' is not permitted", "ATHENA_AFFILIATE");
}

#[test]
fn the_token_endpoint_cannot_be_reached() {
    let folder = tempdir().expect("folder");
    let run = classify(folder.path(), &["--token-url=https://127.0.0.1:9/token"]);
    assert_fails(&run, 5, "connection refused", "OAUTH_AUTH_URL");
}

#[test]
fn the_service_cannot_be_reached() {
    let folder = tempdir().expect("folder");
    let (_emulator, _) = crate::common::EmulatorProcess::start(folder.path(), &[]);
    let run = classify_with_env_file(folder.path(), &["--host=127.0.0.1:9"]);
    assert_fails(&run, 5, "127.0.0.1:9", "ATHENA_HOST");
    let run = classify_with_env_file(folder.path(), &["--host=127.0.0.1:9", "--via=stream"]);
    assert_fails(&run, 5, "127.0.0.1:9", "ATHENA_HOST");
}

#[test]
fn the_certificate_is_not_trusted() {
    let folder = tempdir().expect("folder");
    let (_emulator, ready) =
        crate::common::EmulatorProcess::start(folder.path(), &["--plain-token-endpoint"]);
    let text = std::fs::read_to_string(folder.path().join("emulator.env")).expect("read");
    let kept = text
        .lines()
        .filter(|line| !line.contains("CERT") && !line.contains("ROOTS"));
    let without_ca: Vec<&str> = kept.collect();
    std::fs::write(folder.path().join("emulator.env"), without_ca.join("\n")).expect("write");
    let run = classify_with_env_file(folder.path(), &[]);
    let host = ready["host"].as_str().expect("host");
    assert_fails(&run, 5, host, "--ca FILE");
}

fn classify_with_env_file(folder: &Path, flags: &[&str]) -> Run {
    archive(folder, "in", 1);
    let arguments = [&["classify", "in", "--env-file=emulator.env"], flags].concat();
    athena_in(folder, &arguments)
}

#[test]
fn there_is_no_image() {
    let folder = tempdir().expect("folder");
    std::fs::create_dir(folder.path().join("empty")).expect("folder");
    let run = athena_in(folder.path(), &["classify", "--emulator", "empty"]);
    assert_fails(&run, 7, "no images in empty", "name image files");
}

#[test]
fn a_file_that_cannot_be_read_is_a_failed_image() {
    let folder = tempdir().expect("folder");
    let run = athena_in(folder.path(), &["classify", "--emulator", "missing.jpg"]);
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(
        run.stdout.contains("missing.jpg") && run.stdout.contains("no such file"),
        "{run:?}"
    );
}

#[test]
fn a_wrong_flag_is_a_usage_error() {
    let folder = tempdir().expect("folder");
    for arguments in [
        &["classify", "--emulator", "--payload=tiff", "x"][..],
        &["classify", "--emulator", "--glob=[", "x"],
        &["classify", "--emulator", "--log=athena=loud", "x"],
        &["scan", "x", "--output=o", "--fail-over=PCSAM"],
    ] {
        let run = athena_in(folder.path(), arguments);
        assert_eq!(run.code, Some(2), "{arguments:?}: {run:?}");
    }
}

#[test]
fn standard_input_is_not_read_for_two_things() {
    let folder = tempdir().expect("folder");
    let run = athena_in(folder.path(), &["classify", "-", "--client-secret-file=-"]);
    assert_fails(
        &run,
        2,
        "both the client secret and the images",
        "--client-secret-command",
    );
}

#[test]
fn no_flag_takes_a_secret() {
    let folder = tempdir().expect("folder");
    let run = athena_in(folder.path(), &["classify", "--client-secret=x", "x"]);
    assert_eq!(run.code, Some(2), "{run:?}");
}

#[test]
fn the_most_talkative_log_holds_no_secret_and_no_token() {
    let folder = tempdir().expect("folder");
    archive(folder.path(), "in", 40);
    let (_emulator, _) = crate::common::EmulatorProcess::start(folder.path(), &[]);
    let token = athena_in(
        folder.path(),
        &["token", "--print-token", "--env-file=emulator.env"],
    );
    let head = token
        .stdout
        .split('.')
        .next()
        .expect("header of a JWT")
        .to_owned();
    assert!(head.len() > 10, "{token:?}");
    for format in ["--log-format=text", "--log-format=json"] {
        let arguments = [
            "classify",
            "in",
            "--payload=raw",
            "--env-file=emulator.env",
            "--log=trace",
            format,
        ];
        let run = athena_in(folder.path(), &arguments);
        assert_eq!(run.code, Some(0));
        assert!(
            run.stderr.lines().count() > 20,
            "the log is on: {}",
            run.stderr
        );
        assert!(
            !run.stderr.contains("athena-emulator-secret"),
            "the secret is in the log"
        );
        assert!(!run.stderr.contains(&head), "a token is in the log");
    }
}
