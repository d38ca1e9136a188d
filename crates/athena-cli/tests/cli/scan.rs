//! `athena scan` through the real binary: nothing lost, nothing twice, whatever happens.

use std::path::Path;

use crate::common::{Run, archive, athena, athena_in, bmp, by_path, json_lines, wait_for_lines};
use serde_json::Value;
use tempfile::tempdir;

const SCAN: [&str; 6] = [
    "scan",
    "in",
    "--emulator",
    "--payload=raw",
    "--output",
    "out.jsonl",
];

fn scan(folder: &Path, flags: &[&str]) -> Run {
    athena_in(folder, &[&SCAN, flags].concat())
}

fn output(folder: &Path) -> Vec<Value> {
    json_lines(&std::fs::read_to_string(folder.join("out.jsonl")).expect("read"))
}

#[test]
fn every_image_has_one_line() {
    let folder = tempdir().expect("folder");
    archive(folder.path(), "in", 100);
    std::fs::write(folder.path().join("in/broken.jpg"), b"\xff\xd8\xff broken").expect("write");
    let run = scan(folder.path(), &[]);
    assert_eq!(run.code, Some(1), "{run:?}");
    let lines = by_path(&output(folder.path()));
    assert_eq!(lines.len(), 101);
    let line = &lines["in/0042.bmp"];
    for field in ["pcsam", "entropy", "width", "height", "bytes", "elapsed_ms"] {
        assert!(line[field].is_number(), "{field}: {line}");
    }
    for field in [
        "status",
        "format",
        "md5",
        "sha1",
        "sha256",
        "correlation_id",
        "time",
    ] {
        assert!(line[field].is_string(), "{field}: {line}");
    }
    assert_eq!(lines["in/broken.jpg"]["status"], "failed");
    assert!(
        run.stderr.contains("100 classified, 1 failed"),
        "{}",
        run.stderr
    );
}

