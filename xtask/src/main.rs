//! `cargo xtask`: the tasks that developers of this workspace repeat.

mod api;
mod codegen;
mod features;
mod images;
mod layers;
mod links;
mod metadata;
mod msrv;
mod release;

use std::{
    error::Error,
    path::Path,
    process::{Command, ExitCode},
};

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "Developer tasks of this workspace")]
struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// List the public API of each library in its public-api.txt
    Api {
        /// Change nothing; fail when a list is stale
        #[arg(long)]
        check: bool,
    },
    /// Generate crates/athena-proto/src/generated from proto/ (needs no protoc)
    Codegen {
        /// Change nothing; fail when the checked-in code is stale
        #[arg(long)]
        check: bool,
    },
    /// Paint the sample pictures of examples/images
    Images,
    /// Check each crate with each of its features alone, and with none
    Features,
    /// Check that no crate reaches what its layer forbids
    Layers,
    /// Check the links between the Markdown documents
    Links,
    /// Check that no dependency wants a newer compiler than the workspace promises
    Msrv,
    /// Build everything that a release consists of under target/release-VERSION; publishes nothing
    Release {
        /// Go on where the changelog or the working tree is not ready for a release, and say so
        #[arg(long)]
        dry_run: bool,
        /// Wheels and archives for this target alone; may be repeated. Default: all that can be built for here
        #[arg(long = "target", value_name = "TRIPLE")]
        targets: Vec<String>,
    },
}

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    let outcome = match Args::parse().task {
        Task::Api { check } => api::run(workspace_root(), check),
        Task::Codegen { check } => codegen::run(workspace_root(), check),
        Task::Images => images::run(workspace_root()),
        Task::Features => features::run(workspace_root()),
        Task::Links => links::run(workspace_root()),
        Task::Msrv => msrv::run(workspace_root()),
        Task::Layers => layers::run(workspace_root()),
        Task::Release { dry_run, targets } => release::run(workspace_root(), dry_run, &targets),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn workspace_root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn cargo(root: &Path) -> Command {
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(root);
    command
}
