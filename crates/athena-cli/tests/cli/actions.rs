//! `--on-match`: what is moved is what was judged, every failure is in the output, nothing is lost.

use std::path::Path;

use crate::common::{Run, archive, athena, athena_in, by_path, json_lines, wait_for_lines};
use serde_json::Value;
use tempfile::tempdir;

const SCAN: [&str; 6] = [
    "scan",
    "in",
    "--emulator",
    "--payload=raw",
    "--output=out.jsonl",
    "--fail-over=PCSAM=0.5",
];

fn scan(folder: &Path, flags: &[&str]) -> Run {
    athena_in(folder, &[&SCAN, flags].concat())
}

fn output(folder: &Path) -> Vec<Value> {
    lines_of(&folder.join("out.jsonl"))
}

fn lines_of(path: &Path) -> Vec<Value> {
    json_lines(&std::fs::read_to_string(path).expect("read"))
}

fn is_match(line: &Value) -> bool {
    line["pcsam"].as_f64().is_some_and(|pcsam| pcsam >= 0.5)
}

#[test]
fn a_move_is_in_the_line_and_in_the_log() {
    let folder = tempdir().expect("folder");
    archive(folder.path(), "in", 30);
    let flags = ["--on-match=move:quarantine", "--action-log=actions.jsonl"];
    let run = scan(folder.path(), &flags);
    assert_eq!(run.code, Some(10), "{run:?}");
    let lines = by_path(&output(folder.path()));
    assert_eq!(lines.len(), 30);
    let log = by_path(&lines_of(&folder.path().join("actions.jsonl")));
    for (path, line) in &lines {
        assert_eq!(folder.path().join(path).exists(), !is_match(line), "{path}");
        if !is_match(line) {
            assert!(line["action"].is_null(), "{line}");
            continue;
        }
        let to = line["action"]["to"].as_str().expect("to");
        assert_eq!(to, format!("quarantine/{path}"));
        assert!(folder.path().join(to).exists());
        assert_eq!(line["action"]["kind"], "move");
        let entry = &log[path];
        for digest in ["judged_sha256", "sha256_before", "sha256_after"] {
            assert_eq!(entry[digest], line["sha256"], "{digest}");
        }
        assert_eq!(entry["to"]["path"], to);
    }
    assert_eq!(
        log.len(),
        lines.values().filter(|line| is_match(line)).count()
    );
    assert!(!folder.path().join("out.jsonl.actions").exists());
    let again = scan(folder.path(), &["--resume", flags[0], flags[1]]);
    assert_eq!(again.code, Some(10));
    assert_eq!(by_path(&output(folder.path())), lines, "nothing is due");
}

#[cfg(unix)]
#[test]
fn a_failed_action_is_named_and_taken_again() {
    let folder = tempdir().expect("folder");
    archive(folder.path(), "in", 30);
    // Nothing can be made below a file.
    std::fs::write(folder.path().join("quarantine"), "in the way").expect("write");
    let flags = ["--resume", "--on-match=move:quarantine"];
    let run = scan(folder.path(), &flags);
    assert_eq!(run.code, Some(10), "{run:?}");
    let lines = by_path(&output(folder.path()));
    let failed = lines.values().find(|line| is_match(line)).expect("a match");
    let why = failed["action"]["error"].as_str().expect("an error");
    assert!(why.contains("cannot put it into quarantine"), "{why}");
    assert!(
        run.stderr.contains("actions of --on-match failed"),
        "{run:?}"
    );
    assert!(run.stderr.contains(&format!(".bmp: {why}")), "{run:?}");
    std::fs::remove_file(folder.path().join("quarantine")).expect("remove");
    let run = scan(folder.path(), &flags);
    assert_eq!(run.code, Some(10), "{run:?}");
    assert!(!run.stderr.contains("failed:"), "{run:?}");
    let after = by_path(&output(folder.path()));
    assert_eq!(after.len(), 30);
    for (path, line) in &after {
        assert!(line["action"]["error"].is_null(), "{line}");
        assert_eq!(
            folder.path().join("quarantine").join(path).exists(),
            is_match(line)
        );
    }
}

