//! The other commands through the real binary.

use std::path::Path;

use crate::common::{EmulatorProcess, archive, athena, athena_in, bmp, by_path, pictures, run};
use sha2::{Digest, Sha256};
use tempfile::tempdir;

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[test]
fn inspect_sees_the_exact_pixels() {
    let folder = tempdir().expect("folder");
    std::fs::write(folder.path().join("a.bmp"), bmp(7)).expect("write");
    let pixel = &bmp(7)[54..57];
    let run = athena_in(folder.path(), &["inspect", "--json", "a.bmp"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    let line = &run.json()[0];
    assert_eq!(
        (&line["format"], &line["width"], &line["height"]),
        (&"bmp".into(), &16.into(), &16.into())
    );
    assert_eq!(
        (&line["orientation"], &line["frames"]),
        (&1.into(), &1.into())
    );
    assert_eq!(line["decoded_sha256"], sha256(&pixel.repeat(16 * 16)));
    assert_eq!(line["frame_sha256"], sha256(&pixel.repeat(448 * 448)));
    assert_eq!(line["payloads"]["raw"], 602_112);
    assert!(
        line["payloads"]["webp"]
            .as_u64()
            .is_some_and(|bytes| bytes < 10_000)
    );
}

#[test]
fn inspect_reports_bad_files_in_order_and_goes_on() {
    let folder = tempdir().expect("folder");
    archive(folder.path(), "in", 50);
    std::fs::write(folder.path().join("in/0020.bmp"), b"").expect("write");
    let arguments = ["inspect", "--json", "--payloads=none", "in", "missing.jpg"];
    let run = athena_in(folder.path(), &arguments);
    assert_eq!(run.code, Some(1), "{run:?}");
    let lines = run.json();
    assert_eq!(lines.len(), 51);
    for (number, line) in lines.iter().take(50).enumerate() {
        assert_eq!(line["path"], format!("in/{number:04}.bmp"));
        assert_eq!(line["error"].is_string(), number == 20);
    }
    assert_eq!(lines[20]["error"], "the file is empty");
    assert_eq!(lines[50]["error_kind"], "unreadable");
}

#[test]
fn inspect_writes_the_frame() {
    let folder = tempdir().expect("folder");
    let picture = pictures().join("lakeside.jpg");
    let picture = picture.to_str().expect("UTF-8");
    let first = athena_in(
        folder.path(),
        &["inspect", "--write-frame=frame.png", "--json", picture],
    );
    assert_eq!(first.code, Some(0), "{first:?}");
    let second = athena_in(folder.path(), &["inspect", "--json", "frame.png"]);
    let frame = &second.json()[0];
    assert_eq!(
        (&frame["width"], &frame["format"]),
        (&448.into(), &"png".into())
    );
    assert_eq!(frame["decoded_sha256"], first.json()[0]["frame_sha256"]);
}

/// The samples with OpenCV's checksums, where they are at hand.
#[test]
fn inspect_agrees_with_the_golden_checksums() {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/images");
    let Ok(golden) = std::fs::read_to_string(samples.join("golden.tsv")) else {
        return;
    };
    let folder = tempdir().expect("folder");
    let samples = samples.to_str().expect("UTF-8");
    for (column, interpolation) in ["linear", "nearest", "area", "lanczos4"].iter().enumerate() {
        let arguments = [
            "inspect",
            "--json",
            "--payloads=none",
            "--glob=exif_*",
            "--interpolation",
            interpolation,
            samples,
        ];
        let lines = by_path(&athena_in(folder.path(), &arguments).json());
        for row in golden.lines().filter(|row| row.starts_with("exif_")) {
            let cells: Vec<&str> = row.split('\t').collect();
            let line = &lines[&format!("{samples}/{}", cells[0])];
            assert_eq!(line["decoded_sha256"], cells[3], "{row}");
            assert_eq!(line["frame_sha256"], cells[4 + column], "{row}");
        }
    }
}

#[test]
fn hash_prints_the_digests_of_the_file_as_it_is() {
    let folder = tempdir().expect("folder");
    std::fs::write(folder.path().join("a.jpg"), b"abc").expect("write");
    let run = athena_in(folder.path(), &["hash", "--json", "a.jpg"]);
    let line = &run.json()[0];
    assert_eq!(line["md5"], "900150983cd24fb0d6963f7d28e17f72");
    assert_eq!(line["sha1"], "a9993e364706816aba3e25717850c26c9cd0d89d");
    assert_eq!(line["sha256"], sha256(b"abc"));
}

#[test]
fn config_show_names_sources_and_no_secret() {
    let folder = tempdir().expect("folder");
    let config = folder.path().join(".config/athena");
    std::fs::create_dir_all(&config).expect("folder");
    std::fs::write(
        config.join("config.toml"),
        "[profiles.qa]\nhost = 'qa.example:443'\nclient_id = 'from-file'\nclient_secret_command = 'echo hunter2'\n",
    )
    .expect("write");
    std::fs::write(
        folder.path().join("named.env"),
        "OAUTH_CLIENT_ID=from-named\n",
    )
    .expect("write");
    let arguments = [
        "config",
        "show",
        "--profile=qa",
        "--affiliate=acme",
        "--env-file=named.env",
        "--json",
    ];
    let run = run(athena(folder.path(), &arguments).env("OAUTH_AUDIENCE", "from-environment"));
    assert_eq!(run.code, Some(0), "{run:?}");
    let shown = &run.json()[0];
    assert_eq!(shown["host"]["value"], "qa.example:443");
    assert!(
        shown["host"]["source"]
            .as_str()
            .is_some_and(|s| s.ends_with("config.toml [qa]"))
    );
    assert_eq!(shown["client_id"]["value"], "from-named");
    assert_eq!(shown["client_id"]["source"], "named.env OAUTH_CLIENT_ID");
    assert_eq!(shown["audience"]["source"], "environment OAUTH_AUDIENCE");
    assert_eq!(shown["affiliate"]["source"], "--affiliate");
    assert!(!run.stdout.contains("hunter2"));
}

#[test]
fn a_profile_and_its_secret_command_are_enough() {
    let folder = tempdir().expect("folder");
    let (_emulator, ready) = EmulatorProcess::start(folder.path(), &[]);
    let text = |name: &str| ready[name].as_str().expect("text").to_owned();
    std::fs::write(
        folder.path().join("config.toml"),
        format!(
            "[profiles.local]\nhost = '{}'\ntoken_url = '{}'\naffiliate = '{}'\nclient_id = '{}'\n\
             ca_certificate = '{}'\nclient_secret_command = ['echo', 'athena-emulator-secret']\n",
            text("host"),
            text("token_url"),
            text("affiliate"),
            text("client_id"),
            text("ca_file")
        ),
    )
    .expect("write");
    let arguments = [
        "token",
        "--profile=local",
        "--config=config.toml",
        "--json",
        "--show-claims",
    ];
    let run = athena_in(folder.path(), &arguments);
    assert_eq!(run.code, Some(0), "{run:?}");
    let report = &run.json()[0];
    assert_eq!(report["claims"]["aud"], "crisp-athena-live");
    assert_eq!(report["lifetime_seconds"], 3600);
    assert!(report["token"].is_null(), "never unless asked for");
    std::fs::remove_file(folder.path().join("emulator.env")).expect("remove");
    let listed = athena_in(
        folder.path(),
        &["deployments", "--profile=local", "--config=config.toml"],
    );
    assert_eq!(listed.code, Some(0), "{listed:?}");
    assert!(listed.stdout.starts_with("DEPLOYMENT"), "{}", listed.stdout);
}

#[test]
fn tokens_are_had_without_an_affiliate_and_by_a_file_that_a_variable_names() {
    let folder = tempdir().expect("folder");
    let (_emulator, _) = EmulatorProcess::start(folder.path(), &[]);
    let text = std::fs::read_to_string(folder.path().join("emulator.env")).expect("read");
    let secret = text
        .lines()
        .find_map(|line| line.strip_prefix("OAUTH_CLIENT_SECRET="));
    std::fs::write(folder.path().join("secret"), secret.expect("a secret")).expect("write");
    let needless = |line: &&str| !line.contains("AFFILIATE") && !line.contains("HOST");
    let mut kept: Vec<&str> = text.lines().filter(needless).collect();
    std::fs::write(folder.path().join("some.env"), kept.join("\n")).expect("write");
    let run = athena_in(folder.path(), &["token", "--env-file=some.env"]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{run:?}");

    kept.retain(|line| !line.contains("SECRET"));
    kept.push("OAUTH_CLIENT_SECRET_FILE=secret");
    std::fs::write(folder.path().join("some.env"), kept.join("\n")).expect("write");
    let run = athena_in(folder.path(), &["token", "--env-file=some.env"]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{run:?}");
}

#[test]
fn a_finished_token_is_used_where_there_are_no_client_credentials() {
    let folder = tempdir().expect("folder");
    archive(folder.path(), "in", 1);
    let (_emulator, ready) = EmulatorProcess::start(folder.path(), &[]);
    let text = |name: &str| ready[name].as_str().expect("text").to_owned();
    let mint = [
        "emulator",
        "mint",
        "valid",
        "--admin-url",
        &text("admin_url"),
    ];
    let token = athena_in(folder.path(), &mint).stdout;
    let with_token = |arguments: &[&str]| {
        run(athena(folder.path(), arguments)
            .env("ATHENA_TOKEN", token.trim())
            .env("ATHENA_HOST", text("host"))
            .env("ATHENA_AFFILIATE", text("affiliate"))
            .env("ATHENA_CA_FILE", text("ca_file")))
    };
    for arguments in [
        &["classify", "in"][..],
        &["deployments"],
        &["doctor"],
        &["token"],
    ] {
        let run = with_token(arguments);
        assert_eq!(run.code, Some(0), "{arguments:?}: {run:?}");
        assert!(!run.stdout.contains(token.trim()) && !run.stderr.contains(token.trim()));
    }
    let shown = with_token(&["config", "show"]);
    assert!(shown.stdout.contains("[redacted]") && !shown.stdout.contains(token.trim()));
    // It is a credential: a host that the configuration file names does not get it.
    let config = format!("[profiles.default]\nhost = '{}'\n", text("host"));
    std::fs::write(folder.path().join("config.toml"), config).expect("write");
    let refused = run(
        athena(folder.path(), &["deployments", "--config=config.toml"])
            .env("ATHENA_TOKEN", token.trim())
            .env("ATHENA_AFFILIATE", text("affiliate")),
    );
    assert_eq!(refused.code, Some(3), "{refused:?}");
    assert!(
        refused
            .stderr
            .contains("the token comes from environment ATHENA_TOKEN")
    );
}

#[cfg(unix)]
#[test]
fn the_emulator_says_where_it_is_and_stops_when_told() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempdir().expect("folder");
    let (mut emulator, ready) = EmulatorProcess::start(folder.path(), &["--labels=live"]);
    assert!(Path::new(ready["ca_file"].as_str().expect("path")).exists());
    let env_file = folder.path().join("emulator.env");
    let mode = std::fs::metadata(&env_file)
        .expect("metadata")
        .permissions()
        .mode();
    assert_eq!(mode & 0o077, 0, "it holds a secret");
    archive(folder.path(), "in", 1);
    let run = athena_in(
        folder.path(),
        &["classify", "--json", "--env-file=emulator.env", "in"],
    );
    assert!(
        run.json()[0]["weights"]["UnknownCSAM-classA"].is_f64(),
        "{run:?}"
    );
    crate::common::signal(&emulator.0, "TERM");
    assert_eq!(emulator.0.wait().expect("wait").code(), Some(0));
}

#[test]
fn a_fault_of_the_emulator_can_be_named_in_words() {
    let folder = tempdir().expect("folder");
    archive(folder.path(), "in", 1);
    let fault = "image_error = { when = { every = 1 } }";
    let (_emulator, _) = EmulatorProcess::start(folder.path(), &["--fault", fault]);
    let run = athena_in(
        folder.path(),
        &["classify", "--json", "--env-file=emulator.env", "in"],
    );
    assert_eq!(run.code, Some(1), "{run:?}");
    assert_eq!(run.json()[0]["error"]["kind"], "service");
    let wrong = athena_in(folder.path(), &["emulator", "--fault", "nonsense = 1"]);
    assert_eq!(wrong.code, Some(2), "{wrong:?}");
}

#[test]
fn completions_and_pages_are_made_for_every_command() {
    let folder = tempdir().expect("folder");
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let run = athena_in(folder.path(), &["completions", shell]);
        assert_eq!(run.code, Some(0));
        assert!(
            run.stdout.contains("scan") && run.stdout.contains("fail-over"),
            "{shell}"
        );
    }
    let run = athena_in(folder.path(), &["man", "--folder=pages"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    for page in [
        "athena.1",
        "athena-classify.1",
        "athena-scan.1",
        "athena-inspect.1",
    ] {
        assert!(folder.path().join("pages").join(page).exists(), "{page}");
    }
}

#[test]
fn the_help_of_every_command_has_examples() {
    let folder = tempdir().expect("folder");
    for command in [
        "classify",
        "scan",
        "deployments",
        "token",
        "inspect",
        "hash",
        "emulator",
        "completions",
    ] {
        let run = athena_in(folder.path(), &[command, "--help"]);
        assert_eq!(run.code, Some(0));
        assert!(
            run.stdout.contains(&format!("athena {command}")),
            "{command}"
        );
        assert!(run.stdout.contains("Examples:"), "{command}");
    }
}

#[test]
fn the_emulator_mints_good_and_bad_tokens() {
    let folder = tempdir().expect("folder");
    let (_emulator, ready) = EmulatorProcess::start(folder.path(), &[]);
    let admin = ready["admin_url"].as_str().expect("URL");
    for kind in ["valid", "expired", "wrong-audience", "foreign", "unsigned"] {
        let run = athena_in(
            folder.path(),
            &["emulator", "mint", kind, "--admin-url", admin],
        );
        assert_eq!(run.code, Some(0), "{run:?}");
        assert_eq!(run.stdout.trim().split('.').count(), 3, "{kind} is a JWT");
    }
    let nobody = [
        "emulator",
        "mint",
        "valid",
        "--admin-url=http://127.0.0.1:9",
    ];
    assert_eq!(athena_in(folder.path(), &nobody).code, Some(5));
}
