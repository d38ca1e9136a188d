//! Images of web servers, one by one.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::{StatusCode, header};
use reqwest::{Client, Response};
use url::Url;

use crate::error::{Error, SourceErrorKind};
use crate::location::Location;
use crate::object::{Condition, Fetched, Listed};
use crate::transport::{Transport, is_metadata, may_go};

/// Redirects that are followed: image servers send to where the bytes are.
const MOST_HOPS: usize = 5;

/// Says whether an address may be gone to: asked for the first one and for each redirect.
pub type Gate = Arc<dyn Fn(&Url) -> bool + Send + Sync>;

/// Gets images by their addresses.
#[derive(Clone)]
pub(crate) struct Web {
    client: Option<Client>,
    transport: Transport,
    gate: Option<Gate>,
}

impl Web {
    pub(crate) fn new(transport: Transport, client: Option<Client>, gate: Option<Gate>) -> Self {
        Self {
            client,
            transport,
            gate,
        }
    }

    pub(crate) async fn get(
        &self,
        at: &Location,
        condition: &Condition,
        most: u64,
    ) -> Result<Fetched, Error> {
        let mut response = self.ask(at, condition, http::Method::GET).await?;
        if response
            .content_length()
            .is_some_and(|length| length > most)
        {
            return Err(Error::too_large(at, most));
        }
        let etag = etag(&response);
        let mut bytes = BytesMut::new();
        while let Some(piece) = next(at, &mut response).await? {
            if (bytes.len() + piece.len()) as u64 > most {
                return Err(Error::too_large(at, most));
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(Fetched {
            bytes: bytes.freeze(),
            etag,
            version: None,
        })
    }

    async fn ask(
        &self,
        at: &Location,
        condition: &Condition,
        method: http::Method,
    ) -> Result<Response, Error> {
        let refused = |why: &str| Error::new(SourceErrorKind::Refused, format!("{at}: {why}"));
        let mut url: Url = (at.address().parse()).map_err(|_| refused("this is not an address"))?;
        for _ in 0..=MOST_HOPS {
            if !may_go(&url) || is_metadata(&url) {
                return Err(refused("only https:// is asked"));
            }
            if self.gate.as_ref().is_some_and(|gate| !gate(&url)) {
                return Err(refused("it leads where this program does not go"));
            }
            let client = self
                .client
                .as_ref()
                .unwrap_or_else(|| self.transport.client(&url));
            let mut request = client.request(method.clone(), url.clone());
            if let Some(etag) = &condition.etag {
                request = request.header(header::IF_MATCH, etag);
            }
            let response = request
                .send()
                .await
                .map_err(|error| unanswered(at, error))?;
            let status = response.status();
            if !status.is_redirection() || status == StatusCode::NOT_MODIFIED {
                return checked(at, response);
            }
            let target = response.headers().get(header::LOCATION);
            let target = target.and_then(|target| target.to_str().ok());
            let target = (target.and_then(|target| url.join(target).ok()))
                .ok_or_else(|| refused("it redirects to no address"))?;
            if !may_lead(&url, &target) {
                return Err(refused("it redirects from https:// to http://"));
            }
            url = target;
        }
        Err(refused("it redirects too often"))
    }
}

/// Whether a redirect is followed: a server elsewhere must not send a request in the clear to this machine.
fn may_lead(from: &Url, to: &Url) -> bool {
    to.scheme() == "https" || from.scheme() == "http"
}

fn checked(at: &Location, response: Response) -> Result<Response, Error> {
    let status = response.status();
    let (kind, message) = match status {
        StatusCode::OK => return Ok(response),
        StatusCode::NOT_FOUND | StatusCode::GONE => {
            (SourceErrorKind::NotFound, "there is nothing".to_owned())
        }
        StatusCode::PRECONDITION_FAILED | StatusCode::NOT_MODIFIED => (
            SourceErrorKind::Changed,
            "it has changed since it was listed".to_owned(),
        ),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => (
            SourceErrorKind::Transient,
            format!("the server is busy ({})", status.as_u16()),
        ),
        status if status.is_server_error() => (
            SourceErrorKind::Transient,
            format!("the server has a problem of its own ({})", status.as_u16()),
        ),
        status => (
            SourceErrorKind::Refused,
            format!("the server refuses it ({})", status.as_u16()),
        ),
    };
    Err(Error::new(kind, format!("{at}: {message}")))
}

async fn next(at: &Location, response: &mut Response) -> Result<Option<Bytes>, Error> {
    response
        .chunk()
        .await
        .map_err(|error| unanswered(at, error))
}

fn unanswered(at: &Location, error: reqwest::Error) -> Error {
    let message = match error.is_timeout() {
        true => "no answer in time",
        false => "no answer",
    };
    // What cannot be resolved or is not TLS may be mended as well: it says nothing about the image.
    Error::new(SourceErrorKind::Transient, format!("{at}: {message}")).because(error.without_url())
}

fn etag(response: &Response) -> Option<String> {
    let etag = response.headers().get(header::ETAG)?.to_str().ok()?;
    Some(etag.to_owned())
}

impl Web {
    /// What is known of it without its bytes.
    pub(crate) async fn head(&self, at: &Location, condition: &Condition) -> Result<Listed, Error> {
        let response = self.ask(at, condition, http::Method::HEAD).await?;
        let length = response.headers().get(header::CONTENT_LENGTH);
        let size = length.and_then(|length| length.to_str().ok()?.parse().ok());
        let mut listed = Listed::new(at.clone(), size.unwrap_or(0));
        listed.etag = etag(&response);
        Ok(listed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_redirect_leads_from_tls_to_this_machine_in_the_clear() {
        for (from, to, followed) in [
            ("https://a.example/1", "https://b.example/2", true),
            ("https://a.example/1", "http://127.0.0.1:8500/v1/kv", false),
            ("https://a.example/1", "http://localhost/", false),
            ("http://127.0.0.1:9000/1", "http://127.0.0.1:9001/2", true),
            ("http://127.0.0.1:9000/1", "https://b.example/2", true),
        ] {
            let url = |text: &str| -> Url { text.parse().expect("a URL") };
            assert_eq!(may_lead(&url(from), &url(to)), followed, "{from} {to}");
        }
    }
}