#[test]
fn a_scan_without_an_action_gets_it_by_a_resume() {
    let folder = tempdir().expect("folder");
    archive(folder.path(), "in", 20);
    assert_eq!(scan(folder.path(), &[]).code, Some(10));
    let changed = output(folder.path())
        .into_iter()
        .find(is_match)
        .expect("a match");
    let changed = changed["path"].as_str().expect("path").to_owned();
    std::fs::write(folder.path().join(&changed), crate::common::bmp(7777)).expect("write");
    let run = scan(folder.path(), &["--resume", "--on-match=move:quarantine"]);
    assert_eq!(run.code, Some(10), "{run:?}");
    assert!(
        folder.path().join(&changed).exists(),
        "never judged, never moved"
    );
    for (path, line) in by_path(&output(folder.path())) {
        let moved = folder.path().join("quarantine").join(&path).exists();
        assert_eq!(moved, is_match(&line) && path != changed, "{line}");
        if path == changed {
            let why = line["action"]["error"].as_str().expect("an error");
            assert!(why.contains("no longer the file that was judged"), "{why}");
        }
    }
}

#[cfg(unix)]
#[test]
fn links_are_refused_and_real_paths_are_compared() {
    let folder = tempdir().expect("folder");
    archive(folder.path(), "elsewhere", 20);
    std::fs::create_dir(folder.path().join("in")).expect("folder");
    for number in 0..20 {
        let name = format!("{number:04}.bmp");
        let target = folder.path().join("elsewhere").join(&name);
        std::os::unix::fs::symlink(target, folder.path().join("in").join(name)).expect("link");
    }
    let none = scan(folder.path(), &[]);
    assert_eq!(none.code, Some(7), "{none:?}");
    assert!(
        none.stderr.contains("20 symbolic links") && none.stderr.contains("--follow"),
        "{none:?}"
    );
    let run = scan(
        folder.path(),
        &["--resume", "--follow", "--on-match=move:quarantine"],
    );
    assert_eq!(run.code, Some(10), "{run:?}");
    let line = output(folder.path())
        .into_iter()
        .find(is_match)
        .expect("a match");
    let why = line["action"]["error"].as_str().expect("an error");
    assert!(
        why.contains("symbolic link") && why.contains("elsewhere"),
        "{why}"
    );
    assert!(!folder.path().join("quarantine").exists());
    std::os::unix::fs::symlink(folder.path().join("in"), folder.path().join("alias"))
        .expect("link");
    let run = scan(
        folder.path(),
        &["--force", "--follow", "--on-match=move:alias/found"],
    );
    assert_eq!(run.code, Some(2), "{run:?}");
    assert!(run.stderr.contains("inside what is scanned"), "{run:?}");
}

#[cfg(unix)]
#[test]
fn a_program_gets_the_line_a_time_limit_and_company() {
    let folder = tempdir().expect("folder");
    archive(folder.path(), "in", 20);
    let script = folder.path().join("notify");
    write_script(
        &script,
        "cat > \"$1.line\"\nenv | grep -c SECRET > \"$1.env\" || true",
    );
    let run = scan(folder.path(), &["--on-match=exec:./notify"]);
    assert_eq!(run.code, Some(10), "{run:?}");
    for line in output(folder.path()).iter().filter(|line| is_match(line)) {
        assert_eq!(line["action"], serde_json::json!({"kind": "exec"}));
        let path = folder.path().join(line["path"].as_str().expect("path"));
        let given = lines_of(&path.with_extension("bmp.line"));
        assert_eq!(given[0]["sha256"], line["sha256"]);
    }
    write_script(&script, "sleep 60 & echo $! > grandchild; wait");
    let started = std::time::Instant::now();
    let run = scan(
        folder.path(),
        &["--force", "--on-match=exec:./notify", "--action-timeout=1s"],
    );
    assert!(started.elapsed().as_secs() < 50, "{run:?}");
    assert_eq!(run.code, Some(10));
    assert!(run.stderr.contains("took more than 1s"), "{run:?}");
    let grandchild = std::fs::read_to_string(folder.path().join("grandchild")).expect("read");
    assert_gone(grandchild.trim());
}

