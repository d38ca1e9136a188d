//! `athena completions` and `athena man`: files made from the command line's own definition.

use std::io::{self, Write};
use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::args::Cli;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome, reason};

pub(super) fn completions(shell: Shell) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "athena", &mut script);
    print(&script)
}

pub(super) fn man(folder: Option<&Path>) -> Outcome {
    let Some(folder) = folder else {
        let mut page = Vec::new();
        clap_mangen::Man::new(Cli::command())
            .render(&mut page)
            .map_err(|error| Failure::output(&error))?;
        return print(&page);
    };
    std::fs::create_dir_all(folder)
        .and_then(|()| clap_mangen::generate_to(Cli::command(), folder))
        .map_err(|error| {
            Failure::local(format!(
                "cannot write into {}: {}",
                folder.display(),
                reason(&error)
            ))
        })?;
    Ok(Exit::Done)
}

fn print(bytes: &[u8]) -> Outcome {
    io::stdout()
        .write_all(bytes)
        .map_err(|error| Failure::output(&error))?;
    Ok(Exit::Done)
}
