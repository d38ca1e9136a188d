//! Log lines on standard error.

use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

use indicatif::{ProgressBar, WeakProgressBar};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::global::{GlobalArgs, LogFormat};

pub(crate) fn init(args: &GlobalArgs) -> Outcome<()> {
    let filter = EnvFilter::try_new(&args.log).map_err(|_| {
        Failure::new(
            Exit::Usage,
            format!("--log: `{}` is not a level or filter", args.log),
        )
        .remedy("try --log debug, or --log athena_client=debug,warn")
    })?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(StandardError);
    match args.log_format {
        LogFormat::Text => builder.with_ansi(colour()).init(),
        LogFormat::Json => builder.json().init(),
    }
    Ok(())
}

fn colour() -> bool {
    anstream::AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never
}

/// The progress bar that is on the screen.
static BAR: Mutex<Option<WeakProgressBar>> = Mutex::new(None);

/// From now on log lines go above this bar, until it is gone.
pub(crate) fn show_above(bar: &ProgressBar) {
    *BAR.lock().unwrap_or_else(PoisonError::into_inner) = Some(bar.downgrade());
}

/// Standard error, above the progress bar when there is one.
struct StandardError;

impl<'a> MakeWriter<'a> for StandardError {
    type Writer = Line;

    fn make_writer(&'a self) -> Self::Writer {
        Line
    }
}

/// One log line: the formatter writes it in one piece.
struct Line;

impl Write for Line {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        let bar = BAR.lock().unwrap_or_else(PoisonError::into_inner);
        match bar.as_ref().and_then(WeakProgressBar::upgrade) {
            Some(bar) => bar.suspend(|| io::stderr().write(text)),
            None => io::stderr().write(text),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
