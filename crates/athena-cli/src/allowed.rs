//! Images that jobs and callers name by URL: only those that the operator has allowed.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use athena_client::BoxError;
use athena_gateway::{AddressRules, FetchError, Fetched, Guard, RefusedAddress, literal};
use athena_net::{Network, NetworkBuilder};
use athena_sources::{Condition, Location, SourceErrorKind, Sources, Store};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::Url;

use crate::exit::Exit;
use crate::failure::{Failure, Outcome, chain};
use crate::left_out::check_store;
use crate::trust;

/// Stores, and the beginnings of what may be read from them.
pub(crate) struct AllowedSources {
    sources: Sources,
    prefixes: Vec<Location>,
    web: Guard,
}

impl AllowedSources {
    /// None where nothing is allowed.
    pub(crate) async fn open(allowed: &[String], private: bool) -> Outcome<Option<Self>> {
        if allowed.is_empty() {
            return Ok(None);
        }
        let mut web = Guard::new(AddressRules { private });
        let mut prefixes = Vec::new();
        let mut files = false;
        for text in allowed {
            let refused = |why: &dyn fmt::Display| {
                Failure::new(Exit::Usage, format!("--allow-url {text}: {why}"))
            };
            let location: Location = text.parse().map_err(|error| refused(&error))?;
            match location.store() {
                Store::Http => web = web.allow(text).map_err(|error| refused(&error))?,
                store => {
                    check_store(&location)?;
                    files |= store == Store::File;
                    prefixes.push(location);
                }
            }
        }
        let gate = web.clone();
        let client = web_client(web.rules()).await?;
        let sources = Sources::builder()
            .network(network(trust::stores()?)?)
            .files(files)
            .gate(move |url| gate.check_url(url.as_str()).is_ok())
            .web_client(client)
            .build()
            .await
            .map_err(|error| Failure::configuration(chain(&error)))?;
        Ok(Some(Self {
            sources,
            prefixes,
            web,
        }))
    }

    fn allows(&self, location: &Location) -> bool {
        match location.store() {
            Store::Http => self.web.check_url(&location.address()).is_ok(),
            _ => (self.prefixes.iter()).any(|prefix| {
                // What is below a name, and not what begins with the same letters.
                let below = location.key().strip_prefix(prefix.key());
                prefix.covers(location)
                    && below.is_some_and(|rest| {
                        let folder = prefix.key().is_empty() || prefix.key().ends_with('/');
                        folder || rest.is_empty() || rest.starts_with('/')
                    })
                    && !location.key().split('/').any(|part| part == "..")
            }),
        }
    }
}

impl fmt::Debug for AllowedSources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AllowedSources")
            .field("prefixes", &self.prefixes)
            .field("web", &self.web)
            .finish_non_exhaustive()
    }
}

fn network(builder: NetworkBuilder) -> Outcome<Network> {
    builder
        .build()
        .map_err(|error| Failure::configuration(chain(&error)))
}

/// A client for web servers that connects to addresses which were checked, whatever a name resolves to next. It
/// goes by no proxy, which would resolve names itself.
async fn web_client(rules: AddressRules) -> Outcome<reqwest::Client> {
    let network = network(trust::stores()?.no_proxy())?;
    let builder = network.http_client().await;
    builder
        .dns_resolver(Arc::new(Checked(rules)))
        .read_timeout(Duration::from_secs(30))
        .build()
        .map_err(|error| Failure::configuration(chain(&error)))
}

/// Resolves names to addresses that may be connected to.
struct Checked(AddressRules);

impl Resolve for Checked {
    fn resolve(&self, name: Name) -> Resolving {
        let rules = self.0;
        Box::pin(async move {
            // The port is the URL's.
            let found = rules.resolve(name.as_str(), 0).await;
            let found: Vec<SocketAddr> = found.map_err(BoxError::from)?;
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

impl athena_gateway::Fetch for AllowedSources {
    fn fetch<'a>(
        &'a self,
        url: &'a Url,
        _: &'a Guard,
        most: usize,
    ) -> BoxFuture<'a, Result<Fetched, FetchError>> {
        async move {
            let text = literal(url).ok_or(FetchError::NotFound)?;
            self.get(&text, most).await
        }
        .boxed()
    }
}

#[cfg(feature = "worker")]
impl athena_worker::Fetch for AllowedSources {
    fn name(&self, url: &str) -> Option<String> {
        url.parse::<Location>()
            .ok()
            .map(|location| location.to_string())
    }

    fn fetch<'a>(
        &'a self,
        url: &'a str,
        most: usize,
    ) -> BoxFuture<'a, Result<Fetched, FetchError>> {
        self.get(url, most).boxed()
    }
}

impl AllowedSources {
    async fn get(&self, url: &str, most: usize) -> Result<Fetched, FetchError> {
        let location: Location = url.parse().map_err(|_| FetchError::Refused)?;
        if !self.allows(&location) {
            return Err(FetchError::Refused);
        }
        let fetched = self
            .sources
            .fetch(&location, &Condition::default(), most as u64)
            .await;
        match fetched {
            Ok(fetched) => Ok(Fetched {
                bytes: fetched.bytes,
                etag: fetched.etag,
                version: fetched.version,
            }),
            Err(error) => Err(match error.kind() {
                SourceErrorKind::NotFound | SourceErrorKind::Changed => FetchError::NotFound,
                SourceErrorKind::TooLarge => FetchError::TooLarge,
                SourceErrorKind::Refused | SourceErrorKind::Unusable => FetchError::Refused,
                _ if is_refused(&error) => FetchError::Refused,
                _ => FetchError::Unavailable(error.into()),
            }),
        }
    }
}

/// Whether its host has an address that is not gone to: for a store that is a failure to connect like others.
fn is_refused(error: &athena_sources::Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(refused) = error.downcast_ref::<RefusedAddress>() {
            return !refused.is_unresolved();
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_what_is_below_an_allowed_name_is_read() {
        let allowed = ["s3://b/in/", "https://h.example/u/", "s3://c/one"].map(str::to_owned);
        let sources = AllowedSources::open(&allowed, false).await.expect("sound");
        let sources = sources.expect("something is allowed");
        let allows = |text: &str| sources.allows(&text.parse().expect("location"));
        for url in [
            "s3://b/in/a.jpg",
            "https://h.example/u/a",
            "s3://c/one",
            "s3://c/one/a",
        ] {
            assert!(allows(url), "{url}");
        }
        for url in [
            "s3://b/other/a.jpg",
            "s3://b/in/../other",
            "s3://bb/in/a.jpg",
            "gs://b/in/a.jpg",
            "s3://c/one-more",
            "https://h.example/v/a",
            "http://h.example/u/a",
            "file:///etc/passwd",
        ] {
            assert!(!allows(url), "{url}");
        }
        assert!(
            AllowedSources::open(&[], false)
                .await
                .expect("sound")
                .is_none()
        );
    }
}
