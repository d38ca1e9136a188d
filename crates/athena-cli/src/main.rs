//! The `athena` command-line tool: classifies images, scans archives, checks an integration and runs
//! a local emulator. `docs/cli.md` documents its commands, output, exit codes and configuration.

#[cfg(feature = "serve")]
mod allowed;
mod args;
mod bounded;
mod commands;
mod config;
mod connect;
mod exit;
mod failure;
mod global;
mod input;
mod interrupt;
mod judge;
mod left_out;
mod log;
mod output;
mod parallel;
mod pixels;
mod prepare;
#[cfg(feature = "worker")]
mod queue;
#[cfg(feature = "serve")]
mod telemetry;
mod trust;
mod workers;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = args::Cli::parse();
    cli.global.color.write_global();
    if let Err(failure) = log::init(&cli.global) {
        return report(&failure);
    }
    match commands::run(cli.command) {
        Ok(exit) => exit.into(),
        Err(failure) => report(&failure),
    }
}

/// One line on standard error.
fn report(failure: &failure::Failure) -> ExitCode {
    use output::terminal::{ALARM, say};
    if !failure.is_silent() {
        say(format_args!("{ALARM}error:{ALARM:#} {failure}"));
    }
    failure.exit().into()
}
