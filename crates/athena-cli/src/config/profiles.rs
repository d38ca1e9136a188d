//! The text of `config.toml`: what it may say, and what is meant by what it may not.
//!
//! Read by hand rather than by derive: an error names the line and the key that is meant, and never
//! a value, which may be a secret in the wrong place.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::secret::{SecretCommand, SecretOrigin};

/// What a profile may set.
const SETTINGS: [&str; 8] = [
    "host",
    "affiliate",
    "client_id",
    "client_secret_file",
    "client_secret_command",
    "token_url",
    "audience",
    "ca_certificate",
];

/// What stands beside the profiles.
const TOP: [&str; 2] = ["default_profile", "profiles"];

/// Other words for the same, as flags, variables and other clients have them.
const ALIASES: [(&str, &str); 17] = [
    ("address", "host"),
    ("athena_affiliate", "affiliate"),
    ("athena_host", "host"),
    ("athena_profile", "default_profile"),
    ("auth_url", "token_url"),
    ("athena_ca_file", "ca_certificate"),
    ("ca", "ca_certificate"),
    ("ca_file", "ca_certificate"),
    ("client_secret_cmd", "client_secret_command"),
    ("default", "default_profile"),
    ("endpoint", "host"),
    ("oauth_audience", "audience"),
    ("oauth_auth_url", "token_url"),
    ("oauth_client_id", "client_id"),
    ("oauth_token_url", "token_url"),
    ("profile", "profiles"),
    ("token_endpoint", "token_url"),
];

/// The settings of one profile.
#[derive(Clone, Debug, Default)]
pub(super) struct Profile {
    pub(super) host: Option<String>,
    pub(super) affiliate: Option<String>,
    pub(super) client_id: Option<String>,
    pub(super) secret: Option<SecretOrigin>,
    pub(super) token_url: Option<String>,
    pub(super) audience: Option<String>,
    pub(super) ca_certificate: Option<PathBuf>,
}

/// The whole file.
#[derive(Debug, Default)]
pub(super) struct ConfigFile {
    pub(super) default_profile: Option<String>,
    pub(super) profiles: BTreeMap<String, Profile>,
}

/// What is wrong, where, and what to do.
#[derive(Debug)]
pub(super) struct Mistake {
    pub(super) at: Range<usize>,
    pub(super) what: String,
    pub(super) remedy: String,
}

impl ConfigFile {
    /// Reads the text. `folder` is the file's: what a profile names is beside it, never in whatever
    /// folder the user happens to be.
    pub(super) fn parse(text: &str, folder: &Path) -> Result<Self, Mistake> {
        let document = DeTable::parse(text).map_err(|error| Mistake {
            at: error.span().unwrap_or_default(),
            // The error's full form quotes the line.
            what: error.message().to_owned(),
            remedy: "as in `host = \"example.com:443\"`: text stands in quotes".to_owned(),
        })?;
        let mut file = Self::default();
        for (key, value) in document.get_ref() {
            match key.get_ref().as_ref() {
                "default_profile" => file.default_profile = Some(text_of(key, value)?),
                "profiles" => {
                    for (name, profile) in table_of(key, value)? {
                        let profile = Profile::read(name, table_of(name, profile)?, folder)?;
                        file.profiles.insert(name.get_ref().to_string(), profile);
                    }
                }
                other => return Err(unknown(key, top_remedy(other, value.get_ref()))),
            }
        }
        Ok(file)
    }
}

impl Profile {
    fn read(name: &Key<'_>, table: &DeTable<'_>, folder: &Path) -> Result<Self, Mistake> {
        let mut profile = Self::default();
        for (key, value) in table {
            let text = || text_of(key, value);
            let path = || text().map(|path| folder.join(path));
            let secret = match key.get_ref().as_ref() {
                "host" => {
                    profile.host = Some(text()?);
                    continue;
                }
                "affiliate" => {
                    profile.affiliate = Some(text()?);
                    continue;
                }
                "client_id" => {
                    profile.client_id = Some(text()?);
                    continue;
                }
                "token_url" => {
                    profile.token_url = Some(text()?);
                    continue;
                }
                "audience" => {
                    profile.audience = Some(text()?);
                    continue;
                }
                "ca_certificate" => {
                    profile.ca_certificate = Some(path()?);
                    continue;
                }
                "client_secret_file" if text()? == "-" => SecretOrigin::Stdin,
                "client_secret_file" => SecretOrigin::File(path()?),
                "client_secret_command" => SecretOrigin::Command {
                    command: command_of(key, value)?,
                    folder: Some(folder.to_owned()),
                },
                other => return Err(unknown(key, setting_remedy(other))),
            };
            if profile.secret.replace(secret).is_some() {
                return Err(Mistake {
                    at: key.span(),
                    what: format!("profile `{}` has two client secrets", name.get_ref()),
                    remedy: "keep client_secret_file or client_secret_command, not both".to_owned(),
                });
            }
        }
        Ok(profile)
    }
}

type Key<'a> = Spanned<std::borrow::Cow<'a, str>>;

fn wrong_type(key: &Key<'_>, expected: &str) -> Mistake {
    Mistake {
        at: key.span(),
        what: format!("`{}` is not {expected}", key.get_ref()),
        remedy: format!("give it {expected}"),
    }
}

fn text_of(key: &Key<'_>, value: &Spanned<DeValue<'_>>) -> Result<String, Mistake> {
    let text = value.get_ref().as_str().map(str::to_owned);
    text.ok_or_else(|| wrong_type(key, "text in quotes"))
}

