//! `config.toml`: where it is, and which of its profiles is in use.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::environment::variable;
use super::profiles::{ConfigFile, Profile};
use super::setting::{Setting, Source, Trust};
use crate::bounded;
use crate::failure::{Failure, Outcome, reason};

/// More than any file of profiles holds.
const MAX_BYTES: u64 = 1024 * 1024;

/// The profile that is used when none is named.
const DEFAULT_PROFILE: &str = "default";

/// The environments that the service is known to have, usable without a file.
const BUILT_IN: [(&str, &str); 3] = [
    ("live", "crisp-athena-live"),
    ("dev", "crisp-athena-dev"),
    ("qa", "crisp-athena-qa"),
];

/// The profile in use and where it was found.
#[derive(Debug, Default)]
pub(crate) struct Selected {
    /// Its name and its file; none for a built-in one.
    pub(crate) stored: Option<(String, PathBuf)>,
    pub(crate) profile: Profile,
    /// The audience of the built-in profile of that name.
    pub(crate) built_in_audience: Option<Setting>,
}

/// `$XDG_CONFIG_HOME/athena/config.toml`, else `~/.config/athena/config.toml`
/// (`%APPDATA%\athena\config.toml` on Windows). A relative folder would be another one wherever the
/// user goes: as the XDG base directory specification wants, it does not count.
fn default_path() -> Option<PathBuf> {
    let absolute = |name| {
        let folder = variable(name).map(PathBuf::from);
        folder.filter(|folder| folder.is_absolute())
    };
    let folder = if cfg!(windows) {
        absolute("APPDATA")?
    } else {
        match absolute("XDG_CONFIG_HOME") {
            Some(folder) => folder,
            None => absolute("HOME")?.join(".config"),
        }
    };
    Some(folder.join("athena").join("config.toml"))
}

/// Reads the file (the default one may be missing) and picks the profile.
pub(crate) fn select(named_file: Option<&Path>, named_profile: Option<&str>) -> Outcome<Selected> {
    let path = named_file.map(Path::to_owned).or_else(default_path);
    let file = match &path {
        Some(path) if named_file.is_some() || path.is_file() => read(path)?,
        _ => ConfigFile::default(),
    };
    let wanted = named_profile.or(file.default_profile.as_deref());
    let name = wanted.unwrap_or(DEFAULT_PROFILE);
    let built_in = BUILT_IN.iter().find(|(known, _)| *known == name);
    let stored = file.profiles.get(name);
    if stored.is_none() && built_in.is_none() && wanted.is_some() {
        let known: Vec<&str> = (BUILT_IN.iter().map(|(known, _)| *known))
            .chain(file.profiles.keys().map(String::as_str))
            .collect();
        return Err(
            Failure::configuration(format!("there is no profile called `{name}`"))
                .remedy(format!("known profiles: {}", known.join(", "))),
        );
    }
    let chosen_by = match named_profile {
        Some(_) => Trust::Command,
        None => Trust::OwnFile,
    };
    Ok(Selected {
        profile: stored.cloned().unwrap_or_default(),
        stored: stored.and(path).map(|path| (name.to_owned(), path)),
        built_in_audience: built_in.map(|(_, audience)| Setting {
            value: (*audience).to_owned(),
            source: Source::BuiltIn(name.to_owned(), chosen_by),
        }),
    })
}

fn read(path: &Path) -> Outcome<ConfigFile> {
    let refused =
        |why: &str| Failure::configuration(format!("cannot read {}: {why}", path.display()));
    let file = File::open(path).map_err(|error| refused(&reason(&error)))?;
    check_owner(path, &file)?;
    let bytes = bounded::read(file, MAX_BYTES).map_err(|error| refused(&reason(&error)))?;
    let text = std::str::from_utf8(&bytes).map_err(|_| refused("it is not UTF-8"))?;
    let text = text.trim_start_matches('\u{feff}');
    let absolute = std::path::absolute(path).map_err(|error| refused(&reason(&error)))?;
    let folder = absolute.parent().unwrap_or(&absolute);
    ConfigFile::parse(text, folder).map_err(|mistake| {
        let line = text[..mistake.at.start].matches('\n').count() + 1;
        let cause = format!("{}, line {line}: {}", path.display(), mistake.what);
        Failure::configuration(cause).remedy(mistake.remedy)
    })
}

/// The file may name commands to run: nobody else may write it.
#[cfg(unix)]
fn check_owner(path: &Path, file: &File) -> Outcome<()> {
    use super::ownership::{Writers, is_own_or_roots, writers};

    let Ok(told) = file.metadata() else {
        return Ok(());
    };
    let refused = |why: &str| Failure::configuration(format!("{} {why}", path.display()));
    if !is_own_or_roots(&told) {
        return Err(
            refused("belongs to another user, who could run commands as you")
                .remedy("make it yours with chown, or name another file with --config"),
        );
    }
    if told.is_file() && writers(&told) == Writers::Everyone {
        return Err(
            refused("can be written by everyone, who could run commands as you")
                .remedy("chmod go-w it"),
        );
    }
    Ok(())
}

#[cfg(not(unix))]
fn check_owner(_: &Path, _: &File) -> Outcome<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().expect("temporary file");
        std::fs::write(file.path(), text).expect("write");
        file
    }

    #[test]
    fn the_default_profile_is_the_one_the_file_names() {
        let file = written(
            "default_profile = 'qa'\n[profiles.qa]\nhost = 'qa.example:443'\n[profiles.default]\nhost = 'x'\n",
        );
        let selected = select(Some(file.path()), None).expect("valid file");
        assert_eq!(selected.profile.host.as_deref(), Some("qa.example:443"));
        let audience = selected.built_in_audience.expect("qa is built in");
        assert_eq!(audience.value, "crisp-athena-qa");
        assert_eq!(audience.source.trust(), Trust::OwnFile);
    }

    #[test]
    fn an_unknown_profile_lists_the_known_ones() {
        let file = written("[profiles.mine]\n");
        let failure = select(Some(file.path()), Some("other")).expect_err("unknown profile");
        assert!(failure.to_string().contains("live, dev, qa, mine"));
    }

    #[test]
    fn a_secret_in_the_file_is_refused_and_not_repeated() {
        let file = written("[profiles.live]\nclient_secret = 'hunter2'\n");
        let failure = select(Some(file.path()), None).expect_err("secret in the file");
        let line = failure.to_string();
        assert!(line.contains("client_secret_file") && !line.contains("hunter2"));
    }

    #[test]
    fn a_broken_file_names_its_line_and_does_not_quote_it() {
        let file = written("[profiles.live]\n\nclient_secret = hunter2\n");
        let failure = select(Some(file.path()), None).expect_err("broken value");
        let line = failure.to_string();
        assert!(
            line.contains("line 3") && !line.contains("hunter2"),
            "{line}"
        );
    }
}
