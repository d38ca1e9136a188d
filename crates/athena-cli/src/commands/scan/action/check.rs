//! What cannot work with this input is said before any work.

use athena_sources::Location;

use super::{Action, tag_cause};
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::input::InputArgs;
use crate::left_out::check_store;

pub(in crate::commands::scan) fn check(action: &Action, input: &InputArgs) -> Outcome<()> {
    let usage = |cause: String, remedy: &'static str| {
        Err(Failure::new(Exit::Usage, format!("--on-match: {cause}")).remedy(remedy))
    };
    if let Action::CopyToStore(prefix) = action {
        check_store(prefix)?;
    }
    match action {
        Action::Move(_) if input.names_urls() => usage(
            "move: is for files, and a URL is scanned: nothing in a store is deleted".to_owned(),
            "copy:s3://BUCKET/PREFIX/ (gs://, az://) copies objects; tag:KEY=VALUE marks them",
        ),
        Action::Copy(_) if input.names_urls() => usage(
            "copy:FOLDER is for files, and a URL is scanned".to_owned(),
            "copy:s3://BUCKET/PREFIX/ (gs://, az://) copies objects; exec:PROGRAM gets the object's URL as its last argument",
        ),
        Action::Move(folder) | Action::Copy(folder) if input.covers(folder) => usage(
            format!("{} is inside what is scanned", folder.display()),
            "files there would be found again; choose a folder outside",
        ),
        Action::CopyToStore(prefix) if would_be_found(prefix, &input.locations()) => usage(
            format!("copies below {prefix} are inside what is scanned"),
            "they would be found again; choose another bucket or prefix",
        ),
        Action::Tag(_) => {
            let stores = input.named();
            let cause = stores
                .into_iter()
                .find_map(|named| tag_cause(named.map(|location| location.store())));
            match cause {
                Some(cause) => usage(
                    format!("{cause}: tag: is for objects of s3:// and az://"),
                    "copy: puts what matches elsewhere, exec:PROGRAM gets its path or URL",
                ),
                None => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

/// Whether copies, which keep their keys below the prefix, come up in a listing.
fn would_be_found(prefix: &Location, scanned: &[Location]) -> bool {
    let keys = scanned
        .iter()
        .map(|from| match from.store().has_listings() {
            true => from.key(),
            false => "",
        });
    // Files may be scanned besides.
    let mut copies = keys
        .chain([""])
        .map(|key| prefix.with_key(format!("{}{key}", prefix.key())));
    copies.any(|copy| scanned.iter().any(|source| source.covers(&copy)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_that_would_be_found_again_are_seen() {
        let at = |text: &str| text.parse::<Location>().expect("a location");
        for (prefix, scanned, found) in [
            ("s3://q/", vec!["s3://b/"], false),
            ("s3://b/q/", vec!["s3://b/"], true),
            ("s3://b/q/", vec!["s3://b/2026/"], false),
            ("s3://b/2026/q/", vec!["s3://b/2026/"], true),
            // The key is kept: a copy would be the object itself.
            ("s3://b/", vec!["s3://b/2026/"], true),
            ("s3://b/2026/", vec!["s3://c/", "s3://b/2026/x/"], false),
            ("s3://b/2026/", vec!["s3://c/x/", "s3://b/2026/x/"], true),
            ("gs://b/", vec!["s3://b/"], false),
            ("s3://b/q/", vec!["s3://b/", "file:///srv/"], true),
        ] {
            let scanned: Vec<Location> = scanned.into_iter().map(at).collect();
            assert_eq!(
                would_be_found(&at(prefix), &scanned),
                found,
                "{prefix} {scanned:?}"
            );
        }
    }
}