fn table_of<'a, 'i>(
    key: &Key<'_>,
    value: &'a Spanned<DeValue<'i>>,
) -> Result<&'a DeTable<'i>, Mistake> {
    let table = value.get_ref().as_table();
    table.ok_or_else(|| wrong_type(key, "a table, as in [profiles.live]"))
}

fn command_of(key: &Key<'_>, value: &Spanned<DeValue<'_>>) -> Result<SecretCommand, Mistake> {
    let wrong = || wrong_type(key, "a shell line in quotes or a list of them");
    match value.get_ref() {
        DeValue::String(line) => Ok(SecretCommand::Shell(line.to_string())),
        DeValue::Array(words) => {
            let words = words.iter().map(|word| word.get_ref().as_str());
            let words: Option<Vec<String>> = words.map(|word| word.map(str::to_owned)).collect();
            words.map(SecretCommand::Program).ok_or_else(wrong)
        }
        _ => Err(wrong()),
    }
}

fn unknown(key: &Key<'_>, remedy: String) -> Mistake {
    Mistake {
        at: key.span(),
        what: format!("there is no setting `{}`", key.get_ref()),
        remedy,
    }
}

fn top_remedy(key: &str, value: &DeValue<'_>) -> String {
    if let Some(setting) = meant(key, &SETTINGS) {
        return format!("`{setting}` belongs into a profile, below a line [profiles.NAME]");
    }
    match meant(key, &TOP) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None if value.is_table() => format!("a profile is called [profiles.{key}]"),
        None => "the file holds default_profile and tables [profiles.NAME]".to_owned(),
    }
}

fn setting_remedy(key: &str) -> String {
    let squashed = squash(key);
    // Not a setting that is refused next: a secret does not belong here.
    if ["clientsecret", "secret", "oauthclientsecret", "password"]
        .into_iter()
        .any(|word| strsim::osa_distance(&squashed, word) <= 1)
    {
        return "a secret does not belong here: keep it elsewhere and set client_secret_file or \
                client_secret_command"
            .to_owned();
    }
    match meant(key, &SETTINGS) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("a profile may set {}", SETTINGS.join(", ")),
    }
}

/// The word among `known` that is meant by another one.
fn meant(key: &str, known: &[&'static str]) -> Option<&'static str> {
    let squashed = squash(key);
    let aliases = ALIASES.iter().filter(|(_, word)| known.contains(word));
    let words = known
        .iter()
        .map(|word| (*word, *word))
        .chain(aliases.copied());
    let (distance, word) = words
        .map(|(spelling, word)| (strsim::osa_distance(&squash(spelling), &squashed), word))
        .min_by_key(|(distance, _)| *distance)?;
    // A letter in three may be wrong.
    (distance * 3 <= squashed.chars().count()).then_some(word)
}

/// `Client-ID` and `clientId` are both `client_id`.
fn squash(text: &str) -> String {
    let letters = text.chars().filter(|letter| letter.is_alphanumeric());
    letters.flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remedy(text: &str) -> String {
        let mistake = ConfigFile::parse(text, Path::new("/etc")).expect_err(text);
        format!("{}: {}", mistake.what, mistake.remedy)
    }

    #[test]
    fn an_unknown_key_suggests_the_one_that_is_meant() {
        for (key, expected) in [
            ("hosts", "did you mean `host`?"),
            ("endpoint", "did you mean `host`?"),
            ("clientId", "did you mean `client_id`?"),
            ("client-id", "did you mean `client_id`?"),
            ("OAUTH_AUTH_URL", "did you mean `token_url`?"),
            ("tokenurl", "did you mean `token_url`?"),
            ("ca", "did you mean `ca_certificate`?"),
            ("client_secret_cmd", "did you mean `client_secret_command`?"),
            ("colour", "a profile may set host, affiliate"),
        ] {
            let said = remedy(&format!("[profiles.live]\n{key} = 'hunter2'\n"));
            assert!(said.contains(expected), "{key}: {said}");
            assert!(!said.contains("hunter2"), "{said}");
        }
        for (text, expected) in [
            ("host = 'x'\n", "belongs into a profile"),
            ("default = 'x'\n", "did you mean `default_profile`?"),
            ("[profile.live]\n", "did you mean `profiles`?"),
            ("[live]\n", "[profiles.live]"),
        ] {
            let said = remedy(text);
            assert!(said.contains(expected), "{text}: {said}");
        }
    }

    #[test]
    fn what_is_suggested_is_never_refused_next() {
        for key in ["client_secret", "clientSecret", "secret", "client_secrets"] {
            let said = remedy(&format!("[profiles.live]\n{key} = 'hunter2'\n"));
            assert!(
                said.contains("client_secret_file or client_secret_command"),
                "{said}"
            );
            assert!(
                !said.contains("hunter2") && !said.contains("`client_secret`?"),
                "{said}"
            );
        }
        for setting in SETTINGS {
            let text = format!("[profiles.live]\n{setting} = 'x'\n");
            assert!(
                ConfigFile::parse(&text, Path::new("/etc")).is_ok(),
                "{setting}"
            );
        }
    }

    #[test]
    fn two_secrets_and_values_of_another_type_are_refused_without_their_text() {
        let two = "[profiles.live]\nclient_secret_file = 'a'\nclient_secret_command = 'b'\n";
        assert!(remedy(two).contains("two client secrets"));
        for text in [
            "profiles = 'hunter2'\n",
            "[profiles]\nlive = 'hunter2'\n",
            "[profiles.live]\nhost = ['hunter2']\n",
            "[profiles.live]\nclient_secret_command = [1, 'hunter2']\n",
            "default_profile = { a = 'hunter2' }\n",
        ] {
            let said = remedy(text);
            assert!(
                said.contains("is not") && !said.contains("hunter2"),
                "{said}"
            );
        }
    }
}
