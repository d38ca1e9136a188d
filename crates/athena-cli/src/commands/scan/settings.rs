//! What decides about a line: a scan is only resumed with the same.

use std::collections::BTreeMap;

use athena_outcome::Policy;
use serde::Serialize;

use super::ScanArgs;
use super::journal::Keys;
use crate::connect::Connection;
use crate::pixels::PixelArgs;

/// Settings by name, as they stand in the journal's header: a JSON object with sorted names, whose
/// words are those of the command line, so that they mean the same in every version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Settings(BTreeMap<String, String>);

impl Settings {
    pub(super) fn of(args: &ScanArgs, connection: &Connection, policy: Option<&Policy>) -> Self {
        let PixelArgs {
            interpolation,
            payload,
        } = &args.pixels;
        let endpoint = if args.connect.emulator {
            // Its port is another one in every run.
            "emulator".to_owned()
        } else {
            origin(&connection.target.endpoint)
        };
        let pixels = if args.hash_only {
            ("none".to_owned(), "hashes".to_owned())
        } else {
            (interpolation.word(), payload.word())
        };
        let policy = policy.map_or_else(String::new, |policy| policy.digest().to_string());
        let paths = match args.keys() {
            Keys::AsGiven => "as given",
            Keys::Canonical => "canonical",
        };
        // Unset where it is the default: journals of before there was the option go on.
        let frames = (args.frames > 1).then(|| ("frames", args.frames.to_string()));
        let shard = args.shards.map(|shard| ("shards", shard.to_string()));
        let settings = [
            ("affiliate", connection.target.affiliate.clone()),
            ("endpoint", endpoint),
            ("interpolation", pixels.0),
            ("paths", paths.to_owned()),
            ("payload", pixels.1),
            ("policy", policy),
        ];
        Self::from_iter(settings.into_iter().chain(frames).chain(shard))
    }

    /// The text for the header.
    pub(super) fn encode(&self) -> String {
        serde_json::to_string(&self.0).unwrap_or_default()
    }

    pub(super) fn decode(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok().map(Self)
    }

    /// What another run has set otherwise, for people; nothing when all is the same.
    pub(super) fn difference(&self, now: &Self) -> Option<String> {
        let names = self.0.keys().chain(now.0.keys());
        let mut names: Vec<&String> = names.collect();
        names.sort();
        names.dedup();
        let none = || "unset".to_owned();
        let given = |value: &String| (!value.is_empty()).then(|| value.clone());
        let differs = names.into_iter().filter_map(|name| {
            let (then, now) = (self.0.get(name), now.0.get(name));
            (then != now).then(|| {
                let then = then.and_then(given).unwrap_or_else(none);
                let now = now.and_then(given).unwrap_or_else(none);
                format!("{name} was {then} and is {now}")
            })
        });
        let differs: Vec<String> = differs.collect();
        (!differs.is_empty()).then(|| differs.join(", "))
    }
}

impl<'a> FromIterator<(&'a str, String)> for Settings {
    fn from_iter<I: IntoIterator<Item = (&'a str, String)>>(settings: I) -> Self {
        let named = settings
            .into_iter()
            .map(|(name, value)| (name.into(), value));
        Self(named.collect())
    }
}

/// Scheme, host and port, however the address was written.
fn origin(endpoint: &str) -> String {
    let text = endpoint.trim().trim_end_matches('/').to_lowercase();
    let (scheme, authority) = text.split_once("://").unwrap_or(("https", &text));
    let port = match scheme {
        "http" => 80,
        _ => 443,
    };
    // What follows the last colon of an IPv6 address without a port ends with a bracket.
    let has_port = (authority.rsplit_once(':')).is_some_and(|(_, port)| !port.ends_with(']'));
    if has_port {
        format!("{scheme}://{authority}")
    } else {
        format!("{scheme}://{authority}:{port}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_is_the_same_however_it_is_written() {
        for text in [
            "api.example.com",
            "API.example.com:443",
            "https://api.example.com/",
            "https://api.example.com:443",
        ] {
            assert_eq!(origin(text), "https://api.example.com:443", "{text}");
        }
        assert_eq!(origin("http://[::1]"), "http://[::1]:80");
        assert_eq!(origin("http://[::1]:5000/"), "http://[::1]:5000");
    }

    #[test]
    fn settings_read_back_and_name_what_differs() {
        let then = Settings::from_iter([("endpoint", "a".to_owned()), ("payload", "raw".into())]);
        let same = Settings::decode(&then.encode()).expect("JSON");
        assert_eq!(then.encode(), r#"{"endpoint":"a","payload":"raw"}"#);
        assert_eq!(then.difference(&same), None);
        let now = Settings::from_iter([("endpoint", "a".to_owned()), ("payload", "webp".into())]);
        let difference = then.difference(&now).expect("they differ");
        assert_eq!(difference, "payload was raw and is webp");
    }
}
