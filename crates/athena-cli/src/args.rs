//! The command line.

use std::path::PathBuf;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Parser, Subcommand};
use clap_complete::Shell;

use crate::commands::{
    ask, classify, collect, config, deployments, doctor, emulator, hash, inspect, jobs, policy,
    reconcile, scan, serve, token, worker,
};
use crate::global::GlobalArgs;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

const EXAMPLES: &str = "\
Examples:
  athena classify --emulator photos/            Try it: no account, no network
  athena classify upload.jpg                    One image, against the service
  athena scan archive/ --output results.jsonl   An archive, resumable
  athena doctor                                 Find out what does not work

Exit codes: 0 done, 1 some images failed, 2 usage, 3 configuration, 4 refused, 5 unreachable,
6 service error, 7 no images, 8 local file, 10 threshold reached or blocked, 11 to be reviewed,
130 interrupted";

const COMPLETIONS: &str = "\
Examples:
  athena completions bash > ~/.local/share/bash-completion/completions/athena
  athena completions zsh > ~/.zfunc/_athena
  athena completions fish > ~/.config/fish/completions/athena.fish";

/// Classify images with the Athena service
#[derive(Parser, Debug)]
#[command(name = "athena", version, styles = STYLES, after_help = EXAMPLES)]
#[command(disable_help_subcommand = true, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    Classify(Box<classify::ClassifyArgs>),
    Scan(Box<scan::ScanArgs>),
    Deployments(Box<deployments::DeploymentsArgs>),
    Collect(Box<collect::CollectArgs>),
    Token(Box<token::TokenArgs>),
    Doctor(Box<doctor::DoctorArgs>),
    Inspect(inspect::InspectArgs),
    Hash(hash::HashArgs),
    Emulator(Box<emulator::EmulatorArgs>),
    Serve(Box<serve::ServeArgs>),
    Ask(ask::AskArgs),
    Worker(Box<worker::WorkerArgs>),
    Jobs(jobs::JobsArgs),
    Reconcile(Box<reconcile::ReconcileArgs>),
    Policy(policy::PolicyArgs),
    Config(config::ConfigArgs),
    /// Print completions for a shell
    #[command(after_help = COMPLETIONS)]
    Completions {
        #[arg(value_enum)]
        shell: Shell,
    },
    /// Print the manual page, or write one page for each command into a folder
    Man {
        /// Write athena.1, athena-classify.1 and the others here
        #[arg(long, value_name = "FOLDER")]
        folder: Option<PathBuf>,
    },
}
