//! `--on-match`: what is done with the files of images that reach a threshold.

use std::io::{self, Write};
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Stdio};
use std::str::FromStr;

use crate::failure::reason;

/// An action asked for on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Move the file into a folder, under the path it has.
    Move(PathBuf),
    /// Run a program with the file's path as its last argument and the result's line on its standard input.
    Exec(Vec<String>),
}

impl FromStr for Action {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("move", folder)) if !folder.is_empty() => Ok(Self::Move(folder.into())),
            Some(("exec", command)) if !command.trim().is_empty() => Ok(Self::Exec(
                command.split_whitespace().map(str::to_owned).collect(),
            )),
            _ => Err("expected move:FOLDER or exec:PROGRAM".to_owned()),
        }
    }
}

impl Action {
    /// Does it for one file. `line` is the result as it stands in the output.
    pub(super) fn take(&self, path: &Path, line: &[u8]) -> Result<(), String> {
        match self {
            Self::Move(folder) => move_into(path, folder).map_err(|error| {
                format!("cannot move it to {}: {}", folder.display(), reason(&error))
            }),
            Self::Exec(words) => exec(words, path, line),
        }
    }
}

/// Never overwrites: a taken name gets a number. Moving what has been moved already is no error, so
/// that a resumed scan may take an action again.
fn move_into(path: &Path, folder: &Path) -> io::Result<()> {
    if !path.exists() {
        return Ok(());
    }
    // `..` and the root would lead out of the folder.
    let inside: PathBuf = (path.components())
        .filter(|part| matches!(part, Component::Normal(_)))
        .collect();
    let wanted = folder.join(inside);
    if let Some(parent) = wanted.parent() {
        std::fs::create_dir_all(parent)?;
    }
    let mut target = wanted.clone();
    for number in 1_u32.. {
        match transfer(path, &target) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let mut name = wanted.clone().into_os_string();
                name.push(format!(".{number}"));
                target = name.into();
            }
            outcome => return outcome,
        }
    }
    Ok(())
}

fn transfer(path: &Path, target: &Path) -> io::Result<()> {
    match std::fs::hard_link(path, target) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(error),
        // Another file system, or one without hard links.
        Err(_) => {
            let mut copy = std::fs::File::create_new(target)?;
            io::copy(&mut std::fs::File::open(path)?, &mut copy)?;
            copy.sync_all()?;
        }
    }
    std::fs::remove_file(path)
}

/// No shell is involved: a file's name cannot become a command.
fn exec(words: &[String], path: &Path, line: &[u8]) -> Result<(), String> {
    let Some((program, arguments)) = words.split_first() else {
        return Ok(());
    };
    let mut child = Command::new(program)
        .args(arguments)
        .arg(path)
        // It has no business with the service.
        .env_remove("OAUTH_CLIENT_SECRET")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .map_err(|error| format!("cannot run {program}: {}", reason(&error)))?;
    if let Some(mut input) = child.stdin.take() {
        // A program that does not read its input is fine.
        let _ = input.write_all(line);
    }
    match child.wait() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{program} ended with {status}")),
        Err(error) => Err(format!("cannot wait for {program}: {}", reason(&error))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moved_file_keeps_its_path_and_overwrites_nothing() {
        let folder = tempfile::tempdir().expect("folder");
        let file = folder.path().join("photos/a.jpg");
        let quarantine = folder.path().join("quarantine");
        std::fs::create_dir_all(folder.path().join("photos")).expect("folder");
        let action = Action::Move(quarantine.clone());
        for content in ["one", "two"] {
            std::fs::write(&file, content).expect("write");
            action.take(&file, b"").expect("move");
            assert!(!file.exists());
        }
        action.take(&file, b"").expect("moved already");
        let inside: PathBuf = (file.components())
            .filter(|part| matches!(part, Component::Normal(_)))
            .collect();
        let first = quarantine.join(inside);
        assert_eq!(std::fs::read_to_string(&first).expect("read"), "one");
        let second = format!("{}.1", first.display());
        assert_eq!(std::fs::read_to_string(second).expect("read"), "two");
    }

    #[cfg(unix)]
    #[test]
    fn a_program_gets_the_path_and_the_line() {
        let folder = tempfile::tempdir().expect("folder");
        let target = folder.path().join("copy; touch evil");
        let action: Action = "exec:tee".parse().expect("valid");
        action.take(&target, b"{\"path\":1}\n").expect("run");
        assert_eq!(std::fs::read(&target).expect("read"), b"{\"path\":1}\n");
        assert_eq!(std::fs::read_dir(folder.path()).expect("list").count(), 1);
        assert!(
            Action::Exec(vec!["false".into()])
                .take(&target, b"")
                .is_err()
        );
    }
}
