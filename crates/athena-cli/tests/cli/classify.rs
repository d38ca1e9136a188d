//! `athena classify` through the real binary: output, input, exit codes.

use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use crate::common::{archive, athena, athena_in, bmp, by_path, pictures, run};
use tempfile::tempdir;

#[test]
fn the_pictures_of_the_examples_make_a_table() {
    let folder = tempdir().expect("folder");
    let pictures = pictures();
    let path = pictures.to_str().expect("UTF-8");
    let run = athena_in(folder.path(), &["classify", "--emulator", path]);
    assert_eq!(run.code, Some(0), "{run:?}");
    let header = run.stdout.lines().next().expect("header");
    for column in ["FILE", "PCSAM", "ENTROPY", "KNOWN", "WEIGHTS"] {
        assert!(header.contains(column), "{header}");
    }
    for name in ["lakeside.jpg", "forest.png", "seashore.webp"] {
        let row = run
            .stdout
            .lines()
            .find(|row| row.contains(name))
            .expect(name);
        assert!(row.contains("Lakeside") && row.contains("no"), "{row}");
    }
    assert!(!run.stdout.contains('\u{1b}'), "colour without a terminal");
    assert!(run.stderr.contains("classified in"), "{}", run.stderr);
}

#[test]
fn a_broken_file_is_reported_and_the_others_are_classified() {
    let folder = tempdir().expect("folder");
    archive(folder.path(), "in", 3);
    let write = |name: &str, bytes: &[u8]| {
        std::fs::write(folder.path().join("in").join(name), bytes).expect("write");
    };
    write("text.jpg", b"this is not a picture");
    write("cut.bmp", &bmp(9)[..80]);
    write("readme.txt", b"not looked at");
    let run = athena_in(folder.path(), &["classify", "--emulator", "in"]);
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(
        run.stdout.contains("✗ unknown image format"),
        "{}",
        run.stdout
    );
    assert_eq!(run.stdout.matches("Lakeside").count(), 3);
    assert!(
        run.stderr
            .contains("3 classified, 2 failed, 1 other files skipped"),
        "{}",
        run.stderr
    );

    let run = athena_in(folder.path(), &["classify", "--emulator", "--json", "in"]);
    assert_eq!(run.code, Some(1));
    let lines = run.json();
    let paths: Vec<&str> = lines
        .iter()
        .filter_map(|line| line["path"].as_str())
        .collect();
    let expected = [
        "in/0000.bmp",
        "in/0001.bmp",
        "in/0002.bmp",
        "in/cut.bmp",
        "in/text.jpg",
    ];
    assert_eq!(paths, expected, "in the order of the input");
    let good = &lines[0];
    assert_eq!(good["status"], "classified");
    assert_eq!(
        (&good["format"], &good["width"]),
        (&"bmp".into(), &16.into())
    );
    assert!(good["pcsam"].is_f64() && good["weights"]["UnknownCSAM-PCSAM"].is_f64());
    assert_eq!(good["known_match"], false);
    assert_eq!(good["md5"].as_str().map(str::len), Some(32));
    let bad = &lines[4];
    assert_eq!(bad["status"], "failed");
    assert_eq!(bad["error"]["kind"], "unknown_format");
    assert_eq!(
        bad["known_match"], false,
        "a broken file is looked up by its hash"
    );
}

#[test]
fn a_stream_and_single_calls_agree() {
    let folder = tempdir().expect("folder");
    archive(folder.path(), "in", 40);
    let classify = |via: &str| {
        let arguments = [
            "classify",
            "--emulator",
            "--json",
            "--payload=raw",
            "--via",
            via,
            "in",
        ];
        let run = athena_in(folder.path(), &arguments);
        assert_eq!(run.code, Some(0), "{run:?}");
        let lines = by_path(&run.json());
        let weights = lines
            .into_iter()
            .map(|(path, line)| (path, line["weights"].clone()));
        weights.collect::<Vec<_>>()
    };
    let streamed = classify("stream");
    assert_eq!(streamed.len(), 40);
    assert_eq!(streamed, classify("unary"));
}

#[test]
fn csv_has_a_header_and_a_row_for_each_image() {
    let folder = tempdir().expect("folder");
    archive(folder.path(), "in, \"quoted\"", 2);
    let run = athena_in(
        folder.path(),
        &["classify", "--emulator", "--format=csv", "in, \"quoted\""],
    );
    assert_eq!(run.code, Some(0), "{run:?}");
    let mut rows = csv::Reader::from_reader(run.stdout.as_bytes());
    assert_eq!(rows.headers().expect("header").get(0), Some("path"));
    let paths: Vec<String> = rows
        .records()
        .map(|row| row.expect("row")[0].to_owned())
        .collect();
    assert_eq!(
        paths,
        ["in, \"quoted\"/0000.bmp", "in, \"quoted\"/0001.bmp"]
    );
}

