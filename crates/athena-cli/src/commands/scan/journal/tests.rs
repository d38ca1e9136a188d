use super::*;

fn settings(payload: &str) -> Settings {
    Settings::from_iter([("payload", payload.to_owned())])
}

fn record(n: u32) -> Record {
    let mut record = Record::of_path(Path::new(&format!("{n}.jpg")));
    record.sha256 = Some(format!("{:032x}{:032x}", n % 3 + 1, 0));
    record
}

fn key(n: u32) -> Key {
    Keys::AsGiven.of_path(Path::new(&format!("{n}.jpg")))
}

fn line(n: u32) -> Line {
    let record = record(n);
    let mut text = serde_json::to_vec(&record).expect("JSON");
    text.push(b'\n');
    Line {
        path: key(n),
        content: content_of(&record),
        text,
    }
}

fn scan(path: &Path, lines: std::ops::Range<u32>) -> Journal {
    let mut journal = Journal::create(path, &settings("raw"), true).expect("create");
    for n in lines {
        journal.append(&[line(n)]).expect("append");
    }
    journal
}

fn resume(path: &Path) -> (Journal, Earlier) {
    let wanted = Wanted {
        contents: true,
        ..Wanted::default()
    };
    Journal::resume(path, &settings("raw"), wanted).expect("resume")
}

/// The images that the output has a line of.
fn numbers(path: &Path) -> Vec<u32> {
    let text = std::fs::read_to_string(path).expect("read");
    let number = |line: &str| {
        let record: Record = serde_json::from_str(line).ok()?;
        record.name().strip_suffix(".jpg")?.parse().ok()
    };
    text.lines().filter_map(number).collect()
}

/// Does what is not finished, as a resumed scan does.
fn complete(path: &Path, all: std::ops::Range<u32>) -> Earlier {
    let (mut journal, earlier) = resume(path);
    for n in all {
        if !earlier.paths.contains(key(n)) {
            journal.append(&[line(n)]).expect("append");
            if let Some(old) = earlier.retry.get(&key(n)) {
                journal.supersede(*old);
            }
        }
    }
    journal.finish().expect("finish");
    let (_, again) = resume(path);
    assert_eq!(again.notes, Vec::<String>::new(), "all is in order");
    earlier
}

#[test]
fn cut_anywhere_it_resumes_with_every_whole_line_and_no_other() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("out.jsonl");
    drop(scan(&path, 0..3));
    let output = std::fs::read(&path).expect("read");
    let journal = std::fs::read(journal_path(&path)).expect("read");
    let all: Vec<u32> = (0..3).collect();
    for cut in format::header(&settings("raw").encode()).len()..=journal.len() {
        std::fs::write(&path, &output).expect("write");
        std::fs::write(journal_path(&path), &journal[..cut]).expect("write");
        let earlier = complete(&path, 0..3);
        assert_eq!(earlier.paths.len(), 3, "whole lines count: cut at {cut}");
        assert_eq!(numbers(&path), all);
    }
    for cut in 0..=output.len() {
        std::fs::write(&path, &output[..cut]).expect("write");
        std::fs::write(journal_path(&path), &journal).expect("write");
        let earlier = complete(&path, 0..3);
        let lines = output[..cut].iter().filter(|byte| **byte == b'\n').count();
        // Without its line break a line is there all the same.
        let whole = lines + usize::from(output.get(cut) == Some(&b'\n'));
        assert_eq!(earlier.paths.len(), whole, "output cut at {cut}");
        assert_eq!(numbers(&path), all);
    }
}

#[test]
fn a_journal_stopped_before_its_header_was_whole_starts_again() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("out.jsonl");
    let header = format::header(&settings("raw").encode());
    for cut in 0..header.len() {
        std::fs::write(&path, b"").expect("write");
        std::fs::write(journal_path(&path), &header[..cut]).expect("write");
        assert!(complete(&path, 0..3).paths.is_empty());
        assert_eq!(numbers(&path), [0, 1, 2]);
    }
}

#[test]
fn a_line_lost_by_a_power_failure_is_done_again() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("out.jsonl");
    let mut journal = scan(&path, 0..5);
    journal.mark().expect("mark");
    journal.append(&[line(5), line(6)]).expect("append");
    drop(journal);
    let whole = std::fs::read(&path).expect("read");
    let zeroed = |from: usize, to: usize| {
        let mut output = whole.clone();
        output[from..to].fill(0);
        output
    };
    let at = |n: usize| line_starts(&whole)[n];
    for (output, kept) in [
        (zeroed(whole.len() - 3, whole.len()), 6),
        // A block that holds the break between two lines.
        (zeroed(at(6) - 9, at(6) + 9), 5),
        (zeroed(at(5), at(6) - 1), 6),
    ] {
        std::fs::write(&path, &output).expect("write");
        drop(scan_journal_again(&path));
        let earlier = complete(&path, 0..7);
        assert_eq!(earlier.paths.len(), kept);
        let mut found = numbers(&path);
        found.sort_unstable();
        assert_eq!(found, (0..7).collect::<Vec<_>>());
        assert!(!std::fs::read(&path).expect("read").contains(&0));
    }
}

/// Puts the journal back that belongs to lines 0 to 6, marked after 5.
fn scan_journal_again(path: &Path) -> Vec<u8> {
    let other = path.with_extension("other");
    let mut journal = scan(&other, 0..5);
    journal.mark().expect("mark");
    journal.append(&[line(5), line(6)]).expect("append");
    drop(journal);
    let bytes = std::fs::read(journal_path(&other)).expect("read");
    std::fs::write(journal_path(path), &bytes).expect("write");
    bytes
}

