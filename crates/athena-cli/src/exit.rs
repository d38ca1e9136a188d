//! The exit codes of `athena`: documented in `docs/cli.md`, and stable.

use std::process::ExitCode;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Everything asked for was done.
    Done = 0,
    /// The command ran to its end, but some images (or checks) failed.
    SomeFailed = 1,
    /// The command line could not be understood; clap uses the same code.
    Usage = 2,
    /// A setting is missing or invalid.
    Configuration = 3,
    /// The credentials or the affiliate were refused.
    Refused = 4,
    /// The service or its token endpoint could not be reached: DNS, TCP, TLS or a timeout.
    Unreachable = 5,
    /// The service answered with an error that is not about one image.
    Service = 6,
    /// There was no image to work on.
    NoInput = 7,
    /// A local file could not be read or written.
    Local = 8,
    /// A `--fail-over` threshold was reached.
    Threshold = 10,
    /// `athena ask`: the policy wants the image reviewed.
    Review = 11,
    /// Stopped by Ctrl-C or SIGTERM before the end.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
