//! Requests that object_store does not make, with the credentials that it has: tags of objects, and S3's objects
//! whose keys it cannot ask for, such as `a//b` and `/a`.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use http_body_util::BodyExt;
use object_store::client::{HttpClient, HttpRequest, HttpRequestBody, HttpResponse};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::service::{Purpose, Wanted};
use super::{Bucket, explain, keys};
use crate::error::{Error, SourceErrorKind};
use crate::location::Location;
use crate::object::{Condition, Fetched, Listed, Put};

/// What signatures leave as it is, and `/`.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');

/// How often a request is made, and how long is waited first: the wait doubles.
const TRIES: u32 = 4;
const WAIT: Duration = Duration::from_millis(100);

/// Asks for objects of one bucket by their exact keys.
#[derive(Debug)]
pub(super) struct Direct {
    pub(super) client: HttpClient,
    /// The bucket's address.
    pub(super) address: String,
    pub(super) signer: Signer,
}

/// By whose rules requests are signed. Without credentials they are not.
#[derive(Debug)]
pub(super) enum Signer {
    #[cfg(feature = "s3")]
    Amazon {
        region: String,
        credentials: Option<object_store::aws::AwsCredentialProvider>,
    },
    #[cfg(feature = "azure")]
    Azure {
        account: String,
        credentials: Option<object_store::azure::AzureCredentialProvider>,
    },
}

/// What is asked.
#[derive(Debug)]
pub(super) struct Ask<'a> {
    pub(super) method: Method,
    /// What follows `?`, a version excepted.
    pub(super) query: &'a str,
    pub(super) version: Option<&'a str>,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl<'a> Ask<'a> {
    pub(super) fn new(method: Method) -> Self {
        Self {
            method,
            query: "",
            version: None,
            headers: HeaderMap::new(),
            body: Bytes::new(),
        }
    }

    fn under(method: Method, at: &Location, condition: &'a Condition) -> Result<Self, Error> {
        let mut ask = Self::new(method);
        ask.version = condition.version.as_deref();
        // A version never changes.
        if let (Some(etag), None) = (&condition.etag, &condition.version) {
            let etag = HeaderValue::from_str(etag).map_err(|_| unusable(at))?;
            ask.headers.insert(header::IF_MATCH, etag);
        }
        Ok(ask)
    }
}

impl Bucket {
    /// What asks for this object, where object_store cannot.
    pub(super) fn direct_for(&self, at: &Location) -> Option<&Direct> {
        let direct = self.direct.as_deref()?;
        let cannot =
            direct.takes_any_key() && keys::path_of(at.key()).is_none() && !has_dots(at.key());
        cannot.then_some(direct)
    }
}

impl Direct {
    /// Azure's own rules for names are no wider than object_store's.
    fn takes_any_key(&self) -> bool {
        match self.signer {
            #[cfg(feature = "s3")]
            Signer::Amazon { .. } => true,
            #[cfg(feature = "azure")]
            Signer::Azure { .. } => false,
        }
    }

    pub(super) async fn get(
        &self,
        at: &Location,
        condition: &Condition,
        most: u64,
    ) -> Result<Fetched, Error> {
        let purpose = Purpose::of(Wanted::Object);
        let ask = Ask::under(Method::GET, at, condition)?;
        let response = self.ask(at, &ask, &purpose).await?;
        let (parts, body) = response.into_parts();
        let length = number(&parts.headers, header::CONTENT_LENGTH.as_str());
        if length.is_some_and(|length| length > most) {
            return Err(Error::too_large(at, most));
        }
        let limit = usize::try_from(most).unwrap_or(usize::MAX);
        let body = http_body_util::Limited::new(body, limit).collect().await;
        let bytes = match body {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<http_body_util::LengthLimitError>() => {
                return Err(Error::too_large(at, most));
            }
            Err(_) => return Err(explain(at, None, &purpose)),
        };
        Ok(Fetched {
            bytes,
            etag: text(&parts.headers, "etag"),
            version: text(&parts.headers, "x-amz-version-id"),
        })
    }

    pub(super) async fn head(&self, at: &Location, condition: &Condition) -> Result<Listed, Error> {
        let purpose = Purpose::of(Wanted::Small);
        let ask = Ask::under(Method::HEAD, at, condition)?;
        let headers = self.ask(at, &ask, &purpose).await?.into_parts().0.headers;
        let size = number(&headers, header::CONTENT_LENGTH.as_str());
        let size = size.ok_or_else(|| explain(at, None, &purpose))?;
        let mut listed = Listed::new(at.clone(), size);
        listed.etag = text(&headers, "etag");
        listed.version = text(&headers, "x-amz-version-id");
        Ok(listed)
    }

