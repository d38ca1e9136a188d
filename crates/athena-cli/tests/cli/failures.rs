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

#[test]
fn a_port_that_is_none_is_a_setting_that_is_invalid() {
    let folder = tempdir().expect("folder");
    for flag in [
        "--host=localhost:99999",
        "--host=localhost:0",
        "--token-url=https://localhost:99999/token",
    ] {
        let run = classify(folder.path(), &[flag]);
        assert_fails(&run, 3, "port", "athena config show");
    }
}

#[test]
fn a_cause_is_said_once_and_in_words() {
    let folder = tempdir().expect("folder");
    let (_emulator, _) = crate::common::EmulatorProcess::start(folder.path(), &[]);
    for more in [
        &["--host=127.0.0.1:9"][..],
        &["--host=127.0.0.1:9", "--via=stream"],
    ] {
        let run = classify_with_env_file(folder.path(), more);
        assert_fails(&run, 5, "127.0.0.1:9", "ATHENA_HOST");
        let said = |what: &str| run.stderr.to_lowercase().matches(what).count();
        assert_eq!(said("connection refused"), 1, "{run:?}");
        assert_eq!(said("127.0.0.1:9"), 1, "{run:?}");
        assert_eq!(said("os error"), 0, "{run:?}");
        assert_eq!(said("image \""), 0, "{run:?}");
    }
}

#[test]
fn a_port_for_something_else_is_told_at_once() {
    let folder = tempdir().expect("folder");
    let (_emulator, ready) = crate::common::EmulatorProcess::start(folder.path(), &[]);
    let text = |name: &str| ready[name].as_str().expect("text").to_owned();
    let admin = text("admin_url").replace("http://", "");
    let admin = admin.trim_end_matches('/');
    for (host, code, cause, remedy) in [
        // In the clear to TLS, TLS to what is in the clear, and to HTTP that is not gRPC.
        (
            format!("http://{}", text("host")),
            5,
            "speaks TLS: give https://",
            "ATHENA_HOST",
        ),
        (
            format!("https://{admin}"),
            5,
            "does the port speak TLS",
            "ATHENA_HOST",
        ),
        (
            format!("http://{admin}"),
            6,
            "does not offer the Athena service",
            "ATHENA_HOST",
        ),
    ] {
        let host = format!("--host={host}");
        for arguments in [
            &["classify", "in"][..],
            &["classify", "in", "--via=stream"],
            &["scan", "in", "--output=out.jsonl", "--force"],
            &["collect", "some-id"],
            &["deployments"],
        ] {
            archive(folder.path(), "in", 2);
            let arguments = [arguments, &["--env-file=emulator.env", &host]].concat();
            let run = athena_in(folder.path(), &arguments);
            assert_fails(&run, code, cause, remedy);
        }
    }
}

#[test]
fn the_user_and_password_of_a_url_are_never_shown() {
    let folder = tempdir().expect("folder");
    for flag in [
        "--host=https://joe:hunter2-hunter2@127.0.0.1:9",
        "--host=joe:hunter2-hunter2@127.0.0.1:9",
        "--token-url=https://joe:hunter2-hunter2@127.0.0.1:9/token",
        "--token-url=https://joe:hunter2-hunter2@[/token",
    ] {
        for command in ["classify", "token", "deployments", "doctor", "config"] {
            let arguments = match command {
                "classify" => &["classify", "in"][..],
                "doctor" => &["doctor", "--json"],
                "config" => &["config", "show"],
                other => &[other],
            };
            let mut arguments = arguments.to_vec();
            arguments.extend([flag, "--log=trace"]);
            let run = run(athena(folder.path(), &arguments)
                .env("OAUTH_CLIENT_ID", "someone")
                .env("OAUTH_CLIENT_SECRET", "s")
                .env("ATHENA_AFFILIATE", "acme"));
            let said = format!("{}{}", run.stdout, run.stderr);
            assert!(!said.contains(SECRET), "{flag} {command}: {said}");
            assert!(!said.contains("joe"), "{flag} {command}: {said}");
            if command == "config" {
                assert!(said.contains("[redacted]@"), "{flag}: {said}");
            }
        }
    }
    let mint = [
        "emulator",
        "mint",
        "valid",
        "--admin-url=http://joe:hunter2-hunter2@127.0.0.1:9",
    ];
    let run = athena_in(folder.path(), &mint);
    assert_fails(&run, 5, "127.0.0.1:9", "--admin-url");
}

#[test]
fn a_profile_that_cannot_be_read_says_what_is_meant() {
    let folder = tempdir().expect("folder");
    for (line, cause, remedy) in [
        (
            "hosst = 'x'",
            "line 3: there is no setting `hosst`",
            "did you mean `host`?",
        ),
        (
            "client_secret = 'hunter2-hunter2'",
            "line 3",
            "client_secret_file or client_secret_command",
        ),
        (
            "client_secret_file = 'a'\nclient_secret_command = 'hunter2-hunter2'",
            "two client secrets",
            "not both",
        ),
        (
            "host = ['hunter2-hunter2']",
            "line 3: `host` is not text",
            "text in quotes",
        ),
        ("host = hunter2-hunter2", "line 3", "quotes"),
    ] {
        let text = format!("# comment\n[profiles.default]\n{line}\n");
        std::fs::write(folder.path().join("config.toml"), text).expect("write");
        let run = classify(folder.path(), &["--config=config.toml"]);
        assert_fails(&run, 3, cause, remedy);
    }
}

#[test]
fn two_secrets_in_one_place_are_one_too_many() {
    let folder = tempdir().expect("folder");
    let both = run(athena(folder.path(), &["token"])
        .env("OAUTH_CLIENT_SECRET", SECRET)
        .env("OAUTH_CLIENT_SECRET_FILE", "secret"));
    assert_fails(&both, 3, "OAUTH_CLIENT_SECRET_FILE", "keep one");
    let flags = [
        "token",
        "--client-secret-file=a",
        "--client-secret-command=b",
    ];
    assert_eq!(athena_in(folder.path(), &flags).code, Some(2));
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
