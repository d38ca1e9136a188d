//! What a build may be made without: whoever asks for it is told so, and how to get it.

use athena_sources::Location;

use crate::exit::Exit;
use crate::failure::{Failure, Outcome};

/// The end of a command that takes what a feature would bring.
pub(crate) fn left_out(asked: &str, what: &str, feature: &str) -> Failure {
    let cause = format!("{asked}: this `athena` was built without {what}");
    Failure::new(Exit::Usage, cause).remedy(format!("build it with --features {feature}"))
}

/// Whether this build reaches the store of a location.
pub(crate) fn check_store(at: &Location) -> Outcome<()> {
    match at.store().is_built_in() {
        true => Ok(()),
        false => Err(left_out(&at.to_string(), "object stores", "stores")),
    }
}
