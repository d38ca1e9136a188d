//! The exit code of a scan is about its whole output, however many runs have written it: what a fresh,
//! an interrupted, a resumed and a retried scan end with.

use std::path::Path;

use crate::common::{
    EmulatorProcess, Run, archive, athena, athena_in, by_path, json_lines, wait_for_lines,
};
use serde_json::Value;
use tempfile::{TempDir, tempdir};

const SCAN: [&str; 5] = [
    "scan",
    "in",
    "--payload=raw",
    "--output=out.jsonl",
    "--env-file=emulator.env",
];
const BROKEN: &[u8] = b"\xff\xd8\xff broken";

fn scan(folder: &Path, flags: &[&str]) -> Run {
    athena_in(folder, &[&SCAN, flags].concat())
}

/// A new scan that is stopped by Ctrl-C once it has written some lines.
fn interrupted(folder: &Path, flags: &[&str]) -> Run {
    for name in ["out.jsonl", "out.jsonl.journal"] {
        std::fs::remove_file(folder.join(name)).expect("remove");
    }
    let mut child = athena(folder, &[&SCAN, flags, &["--rate=60"]].concat())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("the binary runs");
    wait_for_lines(&mut child, &folder.join("out.jsonl"), 10);
    crate::common::signal(&child, "INT");
    Run::from(child.wait_with_output().expect("output"))
}

fn output(folder: &Path) -> Vec<Value> {
    json_lines(&std::fs::read_to_string(folder.join("out.jsonl")).expect("read"))
}

fn failed(folder: &Path) -> usize {
    let lines = output(folder);
    lines
        .iter()
        .filter(|line| line["status"] == "failed")
        .count()
}

/// A folder with so many pictures, and an emulator.
fn place(pictures: u32) -> (TempDir, EmulatorProcess, Value) {
    let folder = tempdir().expect("folder");
    archive(folder.path(), "in", pictures);
    let (emulator, ready) = EmulatorProcess::start(folder.path(), &[]);
    (folder, emulator, ready)
}

/// Names that sort, and are listed, anywhere among the others.
fn add_broken(folder: &Path) {
    std::fs::write(folder.join("in/broken.jpg"), BROKEN).expect("write");
}

#[cfg(unix)]
#[test]
fn all_is_well() {
    let (folder, _emulator, _) = place(60);
    let run = scan(folder.path(), &[]);
    assert_eq!(run.code, Some(0), "fresh: {run:?}");
    assert_eq!(interrupted(folder.path(), &[]).code, Some(130));
    for resumed in ["again", "and again"] {
        assert_eq!(
            scan(folder.path(), &["--resume"]).code,
            Some(0),
            "{resumed}"
        );
    }
    let retried = scan(folder.path(), &["--resume", "--retry-failed"]);
    assert_eq!(retried.code, Some(0), "{retried:?}");
    assert_eq!(by_path(&output(folder.path())).len(), 60);
}

#[cfg(unix)]
#[test]
fn an_image_failed() {
    let (folder, _emulator, _) = place(60);
    add_broken(folder.path());
    assert_eq!(scan(folder.path(), &[]).code, Some(1), "fresh");
    assert_eq!(interrupted(folder.path(), &[]).code, Some(130));
    for resumed in ["the first to finish", "nothing left to do"] {
        let run = scan(folder.path(), &["--resume"]);
        assert_eq!(run.code, Some(1), "{resumed}: {run:?}");
    }
    let other = scan(
        folder.path(),
        &["--resume", "--retry-failed=unreadable,timeout"],
    );
    assert_eq!(other.code, Some(1), "{other:?}");
    assert!(other.stderr.contains("0 classified, 0 failed"), "{other:?}");
    let retried = scan(folder.path(), &["--resume", "--retry-failed"]);
    assert_eq!(retried.code, Some(1), "still broken: {retried:?}");
    assert!(
        retried.stderr.contains("0 classified, 1 failed"),
        "{retried:?}"
    );
    std::fs::write(folder.path().join("in/broken.jpg"), crate::common::bmp(999)).expect("write");
    let untouched = scan(folder.path(), &["--resume"]);
    assert_eq!(untouched.code, Some(1), "failed images stay failed");
    let retried = scan(
        folder.path(),
        &["--resume", "--retry-failed=corrupt,truncated"],
    );
    assert_eq!(retried.code, Some(0), "mended: {retried:?}");
    let lines = by_path(&output(folder.path()));
    assert_eq!(lines.len(), 61);
    assert_eq!(lines["in/broken.jpg"]["status"], "classified");
    assert_eq!(scan(folder.path(), &["--resume"]).code, Some(0));
}

