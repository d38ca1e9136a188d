//! What ends a command early: one line with the cause and the remedy, and an exit code.

use std::fmt;
use std::io;

pub(crate) use athena_outcome::text::{chain, one_line, reason};

use crate::exit::Exit;

/// A command's outcome.
pub(crate) type Outcome<T = Exit> = Result<T, Failure>;

/// An error of the whole command, as the user reads it.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    cause: String,
    remedy: Option<String>,
    see_doctor: bool,
}

impl Failure {
    pub(crate) fn new(exit: Exit, cause: impl Into<String>) -> Self {
        Self {
            exit,
            cause: without_userinfo(&cause.into()),
            remedy: None,
            see_doctor: false,
        }
    }

    /// A setting that is missing or invalid.
    pub(crate) fn configuration(cause: impl Into<String>) -> Self {
        Self::new(Exit::Configuration, cause)
    }

    /// A file of the user's that could not be read or written.
    pub(crate) fn local(cause: impl Into<String>) -> Self {
        Self::new(Exit::Local, cause)
    }

    /// Writing results failed. A reader that went away (`athena … | head`) is not an error of ours:
    /// that failure prints nothing.
    pub(crate) fn output(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::new(Exit::Done, String::new()),
            io::ErrorKind::StorageFull => Self::local("cannot write the results: the disk is full")
                .remedy("free some space and run again"),
            _ => Self::local(format!("cannot write the results: {}", reason(error))),
        }
    }

    /// What the user can do about it: a phrase that continues the line.
    pub(crate) fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// One more thing that the user can do.
    pub(crate) fn also(mut self, remedy: &str) -> Self {
        self.remedy = Some(match self.remedy {
            Some(first) => format!("{first}; {remedy}"),
            None => remedy.to_owned(),
        });
        self
    }

    /// `athena doctor` can say more: no news to the doctor itself.
    pub(crate) fn see_doctor(mut self) -> Self {
        self.see_doctor = true;
        self
    }

    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }

    pub(crate) fn cause(&self) -> &str {
        &self.cause
    }

    pub(crate) fn remedies(&self) -> Option<&str> {
        self.remedy.as_deref()
    }

    /// Nothing to say: the reader of our output has gone away.
    pub(crate) fn is_silent(&self) -> bool {
        self.cause.is_empty()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cause = one_line(&self.cause);
        let doctor = (self.see_doctor).then_some("`athena doctor` looks closer");
        let remedies: Vec<String> = (self.remedy.as_deref().into_iter())
            .chain(doctor)
            .map(one_line)
            .collect();
        if remedies.is_empty() {
            return f.write_str(&cause);
        }
        write!(
            f,
            "{}: {}",
            cause.trim_end_matches('.'),
            remedies.join("; ")
        )
    }
}

/// The text with the user names and passwords of its URLs taken out.
pub(crate) fn without_userinfo(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, url)) = rest.split_once("://") {
        let end = url.find(char::is_whitespace).unwrap_or(url.len());
        // Up to the last one: a password may hold anything, though it should not.
        let start = url[..end].rfind('@').map_or(0, |at| at + 1);
        plain.push_str(before);
        plain.push_str("://");
        if start > 0 {
            plain.push_str("[redacted]@");
        }
        plain.push_str(&url[start..end]);
        rest = &url[end..];
    }
    plain + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_one_line_with_its_remedy() {
        let failure = Failure::configuration("no client id\n").remedy("set OAUTH_CLIENT_ID");
        assert_eq!(failure.to_string(), "no client id\\n: set OAUTH_CLIENT_ID");
    }

    #[test]
    fn the_doctor_is_no_remedy_of_its_own() {
        let failure = Failure::local("x").remedy("do this").see_doctor();
        assert_eq!(failure.remedies(), Some("do this"));
        let line = "x: do this; `athena doctor` looks closer";
        assert_eq!(failure.to_string(), line);
    }

    #[test]
    fn urls_are_shown_without_their_userinfo() {
        for (text, expected) in [
            (
                "https://user:hunter2@host/x y",
                "https://[redacted]@host/x y",
            ),
            (
                "no https://user@host:1, nor",
                "no https://[redacted]@host:1, nor",
            ),
            ("a://u:hunt/er2@b and c://d", "a://[redacted]@b and c://d"),
            ("mail me@example.com", "mail me@example.com"),
        ] {
            assert_eq!(without_userinfo(text), expected);
        }
    }
}
