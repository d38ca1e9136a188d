//! `athena jobs`: what is put into a queue, how it stands, and what comes out.

mod results;
mod retry;
mod status;
mod submit;

use clap::{Args, Subcommand};

use crate::failure::Outcome;

/// Submit jobs to a queue, see how it stands, and read the outcomes
#[derive(Args, Debug)]
pub(crate) struct JobsArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    Submit(Box<submit::SubmitArgs>),
    Status(status::StatusArgs),
    Results(results::ResultsArgs),
    Retry(retry::RetryArgs),
}

pub(crate) fn run(args: &JobsArgs) -> Outcome {
    match &args.action {
        Action::Submit(args) => submit::run(args),
        Action::Status(args) => status::run(args),
        Action::Results(args) => results::run(args),
        Action::Retry(args) => retry::run(args),
    }
}

pub(super) use submit::{Tally, Terms, submit_all};
