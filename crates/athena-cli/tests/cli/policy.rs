//! Policies: checked, and applied to images.

use std::path::Path;

use serde_json::Value;

use crate::common::{archive, athena_in, by_path, json_lines};

const POLICY: &str = r#"
version = "7"
on_error = "hold"
otherwise = "allow"
[[rules]]
when = "known_match"
then = "block"
[[rules]]
label = "PCSAM"
at_least = 0.0
then = "review"
[[rules]]
when = "unsupported"
then = "block"
"#;

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("folder");
    std::fs::write(folder.path().join("policy.toml"), POLICY).expect("write");
    archive(folder.path(), "in", 3);
    std::fs::write(folder.path().join("in/not-an-image.jpg"), b"hello").expect("write");
    folder
}

fn decisions(lines: &[Value]) -> Vec<(String, String, String)> {
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    by_path(lines)
        .into_values()
        .map(|line| {
            assert_eq!(line["policy_version"], "7");
            let name = Path::new(line["path"].as_str().expect("path"));
            let name = name.file_name().expect("name").to_string_lossy();
            (
                name.into_owned(),
                word(&line["decision"]),
                word(&line["why"]),
            )
        })
        .collect()
}

fn expected() -> Vec<(String, String, String)> {
    let review = ("review", "PCSAM >= 0");
    [
        ("0000.bmp", review),
        ("0001.bmp", review),
        ("0002.bmp", review),
        ("not-an-image.jpg", ("block", "unsupported")),
    ]
    .map(|(name, (decision, why))| (name.into(), decision.into(), why.into()))
    .to_vec()
}

#[test]
fn scan_classify_and_check_decide_alike() {
    let folder = folder();
    let run = athena_in(
        folder.path(),
        &[
            "classify",
            "--emulator",
            "--json",
            "--policy",
            "policy.toml",
            "in",
        ],
    );
    assert_eq!(decisions(&run.json()), expected(), "{}", run.stderr);

    let scan = ["scan", "--emulator", "in", "--output", "out.jsonl"];
    let run = athena_in(
        folder.path(),
        &[&scan[..], &["--policy", "policy.toml"]].concat(),
    );
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    let written = std::fs::read_to_string(folder.path().join("out.jsonl")).expect("output");
    assert_eq!(decisions(&json_lines(&written)), expected());
    // A scan is not continued by another policy.
    let resumed = athena_in(folder.path(), &[&scan[..], &["--resume"]].concat());
    assert_eq!(resumed.code, Some(2), "{}", resumed.stderr);

    let check = ["policy", "check", "policy.toml", "out.jsonl"];
    let run = athena_in(folder.path(), &[&check[..], &["--json"]].concat());
    assert_eq!(decisions(&run.json()), expected(), "{}", run.stderr);
    let run = athena_in(folder.path(), &check);
    assert!(
        run.stdout.contains("3  review  PCSAM >= 0"),
        "{}",
        run.stdout
    );
    assert!(
        run.stdout.contains("1  block   unsupported"),
        "{}",
        run.stdout
    );
}

#[test]
fn a_policy_that_cannot_be_used_ends_the_command_before_anything_is_sent() {
    let folder = folder();
    std::fs::write(folder.path().join("bad.toml"), "otherwise = 'allow'\n").expect("write");
    for arguments in [
        &["policy", "check", "bad.toml"][..],
        &["classify", "--emulator", "--policy", "bad.toml", "in"],
        &[
            "scan",
            "--emulator",
            "--policy",
            "bad.toml",
            "in",
            "--output",
            "o.jsonl",
        ],
    ] {
        let run = athena_in(folder.path(), arguments);
        assert_eq!(run.code, Some(3), "{arguments:?}: {}", run.stderr);
        assert!(run.stderr.contains("on_error"), "{}", run.stderr);
        assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
    }
    assert!(!folder.path().join("o.jsonl").exists());
}