#[test]
fn standard_input_is_an_image_or_a_list() {
    let folder = tempdir().expect("folder");
    std::fs::write(folder.path().join("a\nb.bmp"), bmp(1)).expect("write");
    let feed = |arguments: &[&str], input: &[u8]| {
        let mut child = athena(folder.path(), arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let mut stdin = child.stdin.take().expect("piped");
        stdin.write_all(input).expect("write");
        drop(stdin);
        crate::common::Run::from(child.wait_with_output().expect("output"))
    };
    let image = feed(&["classify", "--emulator", "--json", "-"], &bmp(1));
    assert_eq!(image.code, Some(0), "{image:?}");
    assert_eq!(image.json()[0]["path"], "-");
    let list = feed(
        &["classify", "--emulator", "--json", "--from=-", "-0"],
        b"a\nb.bmp\0",
    );
    assert_eq!(list.code, Some(0), "{list:?}");
    assert_eq!(list.json()[0]["path"], "a\nb.bmp");
    assert_eq!(list.json()[0]["weights"], image.json()[0]["weights"]);
}

#[cfg(unix)]
#[test]
fn a_path_that_is_not_utf8_is_classified_and_keeps_its_bytes() {
    use std::os::unix::ffi::OsStrExt;
    let folder = tempdir().expect("folder");
    let name = std::ffi::OsStr::from_bytes(b"a\xff.bmp");
    std::fs::write(folder.path().join(name), bmp(1)).expect("write");
    let run = athena_in(folder.path(), &["classify", "--emulator", "--json", "."]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(run.json()[0]["path_bytes"], "2e2f61ff2e626d70");
}

#[test]
fn hash_only_sends_no_pixels() {
    let folder = tempdir().expect("folder");
    archive(folder.path(), "in", 1);
    let run = athena_in(
        folder.path(),
        &["classify", "--emulator", "--hash-only", "--json", "in"],
    );
    assert_eq!(run.code, Some(0), "{run:?}");
    let line = &run.json()[0];
    assert_eq!(line["known_match"], false);
    assert!(line["pcsam"].is_null() && line["width"].is_null());
}

#[test]
fn colour_can_be_forced_and_forbidden() {
    let folder = tempdir().expect("folder");
    archive(folder.path(), "in", 1);
    let colour = |variable: Option<&str>, flags: &[&str]| {
        let arguments = [&["classify", "--emulator", "in"], flags].concat();
        let mut command = athena(folder.path(), &arguments);
        if let Some(name) = variable {
            command.env(name, "1");
        }
        run(&mut command).stdout.contains('\u{1b}')
    };
    assert!(colour(None, &["--color=always"]));
    assert!(!colour(None, &["--color=never"]));
    assert!(!colour(Some("NO_COLOR"), &[]));
}

#[test]
fn the_settings_of_an_env_file_reach_a_running_emulator() {
    let folder = tempdir().expect("folder");
    archive(folder.path(), "in", 1);
    let (_emulator, ready) = crate::common::EmulatorProcess::start(folder.path(), &[]);
    assert!(
        ready["host"]
            .as_str()
            .is_some_and(|host| host.starts_with("localhost:"))
    );
    let run = athena_in(
        folder.path(),
        &["classify", "--env-file=emulator.env", "in"],
    );
    assert_eq!(run.code, Some(0), "{run:?}");
    std::fs::rename(
        folder.path().join("emulator.env"),
        folder.path().join(".env"),
    )
    .expect("rename");
    let run = athena_in(folder.path(), &["classify", "in"]);
    assert_eq!(run.code, Some(0), "read without a flag: {run:?}");
}

#[cfg(unix)]
#[test]
fn a_reader_that_leaves_is_no_error_and_a_full_disk_is_one() {
    let folder = tempdir().expect("folder");
    archive(folder.path(), "in", 1);
    let mut child = athena(folder.path(), &["hash", "in"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    drop(child.stdout.take());
    let run = crate::common::Run::from(child.wait_with_output().expect("output"));
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));

    let full = Path::new("/dev/full");
    if full.exists() {
        let disk = std::fs::OpenOptions::new()
            .write(true)
            .open(full)
            .expect("open");
        let output = athena(folder.path(), &["hash", "in"]).stdout(disk).output();
        let run = crate::common::Run::from(output.expect("the binary runs"));
        assert_eq!(run.code, Some(8));
        assert!(run.stderr.contains("the disk is full"), "{}", run.stderr);
    }
}