fn line_starts(text: &[u8]) -> Vec<usize> {
    let breaks = text.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    std::iter::once(0)
        .chain(breaks.map(|(at, _)| at + 1))
        .collect()
}

#[test]
fn what_was_changed_by_hand_is_handled_line_by_line() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("out.jsonl");
    scan(&path, 0..6).finish().expect("finish");
    let text = std::fs::read_to_string(&path).expect("read");
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines[1] = lines[1].replace("\"failed\"", "\"classified\"");
    lines.remove(3);
    lines.insert(0, "# looked at by me".to_owned());
    lines.push(serde_json::to_string(&record(99)).expect("JSON"));
    lines.push(lines[1].clone());
    lines.push("a note without a line break".to_owned());
    std::fs::write(&path, lines.join("\n")).expect("write");
    let earlier = complete_with_notes(&path);
    assert_eq!(
        earlier.paths.len(),
        6,
        "five of six, and one that was added"
    );
    assert!(!earlier.paths.contains(key(3)));
    assert_eq!(earlier.tally.classified, 1, "as edited");
    let notes = earlier.notes.join("\n");
    for part in [
        "1 lines are gone",
        "1 lines were edited",
        "1 lines that the journal did not know",
        "line 1 (and 2 more) is not a result",
    ] {
        assert!(notes.contains(part), "{part}: {notes}");
    }
    let after = std::fs::read_to_string(&path).expect("read");
    assert!(
        after.starts_with("# looked at by me\n")
            && after.contains("\na note without a line break\n")
    );
}

/// As [`complete`], for an output with foreign lines, which stay.
fn complete_with_notes(path: &Path) -> Earlier {
    let (mut journal, earlier) = resume(path);
    journal.append(&[line(3)]).expect("append");
    journal.finish().expect("finish");
    let (_, again) = resume(path);
    assert_eq!(again.paths.len(), 7);
    assert_eq!(again.notes, Vec::<String>::new(), "said once");
    earlier
}

#[test]
fn a_line_that_is_done_again_takes_the_place_of_the_old_one() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("out.jsonl");
    let mut journal = scan(&path, 0..5);
    let old = Span {
        start: line(0).text.len() as u64,
        end: (line(0).text.len() + line(1).text.len() - 1) as u64,
    };
    journal.append(&[line(1)]).expect("append");
    journal.supersede(old);
    // Killed before its end the output has both, and the later one counts.
    drop(journal);
    assert_eq!(numbers(&path), [0, 1, 2, 3, 4, 1]);
    let (resumed, earlier) = resume(&path);
    assert_eq!(earlier.paths.len(), 5);
    assert_eq!(earlier.tally.images(), 5);
    resumed.finish().expect("finish");
    assert_eq!(numbers(&path), [0, 2, 3, 4, 1]);
    assert_eq!(complete(&path, 0..5).paths.len(), 5);
}

#[test]
fn the_line_of_a_content_can_be_read_back() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("out.jsonl");
    drop(scan(&path, 0..6));
    let (journal, earlier) = resume(&path);
    let span = earlier.contents[&line(1).content];
    let text = journal.read(span).expect("read");
    assert_eq!(text, serde_json::to_vec(&record(1)).expect("JSON"));
    let digest: [u8; 32] = Sha256::digest("content").into();
    assert_eq!(
        hex_key(&data_encoding::HEXLOWER.encode(&digest)),
        digest_key(&digest)
    );
}

#[test]
fn a_scan_is_not_overwritten_doubled_or_resumed_with_other_settings() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("out.jsonl");
    let first = scan(&path, 0..2);
    let second = Journal::resume(&path, &settings("raw"), Wanted::default());
    let second = second.expect_err("locked");
    assert!(second.to_string().contains("another scan"), "{second}");
    drop(first);
    assert!(Journal::create(&path, &settings("raw"), false).is_err());
    let other = Journal::resume(&path, &settings("webp"), Wanted::default());
    let other = other.expect_err("other settings").to_string();
    assert!(other.contains("payload was raw and is webp"), "{other}");
    assert_eq!(numbers(&path), [0, 1]);
}

#[test]
fn what_was_said_of_the_first_lines_ends_where_one_of_them_was_edited() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("out.jsonl");
    let mut journal = Journal::create(&path, &settings("raw"), true).expect("create");
    for n in 0..130 {
        journal.append(&[line(n)]).expect("append");
        if n == 60 || n == 80 {
            journal.mark().expect("mark");
        }
    }
    drop(journal);
    let wanted = Wanted {
        covered: 100,
        ..Wanted::default()
    };
    let resume = || Journal::resume(&path, &settings("raw"), wanted).expect("resume");
    let (_, earlier) = resume();
    assert!(earlier.intact);
    assert_eq!(
        earlier.paths.len(),
        32,
        "98 lines and two marks are covered"
    );
    let text = std::fs::read_to_string(&path).expect("read");
    let edited = text.replace("\"50.jpg\"", "\"50.jpg\" ");
    assert_ne!(edited, text);
    std::fs::write(&path, edited).expect("write");
    let (journal, earlier) = resume();
    // Its marks are gone, and a hundred entries are other lines now.
    assert!(!earlier.intact);
    assert_eq!(earlier.paths.len(), 130);
    assert_eq!(journal.entries(), 130);
}
