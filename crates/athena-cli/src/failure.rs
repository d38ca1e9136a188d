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
}

impl Failure {
    pub(crate) fn new(exit: Exit, cause: impl Into<String>) -> Self {
        Self {
            exit,
            cause: cause.into(),
            remedy: None,
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

    /// Writing results failed. A reader that went away (`athena … | head`) is no error of ours:
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
        match &self.remedy {
            Some(remedy) => write!(f, "{}: {}", cause.trim_end_matches('.'), one_line(remedy)),
            None => f.write_str(&cause),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_one_line_with_its_remedy() {
        let failure = Failure::configuration("no client id\n").remedy("set OAUTH_CLIENT_ID");
        assert_eq!(failure.to_string(), "no client id\\n: set OAUTH_CLIENT_ID");
    }
}
