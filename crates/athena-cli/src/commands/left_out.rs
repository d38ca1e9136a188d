//! What stands in the place of a command that this build was made without, and says how to get it.

use std::ffi::OsString;

use clap::Args;

use crate::exit::Exit;
use crate::failure::Outcome;
use crate::left_out::left_out;

/// Not in this build
#[derive(Args, Debug)]
#[command(hide = true, disable_help_flag = true)]
pub(crate) struct LeftOut {
    #[arg(allow_hyphen_values = true, trailing_var_arg = true, hide = true)]
    _anything: Vec<OsString>,
}

/// The modules of commands that a feature brings: each with its arguments, as the command has them.
macro_rules! commands {
    ($feature:literal: $($module:ident $args:ident),+) => {$(
        pub(crate) mod $module {
            pub(crate) use super::LeftOut as $args;

            pub(crate) fn run(_: &$args) -> super::Outcome<super::Exit> {
                let command = concat!("athena ", stringify!($module));
                Err(super::left_out(command, "it", $feature))
            }
        }
    )+};
}

#[cfg(not(feature = "serve"))]
commands!("serve": serve ServeArgs);
#[cfg(not(feature = "worker"))]
commands!("worker": jobs JobsArgs, reconcile ReconcileArgs, worker WorkerArgs);