#[test]
fn killed_again_and_again_it_loses_nothing_and_repeats_nothing() {
    let folder = tempdir().expect("folder");
    archive(folder.path(), "in", 200);
    let path = folder.path().join("out.jsonl");
    for round in 0..4 {
        let flags = [
            "--rate=150",
            if round == 0 { "--force" } else { "--resume" },
        ];
        let mut child = athena(folder.path(), &[&SCAN[..], &flags].concat())
            .stderr(std::process::Stdio::null())
            .spawn()
            .expect("the binary runs");
        wait_for_lines(&mut child, &path, 30 * (round + 1));
        child.kill().expect("SIGKILL");
        child.wait().expect("wait");
    }
    let before = output_lines(&path);
    assert!(before.len() < 200, "killed in time");
    let run = scan(folder.path(), &["--resume"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(by_path(&output(folder.path())).len(), 200);
    let after = output_lines(&path);
    let kept = before.iter().filter(|line| after.contains(line)).count();
    assert!(
        kept + 1 >= before.len(),
        "whole lines stay: {kept} of {}",
        before.len()
    );
    let again = scan(folder.path(), &["--resume"]);
    assert_eq!(again.code, Some(0));
    assert_eq!(
        output_lines(&path),
        after,
        "a finished scan has nothing left to do"
    );
}

fn output_lines(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).expect("read");
    text.lines().map(str::to_owned).collect()
}

#[cfg(unix)]
#[test]
fn ctrl_c_finishes_what_is_under_way_and_resume_continues() {
    let folder = tempdir().expect("folder");
    archive(folder.path(), "in", 120);
    let path = folder.path().join("out.jsonl");
    let mut child = athena(folder.path(), &[&SCAN[..], &["--rate=60"]].concat())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("the binary runs");
    wait_for_lines(&mut child, &path, 20);
    crate::common::signal(&child, "INT");
    let run = Run::from(child.wait_with_output().expect("output"));
    assert_eq!(run.code, Some(130), "{run:?}");
    assert!(run.stderr.contains("--resume continues"), "{}", run.stderr);
    let done = output(folder.path()).len();
    assert!((20..120).contains(&done), "{done}");
    assert_eq!(scan(folder.path(), &["--resume"]).code, Some(0));
    assert_eq!(by_path(&output(folder.path())).len(), 120);
}

#[test]
fn the_service_going_away_leaves_the_rest_to_be_resumed() {
    let folder = tempdir().expect("folder");
    archive(folder.path(), "in", 120);
    let path = folder.path().join("out.jsonl");
    let arguments = [
        "scan",
        "in",
        "--env-file=emulator.env",
        "--payload=raw",
        "--output=out.jsonl",
    ];
    let (emulator, ready) = crate::common::EmulatorProcess::start(folder.path(), &[]);
    let host = ready["host"].as_str().expect("host");
    let (_, port) = host.rsplit_once(':').expect("a port");
    let port = format!("--port={port}");
    let flags = ["--rate=60", "--timeout=2s", "--in-flight=16"];
    let mut child = athena(folder.path(), &[&arguments[..], &flags].concat())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("the binary runs");
    wait_for_lines(&mut child, &path, 20);
    drop(emulator);
    let run = Run::from(child.wait_with_output().expect("output"));
    assert!(matches!(run.code, Some(1 | 5)), "{run:?}");
    assert!(run.stderr.contains("--resume"), "{}", run.stderr);
    assert!(by_path(&output(folder.path())).len() < 120);
    let (_emulator, _) = crate::common::EmulatorProcess::start(folder.path(), &[&port]);
    let run = athena_in(folder.path(), &[&arguments[..], &["--resume"]].concat());
    assert_eq!(run.code, Some(0), "{run:?}");
    let lines = by_path(&output(folder.path()));
    assert_eq!(lines.len(), 120);
    assert!(lines.values().all(|line| line["status"] == "classified"));
}

#[test]
fn equal_files_are_sent_once_even_across_a_resume() {
    let folder = tempdir().expect("folder");
    archive(folder.path(), "in", 5);
    for copy in 0..20 {
        let path = folder.path().join(format!("in/copy-{copy}.bmp"));
        std::fs::write(path, bmp(copy % 5)).expect("write");
    }
    let run = scan(folder.path(), &["--dedupe"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    std::fs::write(folder.path().join("in/late.bmp"), bmp(3)).expect("write");
    let run = scan(folder.path(), &["--dedupe", "--resume"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(run.stderr.contains("1  duplicates"), "{}", run.stderr);
    let lines = by_path(&output(folder.path()));
    assert_eq!(lines.len(), 26);
    let sent = lines
        .values()
        .filter(|line| line["duplicate_of"].is_null())
        .count();
    assert_eq!(sent, 5);
    for line in lines.values() {
        let Some(original) = line["duplicate_of"].as_str() else {
            continue;
        };
        assert_eq!(line["weights"], lines[original]["weights"]);
        assert_eq!(line["sha256"], lines[original]["sha256"]);
    }
}

#[test]
fn thresholds_set_the_exit_code_and_matches_are_moved() {
    let folder = tempdir().expect("folder");
    archive(folder.path(), "in", 30);
    let run = scan(folder.path(), &["--fail-over=PCSAM=1"]);
    assert_eq!(run.code, Some(0), "nothing is so high: {run:?}");
    let over = |line: &&Value| line["pcsam"].as_f64().is_some_and(|pcsam| pcsam >= 0.5);
    let lines = output(folder.path());
    let high: Vec<&str> = lines
        .iter()
        .filter(over)
        .filter_map(|l| l["path"].as_str())
        .collect();
    assert!(!high.is_empty() && high.len() < 30, "the pictures differ");
    let flags = [
        "--force",
        "--fail-over=PCSAM=0.5",
        "--on-match=move:quarantine",
    ];
    let run = scan(folder.path(), &flags);
    assert_eq!(run.code, Some(10), "{run:?}");
    for line in output(folder.path()) {
        let path = line["path"].as_str().expect("path");
        let moved = high.contains(&path);
        assert_eq!(
            folder.path().join("quarantine").join(path).exists(),
            moved,
            "{path}"
        );
        assert_eq!(folder.path().join(path).exists(), !moved, "{path}");
    }
}

#[test]
fn matches_are_not_moved_into_what_is_scanned() {
    let folder = tempdir().expect("folder");
    archive(folder.path(), "in", 1);
    let run = scan(
        folder.path(),
        &["--fail-over=PCSAM=0", "--on-match=move:in/found"],
    );
    assert_eq!(run.code, Some(2), "{run:?}");
    assert!(
        run.stderr.contains("inside what is scanned"),
        "{}",
        run.stderr
    );
}

#[test]
fn known_content_is_found_by_its_hash() {
    let folder = tempdir().expect("folder");
    archive(folder.path(), "in", 10);
    let hashes = athena_in(folder.path(), &["hash", "--json", "in/0007.bmp"]);
    let md5 = hashes.json()[0]["md5"].as_str().expect("md5").to_owned();
    std::fs::write(folder.path().join("known.txt"), md5).expect("write");
    let (_emulator, _) =
        crate::common::EmulatorProcess::start(folder.path(), &["--known-hashes=known.txt"]);
    let arguments = [
        "scan",
        "in",
        "--env-file=emulator.env",
        "--payload=raw",
        "--output=out.jsonl",
        "--hash-only",
        "--fail-over=PCSAM=0.99",
    ];
    let run = athena_in(folder.path(), &arguments);
    assert_eq!(run.code, Some(10), "{run:?}");
    let known: Vec<Value> = output(folder.path())
        .into_iter()
        .filter(|line| line["known_match"] == true)
        .collect();
    assert_eq!(known.len(), 1);
    assert_eq!(known[0]["path"], "in/0007.bmp");
}

#[test]
fn a_dry_run_needs_no_account_and_says_what_would_be_sent() {
    let folder = tempdir().expect("folder");
    archive(folder.path(), "in", 4);
    std::fs::write(folder.path().join("in/bad.png"), b"no").expect("write");
    let run = athena_in(folder.path(), &["scan", "in", "--payload=raw", "--dry-run"]);
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(
        run.stdout.contains("in/bad.png: unknown image format"),
        "{}",
        run.stdout
    );
    assert!(
        run.stdout
            .contains("5 images, 3.3 kB to read, 2.4 MB to send"),
        "{}",
        run.stdout
    );
    assert!(run.stdout.contains("4  bmp"), "{}", run.stdout);
}

#[test]
fn an_existing_output_is_not_touched() {
    let folder = tempdir().expect("folder");
    archive(folder.path(), "in", 2);
    std::fs::write(folder.path().join("out.jsonl"), "precious\n").expect("write");
    for flags in [&[][..], &["--resume"]] {
        let run = scan(folder.path(), flags);
        assert!(matches!(run.code, Some(2 | 8)), "{run:?}");
        let text = std::fs::read_to_string(folder.path().join("out.jsonl")).expect("read");
        assert_eq!(text, "precious\n");
    }
    assert_eq!(scan(folder.path(), &["--force"]).code, Some(0));
    let other = scan(folder.path(), &["--resume", "--interpolation=area"]);
    assert_eq!(other.code, Some(2), "{other:?}");
    assert!(other.stderr.contains("other settings"), "{}", other.stderr);
}

#[test]
fn the_report_covers_every_run_and_shows_no_image() {
    let folder = tempdir().expect("folder");
    archive(folder.path(), "in", 10);
    assert_eq!(scan(folder.path(), &[]).code, Some(0));
    archive(folder.path(), "in", 15);
    std::fs::write(folder.path().join("in/<b>.jpg"), b"broken").expect("write");
    let run = scan(folder.path(), &["--resume", "--report=report.html"]);
    assert_eq!(run.code, Some(1), "{run:?}");
    let html = std::fs::read_to_string(folder.path().join("report.html")).expect("read");
    assert!(html.contains("<dt>Images</dt><dd>16</dd>"), "{html}");
    assert!(html.contains("in/&lt;b&gt;.jpg") && html.contains("unknown_format"));
    assert!(!html.contains("<img") && !html.contains("https:"));
}

#[test]
fn results_can_go_to_a_stream() {
    let folder = tempdir().expect("folder");
    archive(folder.path(), "in", 12);
    for output in ["-", "/dev/stdout"] {
        let arguments = [
            "scan",
            "in",
            "--emulator",
            "--payload=raw",
            "--output",
            output,
        ];
        let run = athena_in(folder.path(), &arguments);
        assert_eq!(run.code, Some(0), "{output}: {run:?}");
        assert_eq!(by_path(&run.json()).len(), 12);
        assert!(run.stderr.contains("cannot be resumed"), "{run:?}");
        for flag in ["--resume", "--dedupe"] {
            let run = athena_in(folder.path(), &[&arguments[..], &[flag]].concat());
            assert_eq!(run.code, Some(2), "{output} {flag}: {run:?}");
            assert!(run.stdout.is_empty());
        }
    }
    let left = std::fs::read_dir(folder.path()).expect("list").count();
    assert_eq!(left, 1, "no journal, nothing but the pictures");
}

#[cfg(unix)]
#[test]
fn a_list_that_nobody_writes_is_waited_for_until_the_first_signal() {
    let folder = tempdir().expect("folder");
    let list = folder.path().join("list");
    let made = std::process::Command::new("mkfifo").arg(&list).status();
    assert!(made.expect("mkfifo runs").success());
    let arguments = ["scan", "--from=list", "--emulator", "--output=out.jsonl"];
    let mut child = athena(folder.path(), &arguments).spawn().expect("spawned");
    // Now it has the list open, and waits for what is in it.
    let writer = std::fs::OpenOptions::new().write(true).open(&list);
    crate::common::signal(&child, "TERM");
    let until = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while child.try_wait().expect("a child").is_none() {
        assert!(std::time::Instant::now() < until, "it waits on");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    drop(writer);
}

#[cfg(unix)]
#[test]
fn a_fifo_takes_results_and_gives_no_image() {
    let folder = tempdir().expect("folder");
    archive(folder.path(), "in", 5);
    let fifo = |name: &str| {
        let path = folder.path().join(name);
        let status = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(status.expect("mkfifo runs").success());
        path
    };
    let pipe = fifo("pipe");
    let reader = std::thread::spawn(move || std::fs::read_to_string(pipe).expect("read"));
    let arguments = ["scan", "in", "--emulator", "--payload=raw", "--output=pipe"];
    let run = athena_in(folder.path(), &arguments);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(
        by_path(&json_lines(&reader.join().expect("joined"))).len(),
        5
    );

    fifo("in/trap.jpg");
    let run = scan(folder.path(), &["--log=warn"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(run.stderr.contains("1  FIFOs left out"), "{run:?}");
    assert!(run.stderr.contains("in/trap.jpg"), "listed: {run:?}");
    let run = athena_in(folder.path(), &["classify", "--emulator", "in/trap.jpg"]);
    assert_eq!(run.code, Some(1), "at once: {run:?}");
    assert!(run.stdout.contains("it is a FIFO"), "{run:?}");
}

#[test]
fn files_are_chosen_by_size_and_age_and_taken_once() {
    let folder = tempdir().expect("folder");
    archive(folder.path(), "in", 4);
    std::fs::write(folder.path().join("in/large.bmp"), vec![0; 50_000]).expect("write");
    let old = std::fs::File::options()
        .write(true)
        .open(folder.path().join("in/0000.bmp"));
    let long_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(864_000);
    old.expect("open").set_modified(long_ago).expect("time");
    let dry = |flags: &[&str]| athena_in(folder.path(), &[&["scan", "--dry-run"], flags].concat());
    let count = |flags: &[&str], images: &str| {
        let run = dry(flags);
        assert!(run.stdout.contains(images), "{flags:?}: {run:?}");
    };
    count(&["in"], "5 images");
    count(&["in", "--max-size=10kB"], "4 images");
    count(&["in", "--min-size=10kB"], "1 images");
    count(&["in", "--newer-than=7d"], "4 images");
    count(&["in/large.bmp", "--max-size=10kB"], "1 images");

    let absolute = folder.path().join("in").display().to_string();
    let twice = [
        "scan",
        "in",
        "./in",
        &absolute,
        "--emulator",
        "--payload=raw",
        "--output=o",
    ];
    let run = athena_in(
        folder.path(),
        &[&twice[..], &["--max-size=10kB", "--canonical"]].concat(),
    );
    assert_eq!(run.code, Some(0), "{run:?}");
    let text = std::fs::read_to_string(folder.path().join("o")).expect("read");
    assert_eq!(text.lines().count(), 4);
    let run = athena_in(
        folder.path(),
        &[&twice[..], &["--max-size=10kB", "--canonical", "--resume"]].concat(),
    );
    assert!(run.stderr.contains("0 classified"), "{run:?}");
}

#[test]
fn one_image_in_two_seconds_is_a_rate() {
    let folder = tempdir().expect("folder");
    archive(folder.path(), "in", 1);
    assert_eq!(scan(folder.path(), &["--rate=0.5"]).code, Some(0));
    for rate in ["0", "-1", "NaN", "1e-9"] {
        assert_eq!(
            scan(folder.path(), &[&format!("--rate={rate}")]).code,
            Some(2),
            "{rate}"
        );
    }
}

#[test]
fn the_summary_is_for_schedulers() {
    let folder = tempdir().expect("folder");
    archive(folder.path(), "in", 12);
    std::fs::write(folder.path().join("in/broken.jpg"), b"\xff\xd8\xff broken").expect("write");
    let flags = [
        "--resume",
        "--fail-over=PCSAM=0.5",
        "--summary=summary.json",
    ];
    for run in ["fresh", "resumed"] {
        assert_eq!(scan(folder.path(), &flags).code, Some(10), "{run}");
        let text = std::fs::read_to_string(folder.path().join("summary.json")).expect("read");
        let summary: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(summary["exit_code"], 10);
        assert_eq!(summary["whole"]["classified"], 12, "{run}: {summary}");
        assert_eq!(summary["whole"]["failed"], 1);
        let matched = output(folder.path())
            .iter()
            .filter(|line| line["pcsam"].as_f64() >= Some(0.5))
            .count();
        assert_eq!(summary["whole"]["matched"], matched);
        let new = if run == "fresh" { 13 } else { 0 };
        assert_eq!(summary["run"]["images"], new, "{run}: {summary}");
        assert_eq!(summary["finished_earlier"], 13 - new);
        assert_eq!(summary["settings"]["payload"], "raw");
        assert_eq!(summary["fail_over"][0], "PCSAM=0.5");
        assert!(summary["error"].is_null());
    }
    std::fs::remove_file(folder.path().join("summary.json")).expect("remove");
    let flags = [
        "--resume",
        "--fail-over=NoSuch=0.5",
        "--summary=summary.json",
    ];
    assert_eq!(scan(folder.path(), &flags).code, Some(3));
    let text = std::fs::read_to_string(folder.path().join("summary.json")).expect("read");
    let summary: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(summary["exit_code"], 3);
    assert!(
        summary["error"]
            .as_str()
            .expect("an error")
            .contains("NoSuch")
    );
}

#[test]
fn a_list_that_breaks_off_ends_the_scan_and_says_what_is_not_known() {
    use std::io::Write as _;

    let folder = tempdir().expect("folder");
    archive(folder.path(), "in", 2);
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed
        .write_all(b"\xef\xbb\xbfin/0000.bmp\nin/0001.bmp\n")
        .expect("packs");
    let packed = packed.finish().expect("packs");
    for (name, list) in [
        ("short.txt.gz", [&packed[..], &packed[..20]].concat()),
        ("behind.txt.gz", [&packed[..], b"behind"].concat()),
    ] {
        std::fs::write(folder.path().join(name), list).expect("write");
        let run = athena_in(
            folder.path(),
            &[
                "scan",
                "--from",
                name,
                "--emulator",
                "--payload=raw",
                "--force",
                "--output=out.jsonl",
            ],
        );
        assert_eq!(run.code, Some(1), "{name}: {run:?}");
        assert!(run.stderr.contains("not listed: "), "{name}: {run:?}");
        assert_eq!(by_path(&output(folder.path())).len(), 2, "{name}: {run:?}");
    }
}