#[cfg(unix)]
#[test]
fn a_program_gets_the_environment_without_what_opens_the_service() {
    let folder = tempdir().expect("folder");
    archive(folder.path(), "in", 20);
    write_script(&folder.path().join("notify"), "env >> seen");
    let arguments = [&SCAN[..], &["--on-match=exec:./notify"]].concat();
    let mut command = athena(folder.path(), &arguments);
    command
        .env("PATH", std::env::var_os("PATH").expect("a path"))
        .env("ATHENA_TOKEN", "hunter2-token")
        .env("OAUTH_CLIENT_SECRET", "hunter2-secret")
        .env("TICKETS", "open");
    let run = crate::common::run(&mut command);
    assert_eq!(run.code, Some(10), "{run:?}");
    let seen = std::fs::read_to_string(folder.path().join("seen")).expect("read");
    assert!(seen.contains("TICKETS=open"), "{seen}");
    assert!(!seen.contains("hunter2"), "{seen}");
}

#[cfg(unix)]
fn write_script(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, format!("#!/bin/sh\n{text}\n")).expect("write");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("mode");
}

/// Waits for the system to clear a killed process away.
#[cfg(unix)]
fn assert_gone(pid: &str) {
    for _ in 0..200 {
        let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        if state.is_empty() || state.contains(") Z ") {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    panic!("process {pid} is still there");
}

#[cfg(target_os = "linux")]
#[test]
fn the_second_ctrl_c_ends_the_programs_and_resume_takes_them_up() {
    let folder = tempdir().expect("folder");
    archive(folder.path(), "in", 20);
    let script = folder.path().join("notify");
    write_script(&script, "echo $$ >> started; exec sleep 600");
    let mut child = athena(
        folder.path(),
        &[&SCAN[..], &["--on-match=exec:./notify"]].concat(),
    )
    .stderr(std::process::Stdio::null())
    .spawn()
    .expect("the binary runs");
    wait_for_lines(&mut child, &folder.path().join("started"), 2);
    crate::common::signal(&child, "INT");
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert!(
        child.try_wait().expect("wait").is_none(),
        "it lets them finish"
    );
    crate::common::signal(&child, "INT");
    assert_eq!(child.wait().expect("wait").code(), Some(130));
    for pid in std::fs::read_to_string(folder.path().join("started"))
        .expect("read")
        .lines()
    {
        assert_gone(pid);
    }
    write_script(&script, "exit 0");
    let without = scan(folder.path(), &["--resume"]);
    assert_eq!(without.code, Some(10), "{without:?}");
    let stopped = |line: &&Value| line["action"]["error"].is_string();
    assert!(
        output(folder.path()).iter().any(|line| stopped(&line)),
        "it is said"
    );
    let run = scan(folder.path(), &["--resume", "--on-match=exec:./notify"]);
    assert_eq!(run.code, Some(10), "{run:?}");
    let lines = by_path(&output(folder.path()));
    assert_eq!(lines.len(), 20);
    for line in lines.values() {
        assert_eq!(line["action"]["kind"] == "exec", is_match(line), "{line}");
        assert!(line["action"]["error"].is_null(), "{line}");
    }
}

#[test]
fn killed_again_and_again_every_match_is_moved_once() {
    let folder = tempdir().expect("folder");
    archive(folder.path(), "in", 160);
    let path = folder.path().join("out.jsonl");
    let flags = ["--rate=120", "--on-match=move:quarantine", "--resume"];
    for round in 1..4 {
        let mut child = athena(folder.path(), &[&SCAN[..], &flags].concat())
            .stderr(std::process::Stdio::null())
            .spawn()
            .expect("the binary runs");
        wait_for_lines(&mut child, &path, 30 * round);
        child.kill().expect("SIGKILL");
        child.wait().expect("wait");
    }
    let run = scan(folder.path(), &flags[1..]);
    assert_eq!(run.code, Some(10), "{run:?}");
    let lines = by_path(&output(folder.path()));
    assert_eq!(lines.len(), 160, "moved or not, each has its line");
    let mut moved = 0;
    for (path, line) in &lines {
        assert_eq!(line["status"], "classified", "{line}");
        let here = folder.path().join(path).exists();
        let there = folder.path().join("quarantine").join(path).exists();
        assert_eq!((here, there), (!is_match(line), is_match(line)), "{line}");
        moved += usize::from(there);
    }
    let files = std::fs::read_dir(folder.path().join("quarantine/in")).expect("list");
    assert_eq!(files.count(), moved, "and no file twice");
}
