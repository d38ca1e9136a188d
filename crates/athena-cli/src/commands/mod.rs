//! One module for each command.

mod generate;

pub(crate) mod ask;
pub(crate) mod classify;
pub(crate) mod collect;
pub(crate) mod config;
pub(crate) mod deployments;
pub(crate) mod doctor;
pub(crate) mod emulator;
pub(crate) mod hash;
pub(crate) mod inspect;
#[cfg(feature = "worker")]
pub(crate) mod jobs;
#[cfg(not(all(feature = "serve", feature = "worker")))]
mod left_out;
pub(crate) mod policy;
#[cfg(feature = "worker")]
pub(crate) mod reconcile;
pub(crate) mod scan;
mod seen;
#[cfg(feature = "serve")]
pub(crate) mod serve;
pub(crate) mod token;
#[cfg(feature = "worker")]
pub(crate) mod worker;

use crate::args::Command;
use crate::failure::Outcome;

#[cfg(not(feature = "serve"))]
pub(crate) use self::left_out::serve;
#[cfg(not(feature = "worker"))]
pub(crate) use self::left_out::{jobs, reconcile, worker};

pub(crate) fn run(command: Command) -> Outcome {
    match command {
        Command::Classify(args) => classify::run(&args),
        Command::Scan(args) => scan::run(&args),
        Command::Deployments(args) => deployments::run(&args),
        Command::Collect(args) => collect::run(&args),
        Command::Token(args) => token::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Hash(args) => hash::run(&args),
        Command::Emulator(args) => emulator::run(&args),
        Command::Serve(args) => serve::run(&args),
        Command::Ask(args) => ask::run(&args),
        Command::Worker(args) => worker::run(&args),
        Command::Jobs(args) => jobs::run(&args),
        Command::Reconcile(args) => reconcile::run(&args),
        Command::Policy(args) => policy::run(&args),
        Command::Config(args) => config::run(&args),
        Command::Completions { shell } => generate::completions(shell),
        Command::Man { folder } => generate::man(folder.as_deref()),
    }
}