    pub(super) async fn put_new(&self, at: &Location, bytes: Bytes) -> Result<Put, Error> {
        let purpose = Purpose::of(Wanted::Small);
        let mut ask = Ask::new(Method::PUT);
        ask.headers
            .insert(header::IF_NONE_MATCH, HeaderValue::from_static("*"));
        ask.body = bytes;
        match self.ask(at, &ask, &purpose).await {
            Ok(_) => Ok(Put::Stored),
            Err(error) if error.kind() == SourceErrorKind::Changed => Ok(Put::AlreadyThere),
            Err(error) => Err(error),
        }
    }

    /// The answer, if it is one of success. What may succeed later is asked again a few times.
    pub(super) async fn ask(
        &self,
        at: &Location,
        ask: &Ask<'_>,
        purpose: &Purpose,
    ) -> Result<HttpResponse, Error> {
        let mut wait = WAIT;
        for _ in 1..TRIES {
            match self.once(at, ask, purpose).await {
                Err(error) if error.is_transient() => tokio::time::sleep(wait).await,
                done => return done,
            }
            wait *= 2;
        }
        self.once(at, ask, purpose).await
    }

    async fn once(
        &self,
        at: &Location,
        ask: &Ask<'_>,
        purpose: &Purpose,
    ) -> Result<HttpResponse, Error> {
        let mut request = self.request(at, ask, purpose)?;
        self.sign(at, &mut request, purpose).await?;
        let response = self.client.execute(request).await;
        let response = response.map_err(|_| explain(at, None, purpose))?;
        // 206 would be a part, 304 nothing.
        let good = [StatusCode::OK, StatusCode::CREATED, StatusCode::NO_CONTENT];
        match good.contains(&response.status()) {
            true => Ok(response),
            false => Err(explain(at, None, purpose)),
        }
    }

    fn request(
        &self,
        at: &Location,
        ask: &Ask<'_>,
        purpose: &Purpose,
    ) -> Result<HttpRequest, Error> {
        let key = utf8_percent_encode(at.key(), KEPT);
        let mut uri = format!("{}/{key}", self.address);
        let version = match self.signer {
            #[cfg(feature = "s3")]
            Signer::Amazon { .. } => "versionId",
            #[cfg(feature = "azure")]
            Signer::Azure { .. } => "versionid",
        };
        let version = (ask.version)
            .map(|value| format!("{version}={}", utf8_percent_encode(value, NON_ALPHANUMERIC)));
        let query = [
            Some(ask.query.to_owned()).filter(|query| !query.is_empty()),
            version,
        ];
        for (part, mark) in query.into_iter().flatten().zip(["?", "&"]) {
            uri.extend([mark, &part]);
        }
        let mut request = http::Request::builder()
            .method(ask.method.clone())
            .uri(uri)
            .extension(purpose.clone())
            .body(HttpRequestBody::from(ask.body.clone()))
            .map_err(|_| unusable(at))?;
        *request.headers_mut() = ask.headers.clone();
        if ask.method == Method::PUT {
            // Azure's signature covers it.
            (request.headers_mut()).insert(header::CONTENT_LENGTH, ask.body.len().into());
        }
        Ok(request)
    }

    async fn sign(
        &self,
        at: &Location,
        request: &mut HttpRequest,
        purpose: &Purpose,
    ) -> Result<(), Error> {
        let failed = |error: object_store::Error| explain(at, Some(&error), purpose);
        match &self.signer {
            #[cfg(feature = "s3")]
            Signer::Amazon {
                region,
                credentials: Some(credentials),
            } => {
                let credential = credentials.get_credential().await.map_err(failed)?;
                object_store::aws::AwsAuthorizer::new(&credential, "s3", region)
                    .try_authorize(request, None)
                    .map_err(failed)
            }
            #[cfg(feature = "azure")]
            Signer::Azure {
                account,
                credentials: Some(credentials),
            } => {
                let credential = credentials.get_credential().await.map_err(failed)?;
                object_store::azure::AzureAuthorizer::new(&credential, account)
                    .try_authorize(request)
                    .map_err(failed)
            }
            _ => Ok(()),
        }
    }
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.to_owned())
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    text(headers, name)?.parse().ok()
}

fn unusable(at: &Location) -> Error {
    let message = format!("{at}: this cannot be asked for");
    Error::new(SourceErrorKind::Refused, message)
}

/// Whether a part of the key is `.` or `..`: no HTTP client asks for it as it is.
fn has_dots(key: &str) -> bool {
    key.split('/').any(|part| matches!(part, "." | ".."))
}
