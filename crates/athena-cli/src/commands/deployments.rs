//! `athena deployments`: what runs, and what waits.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use athena_client::Deployment;
use clap::Args;
use serde::Serialize;

use crate::config::{ConnectArgs, duration};
use crate::connect::{Connection, block_on, service_failure};
use crate::exit::Exit;
use crate::failure::{Failure, Outcome, one_line};
use crate::interrupt::signal;
use crate::output::terminal::{BOLD, DIM, columns, count};
use crate::output::write_json;

const EXAMPLES: &str = "\
Examples:
  athena deployments
  athena deployments --watch
  athena deployments --json | jq -r .deployment_id";

/// List the deployments and their backlogs
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DeploymentsArgs {
    /// List again and again, until Ctrl-C
    #[arg(long, short)]
    watch: bool,
    /// Time between two lists
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = duration)]
    interval: Duration,
    /// One JSON object a line
    #[arg(long, help_heading = "Output")]
    json: bool,
    #[command(flatten)]
    connect: ConnectArgs,
}

#[derive(Serialize)]
struct Line<'a> {
    deployment_id: &'a str,
    backlog: u64,
}

pub(crate) fn run(args: &DeploymentsArgs) -> Outcome {
    block_on(async {
        let connection = Connection::open(&args.connect).await?;
        tokio::select! {
            outcome = list(args, &connection) => outcome,
            () = signal(), if args.watch => Ok(Exit::Done),
        }
    })
}

async fn list(args: &DeploymentsArgs, connection: &Connection) -> Outcome {
    loop {
        let listed = connection.client.list_deployments().await;
        let deployments = listed.map_err(|error| service_failure(&error, &connection.target))?;
        print(args, &deployments).map_err(|error| Failure::output(&error))?;
        if !args.watch {
            return Ok(Exit::Done);
        }
        tokio::time::sleep(args.interval).await;
    }
}

fn print(args: &DeploymentsArgs, deployments: &[Deployment]) -> std::io::Result<()> {
    let mut out = anstream::stdout().lock();
    if args.json {
        return deployments.iter().try_for_each(|deployment| {
            let line = Line {
                deployment_id: &deployment.id,
                backlog: deployment.backlog,
            };
            write_json(&line, &mut out)
        });
    }
    if args.watch && std::io::stdout().is_terminal() {
        // Clears the screen, as watch(1) does.
        write!(out, "\x1b[2J\x1b[H")?;
    }
    let ids: Vec<String> = deployments.iter().map(|d| one_line(&d.id)).collect();
    let width = ids.iter().map(|id| columns(id)).max().unwrap_or(0).max(10);
    writeln!(
        out,
        "{BOLD}{:width$}  {:>8}{BOLD:#}",
        "DEPLOYMENT", "BACKLOG"
    )?;
    for (deployment, id) in deployments.iter().zip(&ids) {
        let padding = width - columns(id);
        writeln!(out, "{id}{:padding$}  {:>8}", "", count(deployment.backlog))?;
    }
    if deployments.is_empty() {
        writeln!(out, "{DIM}none{DIM:#}")?;
    }
    Ok(())
}