#[cfg(unix)]
#[test]
fn an_image_reached_a_threshold() {
    let (folder, _emulator, _) = place(60);
    let over = "--fail-over=PCSAM=0.5";
    assert_eq!(scan(folder.path(), &[over]).code, Some(10), "fresh");
    assert_eq!(interrupted(folder.path(), &[over]).code, Some(130));
    // Everything is done; the matches are those of the earlier run alone, the second time.
    for resumed in ["the rest", "nothing left"] {
        let run = scan(folder.path(), &["--resume", over]);
        assert_eq!(run.code, Some(10), "{resumed}: {run:?}");
    }
    assert_eq!(
        scan(folder.path(), &["--resume"]).code,
        Some(0),
        "not asked for"
    );
    let run = scan(folder.path(), &["--resume", "--fail-over=PCSAM=1"]);
    assert_eq!(run.code, Some(0), "the weight of this run counts: {run:?}");
    add_broken(folder.path());
    let both = scan(folder.path(), &["--resume", over]);
    assert_eq!(both.code, Some(10), "stronger than a failure: {both:?}");
    let retried = scan(folder.path(), &["--resume", "--retry-failed", over]);
    assert_eq!(retried.code, Some(10), "{retried:?}");
}

#[test]
fn the_service_fails_every_request() {
    let (folder, emulator, ready) = place(400);
    emulator.set_faults(&ready, r#"{"global_error": {"every": 1}}"#);
    let run = scan(folder.path(), &[]);
    assert_eq!(run.code, Some(6), "fresh: {run:?}");
    assert!(run.stderr.contains("--resume"), "{run:?}");
    assert_eq!(output(folder.path()).len(), 0, "no image has failed");
    let resumed = scan(folder.path(), &["--resume"]);
    assert_eq!(resumed.code, Some(6), "{resumed:?}");
    emulator.set_faults(&ready, "{}");
    let resumed = scan(folder.path(), &["--resume"]);
    assert_eq!(resumed.code, Some(0), "{resumed:?}");
    assert_eq!(by_path(&output(folder.path())).len(), 400);
    assert_eq!(failed(folder.path()), 0);
}

#[test]
fn the_service_is_unavailable_and_says_so() {
    let (folder, emulator, ready) = place(3);
    emulator.set_faults(
        &ready,
        r#"{"reject": {"when": {"every": 1}, "status": "unavailable"}}"#,
    );
    let run = scan(folder.path(), &[]);
    assert_eq!(run.code, Some(6), "it answered: {run:?}");
    drop(emulator);
    let run = scan(folder.path(), &[]);
    assert_eq!(run.code, Some(5), "nobody answers: {run:?}");
}

#[test]
fn plain_http_on_a_tls_port_is_clear_at_once() {
    let (folder, _emulator, ready) = place(3);
    let host = format!("--host=http://{}", ready["host"].as_str().expect("host"));
    let started = std::time::Instant::now();
    for command in [&SCAN[..], &["classify", "in", SCAN[4]]] {
        let run = athena_in(folder.path(), &[command, &[&host]].concat());
        assert_eq!(run.code, Some(5), "{run:?}");
    }
    assert!(started.elapsed().as_secs() < 40, "not after a time-out");
}

#[test]
fn a_few_images_and_a_service_that_fails_them_all() {
    let (folder, emulator, ready) = place(3);
    emulator.set_faults(&ready, r#"{"global_error": {"every": 1}}"#);
    assert_eq!(scan(folder.path(), &[]).code, Some(6), "none was answered");
    emulator.set_faults(&ready, r#"{"global_error": {"next": 1}}"#);
    let run = scan(folder.path(), &["--resume", "--in-flight=1"]);
    assert_eq!(run.code, Some(1), "two were: {run:?}");
    assert!(run.stderr.contains("1  unfinished"), "{run:?}");
    assert_eq!(scan(folder.path(), &["--resume"]).code, Some(0));
}

#[test]
fn the_service_fails_one_image_after_the_other() {
    let (folder, emulator, ready) = place(100);
    emulator.set_faults(
        &ready,
        r#"{"image_error": {"when": {"every": 1}, "code": "model_error"}}"#,
    );
    let run = scan(folder.path(), &["--in-flight=16"]);
    assert_eq!(run.code, Some(6), "the breaker: {run:?}");
    let so_far = failed(folder.path());
    assert!((32..100).contains(&so_far), "{so_far} of 100");
    emulator.set_faults(&ready, "{}");
    let run = scan(folder.path(), &["--resume"]);
    assert_eq!(run.code, Some(1), "answered errors are lines: {run:?}");
    let retried = scan(folder.path(), &["--resume", "--retry-failed=service"]);
    assert_eq!(retried.code, Some(0), "{retried:?}");
    assert_eq!(by_path(&output(folder.path())).len(), 100);
}

#[test]
fn more_fail_than_is_allowed() {
    let (folder, emulator, ready) = place(60);
    for number in 0..5 {
        let path = folder.path().join(format!("in/broken-{number}.jpg"));
        std::fs::write(path, BROKEN).expect("write");
    }
    for (limit, code) in [("4", 1), ("5", 1), ("7%", 1), ("50%", 1)] {
        let flags = ["--force", &format!("--max-failures={limit}")];
        let run = scan(folder.path(), &flags);
        assert_eq!(run.code, Some(code), "{limit}: {run:?}");
        let stopped = run.stderr.contains("more than --max-failures");
        assert_eq!(stopped, matches!(limit, "4" | "7%"), "{limit}: {run:?}");
    }
    emulator.set_faults(&ready, r#"{"global_error": {"every": 2}}"#);
    let run = scan(
        folder.path(),
        &["--force", "--max-failures=6", "--in-flight=4"],
    );
    assert_eq!(run.code, Some(6), "the service's failures: {run:?}");
}

#[test]
fn a_label_that_no_answer_has() {
    let (folder, _emulator, _) = place(3);
    let run = scan(folder.path(), &["--fail-over=NoSuch=0.5"]);
    assert_eq!(run.code, Some(3), "{run:?}");
    assert!(
        run.stderr.contains("NoSuch") && run.stderr.contains("Lakeside"),
        "{run:?}"
    );
    assert_eq!(output(folder.path()).len(), 3, "the work is not lost");
    let run = scan(folder.path(), &["--resume", "--fail-over=Lakeside=1"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    let run = scan(
        folder.path(),
        &["--resume", "--fail-over=PCSAM=0", "--fail-over=NoSuch=1"],
    );
    assert_eq!(run.code, Some(10), "a match is stronger: {run:?}");
    assert!(run.stderr.contains("NoSuch"), "and it is said: {run:?}");
    for weight in ["PCSAM=1.5", "PCSAM=-0.1", "Lakeside=2"] {
        let run = scan(
            folder.path(),
            &["--resume", &format!("--fail-over={weight}")],
        );
        assert_eq!(run.code, Some(2), "{weight}: {run:?}");
    }
}

#[test]
fn another_service_is_not_the_same_scan() {
    let (folder, emulator, ready) = place(3);
    assert_eq!(scan(folder.path(), &[]).code, Some(0));
    let host = ready["host"].as_str().expect("host");
    let (name, port) = host.rsplit_once(':').expect("a port");
    let same = scan(
        folder.path(),
        &["--resume", &format!("--host=https://{name}:{port}/")],
    );
    assert_eq!(
        same.code,
        Some(0),
        "the same address, written otherwise: {same:?}"
    );
    for (flag, words) in [
        (format!("--host=127.0.0.1:{port}"), "endpoint was"),
        (
            "--interpolation=area".to_owned(),
            "interpolation was linear and is area",
        ),
        ("--payload=png".to_owned(), "payload was raw and is png"),
        ("--hash-only".to_owned(), "payload was raw and is hashes"),
    ] {
        let mut arguments: Vec<&str> = SCAN.to_vec();
        if flag.starts_with("--payload") {
            arguments.retain(|argument| !argument.starts_with("--payload"));
        }
        let run = athena_in(
            folder.path(),
            &[&arguments[..], &["--resume", &flag]].concat(),
        );
        assert_eq!(run.code, Some(2), "{flag}: {run:?}");
        assert!(run.stderr.contains(words), "{flag}: {run:?}");
    }
    drop(emulator);
    archive(folder.path(), "in", 6);
    let port = format!("--port={port}");
    let (_emulator, _) = EmulatorProcess::start(folder.path(), &["--labels=live", &port]);
    let run = scan(folder.path(), &["--resume"]);
    assert_eq!(run.code, Some(2), "other labels: {run:?}");
    assert!(run.stderr.contains("another classifier"), "{run:?}");
    assert_eq!(output(folder.path()).len(), 3, "no line of the other one");
}

#[test]
fn the_folder_goes_away() {
    let (folder, _emulator, _) = place(120);
    let mut child = athena(
        folder.path(),
        &[&SCAN[..], &["--rate=60", "--in-flight=8"]].concat(),
    )
    .stderr(std::process::Stdio::piped())
    .spawn()
    .expect("the binary runs");
    wait_for_lines(&mut child, &folder.path().join("out.jsonl"), 20);
    let (here, away) = (folder.path().join("in"), folder.path().join("away"));
    std::fs::rename(&here, &away).expect("rename");
    let run = Run::from(child.wait_with_output().expect("output"));
    assert_eq!(run.code, Some(8), "{run:?}");
    assert!(run.stderr.contains("cannot read in/"), "{run:?}");
    assert_eq!(failed(folder.path()), 0, "no image is to blame");
    std::fs::rename(&away, &here).expect("rename");
    let resumed = scan(folder.path(), &["--resume"]);
    assert_eq!(resumed.code, Some(0), "{resumed:?}");
    assert_eq!(by_path(&output(folder.path())).len(), 120);
}

#[test]
fn lines_removed_edited_and_added_by_hand() {
    let (folder, _emulator, _) = place(10);
    add_broken(folder.path());
    assert_eq!(scan(folder.path(), &[]).code, Some(1));
    let path = folder.path().join("out.jsonl");
    let text = std::fs::read_to_string(&path).expect("read");
    let kept: Vec<&str> = text
        .lines()
        .filter(|line| !line.contains("0004.bmp"))
        .collect();
    std::fs::write(&path, kept.join("\n") + "\n# seen by the team\n").expect("write");
    let run = scan(folder.path(), &["--resume"]);
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(
        run.stderr.contains("1 classified, 0 failed"),
        "that one alone: {run:?}"
    );
    assert!(
        run.stderr.contains("1 lines are gone") && run.stderr.contains("line 11 is not a result")
    );
    let after = std::fs::read_to_string(&path).expect("read");
    assert!(after.contains("# seen by the team\n"), "{after}");
    let results: Vec<&str> = after.lines().filter(|line| line.starts_with('{')).collect();
    assert_eq!(by_path(&json_lines(&results.join("\n"))).len(), 11);
    let without: Vec<&str> = results
        .into_iter()
        .filter(|line| !line.contains("broken"))
        .collect();
    std::fs::write(&path, without.join("\n") + "\n").expect("write");
    std::fs::remove_file(folder.path().join("in/broken.jpg")).expect("remove");
    assert_eq!(
        scan(folder.path(), &["--resume"]).code,
        Some(0),
        "the failed line is gone"
    );
}
