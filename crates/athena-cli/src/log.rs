//! Log lines on standard error.

use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

use indicatif::{ProgressBar, WeakProgressBar};
use tracing::{Level, Metadata};
use tracing_subscriber::filter::{Targets, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, fmt};

use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::global::{GlobalArgs, LogFormat};

pub(crate) fn init(args: &GlobalArgs) -> Outcome<()> {
    let filter: Targets = args.log.parse().map_err(|_| {
        Failure::new(
            Exit::Usage,
            format!("--log: `{}` is not a level or filter", args.log),
        )
        .remedy("try --log debug, or --log athena_client=debug,warn")
    })?;
    let lines = fmt::layer().with_writer(StandardError);
    let lines = match args.log_format {
        LogFormat::Text => lines.with_ansi(colour()).boxed(),
        LogFormat::Json => lines.json().boxed(),
    };
    tracing_subscriber::registry()
        .with(filter)
        .with(filter_fn(keeps_secrets))
        .with(lines)
        .init();
    Ok(())
}

/// Whether what is logged there holds no secret and no image, whatever the user's filter asks for. The client of NATS
/// logs its handshake with password and token, whole messages, and the server's answers with what they hold.
fn keeps_secrets(of: &Metadata<'_>) -> bool {
    let most = match of.target().split_once("::") {
        Some(("async_nats", _)) => Level::INFO,
        _ if of.target() == "async_nats" => Level::DEBUG,
        _ => Level::TRACE,
    };
    *of.level() <= most
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
