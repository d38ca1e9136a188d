//! What a caller says about an image besides its bytes: in the query, or in headers.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::Query;
use axum::http::{HeaderMap, Uri};
use serde::Deserialize;

use crate::problem::Problem;

/// The longest key: as long as a correlation id may be.
const MOST_KEY_BYTES: usize = athena_client::MAX_ID_BYTES;

/// Frames of one animation that a caller may have judged: each is decoded, sent and billed.
const MOST_FRAMES: u32 = 64;

/// The query. An unknown name is a mistake: a switch with a typing error must not pass for off.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Words {
    affiliate: Option<String>,
    correlation_id: Option<String>,
    frames: Option<String>,
    hash_only: Option<String>,
    queue: Option<String>,
    timeout: Option<String>,
    wait: Option<String>,
    webhook: Option<String>,
}

/// What is to be done with an image.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    pub(crate) affiliate: Option<String>,
    /// The caller's own name for the image: the key of its outcome, and its correlation id.
    pub(crate) key: Option<String>,
    pub(crate) hash_only: bool,
    /// How many frames of an animation are judged at most.
    pub(crate) frames: u32,
    /// Whether it is to be queued, so that its outcome comes whatever becomes of this server.
    pub(crate) queue: bool,
    /// How long the image may take.
    pub(crate) timeout: Option<Duration>,
    /// How long the caller waits for the outcome before coming back for it.
    pub(crate) wait: Option<Duration>,
    pub(crate) webhook: Option<String>,
}

impl Options {
    pub(crate) fn read(uri: &Uri, headers: &HeaderMap) -> Result<Self, Problem> {
        let Query(words) = Query::<Words>::try_from_uri(uri)
            .map_err(|error| Problem::bad_request(format!("the query: {}", error.body_text())))?;
        let or = |word: Option<String>, name: &'static str| match word {
            Some(word) => Ok(Some(word)),
            None => header(headers, name),
        };
        // Both are looked at: one that makes no sense is a mistake even where the other wins.
        let header_key = header(headers, "idempotency-key")?.map(key).transpose()?;
        let query_key = words.correlation_id.map(key).transpose()?;
        let frames = or(words.frames, "athena-frames")?;
        let frames = match frames.as_deref().map(str::parse) {
            None => 1,
            Some(Ok(frames @ 1..=MOST_FRAMES)) => frames,
            Some(_) => {
                let message = format!("frames: expected a number from 1 to {MOST_FRAMES}");
                return Err(Problem::bad_request(message));
            }
        };
        let hash_only = switch("hash_only", or(words.hash_only, "athena-hash-only")?)?;
        let queue = switch("queue", or(words.queue, "athena-queue")?)?;
        let timeout = or(words.timeout, "athena-timeout")?;
        let wait = match words.wait {
            Some(wait) => Some(duration("wait", &wait)?),
            None => preferred_wait(headers)?,
        };
        Ok(Self {
            affiliate: or(words.affiliate, "athena-affiliate")?
                .map(affiliate)
                .transpose()?,
            key: query_key.or(header_key),
            hash_only,
            frames,
            queue,
            timeout: timeout.map(|text| duration("timeout", &text)).transpose()?,
            wait,
            webhook: or(words.webhook, "athena-webhook")?,
        })
    }

    /// The key of an image of this request: the caller's, or a fresh one. `index` tells several of them apart.
    pub(crate) fn key_of(&self, index: Option<usize>) -> Arc<str> {
        match (&self.key, index) {
            (Some(key), None) => key.as_str().into(),
            (Some(key), Some(index)) => format!("{key}-{index}").into(),
            (None, _) => format!("{:032x}", fastrand::u128(..)).into(),
        }
    }

    /// How the outcome is fetched: `?wait=T` alone.
    pub(crate) fn read_wait(uri: &Uri) -> Result<Option<Duration>, Problem> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Wait {
            wait: Option<String>,
        }
        let Query(words) = Query::<Wait>::try_from_uri(uri)
            .map_err(|error| Problem::bad_request(format!("the query: {}", error.body_text())))?;
        words.wait.map(|wait| duration("wait", &wait)).transpose()
    }
}

/// On, off, or not said.
fn switch(name: &'static str, value: Option<String>) -> Result<bool, Problem> {
    match value.as_deref() {
        None | Some("false" | "0") => Ok(false),
        Some("" | "true" | "1") => Ok(true),
        Some(_) => Err(Problem::bad_request(format!(
            "{name}: expected true or false"
        ))),
    }
}

fn header(headers: &HeaderMap, name: &'static str) -> Result<Option<String>, Problem> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    match value.to_str() {
        Ok(text) if values.next().is_none() => Ok(Some(text.to_owned())),
        _ => Err(Problem::bad_request(format!(
            "{name}: expected one line of printable ASCII"
        ))),
    }
}

