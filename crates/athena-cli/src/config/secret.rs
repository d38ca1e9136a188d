//! The client secret: where it is kept, and how it is fetched at the last moment.

use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use zeroize::Zeroizing;

use crate::bounded;
use crate::failure::{Failure, Outcome, reason};

/// The longest secret that is read from a file, a command or standard input.
const MAX_SECRET_BYTES: u64 = 64 * 1024;

/// A secret in memory: wiped when dropped, never printed.
#[derive(Clone)]
pub(crate) struct Secret(Zeroizing<String>);

impl Secret {
    /// Files and commands end with a line break that is not part of the secret.
    pub(crate) fn new(text: String) -> Self {
        let text = Zeroizing::new(text);
        Self(Zeroizing::new(text.trim().to_owned()))
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// A command that prints the secret: a shell line, or a program with its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SecretCommand {
    Shell(String),
    Program(Vec<String>),
}

impl SecretCommand {
    fn to_command(&self) -> Option<Command> {
        match self {
            Self::Shell(line) if cfg!(windows) => {
                let mut command = Command::new("cmd");
                // Or it looks for programs in the working folder before it looks into the path.
                command.env("NoDefaultCurrentDirectoryInExePath", "1");
                command.args(["/C", line]);
                Some(command)
            }
            Self::Shell(line) => {
                let mut command = Command::new("sh");
                command.args(["-c", line]);
                Some(command)
            }
            Self::Program(words) => {
                let (program, arguments) = words.split_first()?;
                let mut command = Command::new(program);
                command.args(arguments);
                Some(command)
            }
        }
    }
}

/// Where the secret is to be had.
#[derive(Clone, Debug)]
pub(crate) enum SecretOrigin {
    Value(Secret),
    File(PathBuf),
    Stdin,
    Command {
        command: SecretCommand,
        /// Where it runs; the working folder for one that was typed there.
        folder: Option<PathBuf>,
    },
}

impl SecretOrigin {
    /// A path given by the user, where `-` is standard input.
    pub(crate) fn from_path(path: PathBuf) -> Self {
        if path.as_os_str() == "-" {
            Self::Stdin
        } else {
            Self::File(path)
        }
    }

    /// How `config show` names the place, without looking into it.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Value(_) => "[redacted]".to_owned(),
            Self::File(path) => format!("[in the file {}]", path.display()),
            Self::Stdin => "[on standard input]".to_owned(),
            Self::Command { .. } => "[printed by a command]".to_owned(),
        }
    }

    /// Fetches the secret. Never shows what a command or a file said, only that it failed.
    pub(crate) fn fetch(&self) -> Outcome<Secret> {
        let secret = match self {
            Self::Value(secret) => secret.clone(),
            Self::File(path) => {
                let file = std::fs::File::open(path).map_err(|error| {
                    Failure::configuration(format!(
                        "cannot read the client secret from {}: {}",
                        path.display(),
                        reason(&error)
                    ))
                })?;
                read_secret(file, &format!("the file {}", path.display()))?
            }
            Self::Stdin => read_secret(io::stdin().lock(), "standard input")?,
            Self::Command { command, folder } => run(command, folder.as_deref())?,
        };
        if secret.expose().is_empty() {
            return Err(Failure::configuration("the client secret is empty")
                .remedy("check where it comes from with `athena config show`"));
        }
        Ok(secret)
    }
}

fn read_secret(source: impl Read, name: &str) -> Outcome<Secret> {
    let failed = |why: &str| {
        Failure::configuration(format!("cannot read the client secret from {name}: {why}"))
    };
    let bytes = bounded::read(source, MAX_SECRET_BYTES).map_err(|error| failed(&reason(&error)))?;
    let text = std::str::from_utf8(&bytes).map_err(|_| failed("it is not UTF-8"))?;
    Ok(Secret::new(text.to_owned()))
}

fn run(command: &SecretCommand, folder: Option<&Path>) -> Outcome<Secret> {
    let failed = |why: String| {
        Failure::configuration(format!("client_secret_command failed: {why}"))
            .remedy("run the command by hand to see what it says")
    };
    let mut command = command
        .to_command()
        .ok_or_else(|| failed("it is empty".to_owned()))?;
    if let Some(folder) = folder {
        command.current_dir(folder);
    }
    // Its standard error stays the user's: a password manager may ask something there.
    let output = command
        .stdin(Stdio::inherit())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| failed(reason(&error)))?;
    let text = Zeroizing::new(output.stdout);
    if !output.status.success() {
        return Err(failed(output.status.to_string()));
    }
    let text = std::str::from_utf8(&text)
        .map_err(|_| failed("what it printed is not UTF-8".to_owned()))?;
    Ok(Secret::new(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_printed() {
        let origin = SecretOrigin::Value(Secret::new("hunter2".to_owned()));
        assert!(!format!("{origin:?} {}", origin.describe()).contains("hunter2"));
    }

    #[test]
    fn a_file_gives_its_text_without_the_line_break() {
        let file = tempfile::NamedTempFile::new().expect("temporary file");
        std::fs::write(file.path(), "s3cret\r\n").expect("write");
        let origin = SecretOrigin::from_path(file.path().to_owned());
        assert_eq!(origin.fetch().expect("secret").expose(), "s3cret");
    }

    #[cfg(unix)]
    fn typed(command: SecretCommand) -> SecretOrigin {
        SecretOrigin::Command {
            command,
            folder: None,
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_command_prints_the_secret_and_its_failure_says_nothing_of_it() {
        let good = SecretCommand::Program(vec!["printf".to_owned(), "s3cret\\n".to_owned()]);
        let secret = typed(good).fetch().expect("secret");
        assert_eq!(secret.expose(), "s3cret");

        let bad = SecretCommand::Shell("echo s3cret; exit 3".to_owned());
        let failure = typed(bad).fetch().expect_err("exit code 3");
        assert!(failure.to_string().contains('3'));
        assert!(!failure.to_string().contains("s3cret"));
    }

    #[test]
    fn an_empty_secret_is_refused() {
        let origin = SecretOrigin::Value(Secret::new(" \n".to_owned()));
        assert!(origin.fetch().is_err());
    }
}