/// The header's value is a string in quotes by its draft, and mostly sent without them.
fn key(text: String) -> Result<String, Problem> {
    let inner = (text.strip_prefix('"')).and_then(|rest| rest.strip_suffix('"'));
    let key = inner.unwrap_or(&text);
    let plain = key.bytes().all(|byte| matches!(byte, b'!' | b'#'..=b'~'));
    if key.is_empty() || key.len() > MOST_KEY_BYTES || !plain {
        return Err(Problem::bad_request(format!(
            "the Idempotency-Key or correlation_id must have 1 to {MOST_KEY_BYTES} characters of \
             printable ASCII, without spaces and quotes"
        )));
    }
    Ok(key.to_owned())
}

fn affiliate(name: String) -> Result<String, Problem> {
    let fits = !name.is_empty()
        && name.len() <= 64
        && name.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    if fits {
        return Ok(name);
    }
    Err(Problem::bad_request(
        "affiliate: expected 1 to 64 characters of printable ASCII",
    ))
}

/// `10`, `0.5`, `10s`, `500ms`.
fn duration(name: &'static str, text: &str) -> Result<Duration, Problem> {
    let seconds = text.parse::<f64>().ok();
    let parsed = match seconds {
        Some(seconds) => Duration::try_from_secs_f64(seconds).ok(),
        None => humantime::parse_duration(text).ok(),
    };
    parsed
        .filter(|duration| *duration <= Duration::from_secs(86_400))
        .ok_or_else(|| {
            Problem::bad_request(format!(
                "{name}: expected seconds, or something like 500ms or 30s, up to a day"
            ))
        })
}

/// RFC 7240: `Prefer: wait=10`, or `respond-async` for not at all.
fn preferred_wait(headers: &HeaderMap) -> Result<Option<Duration>, Problem> {
    let mut wait = None;
    for value in headers.get_all("prefer") {
        for preference in value.to_str().unwrap_or("").split([',', ';']) {
            let preference = preference.trim();
            if let Some(seconds) = preference.strip_prefix("wait=") {
                wait = Some(duration("wait", seconds)?);
            } else if preference == "respond-async" && wait.is_none() {
                wait = Some(Duration::ZERO);
            }
        }
    }
    Ok(wait)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::Kind;

    fn read(uri: &str, headers: &[(&'static str, &str)]) -> Result<Options, Problem> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().expect("header"));
        }
        Options::read(&uri.parse().expect("uri"), &map)
    }

    #[test]
    fn query_and_headers_say_the_same_and_the_query_wins() {
        let options = read(
            "/?affiliate=a&hash_only=true&wait=500ms",
            &[
                ("athena-affiliate", "b"),
                ("idempotency-key", "\"k-1\""),
                ("athena-timeout", "2.5"),
            ],
        )
        .expect("valid");
        assert_eq!(options.affiliate.as_deref(), Some("a"));
        assert_eq!(options.key.as_deref(), Some("k-1"));
        assert!(options.hash_only);
        assert_eq!(options.frames, 1);
        assert_eq!(
            read("/?frames=8", &[("athena-frames", "2")])
                .expect("valid")
                .frames,
            8
        );
        assert_eq!(options.wait, Some(Duration::from_millis(500)));
        assert_eq!(options.timeout, Some(Duration::from_millis(2500)));
    }

    #[test]
    fn a_preference_stands_for_wait() {
        let wait = |value| read("/", &[("prefer", value)]).expect("valid").wait;
        assert_eq!(wait("respond-async"), Some(Duration::ZERO));
        assert_eq!(
            wait("respond-async, wait=10"),
            Some(Duration::from_secs(10))
        );
        assert_eq!(wait("handling=lenient"), None);
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for uri in [
            "/?hashonly=true",
            "/?hash_only=maybe",
            "/?queue=live",
            "/?wait=-1",
            "/?wait=inf",
            "/?wait=never",
            "/?timeout=100d",
            "/?frames=0",
            "/?frames=65",
            "/?frames=two",
            "/?correlation_id=",
            "/?correlation_id=a%20b",
            "/?affiliate=%0a",
            "/?affiliate=",
            "/?wait=1&wait=2",
        ] {
            assert_eq!(read(uri, &[]).expect_err(uri).kind(), Kind::BadRequest);
        }
        let long = "x".repeat(65);
        assert!(read("/", &[("idempotency-key", &long)]).is_err());
        let twice = [("athena-affiliate", "a"), ("athena-affiliate", "b")];
        assert!(read("/", &twice).is_err());
    }
}
