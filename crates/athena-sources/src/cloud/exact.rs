//! S3's objects whose keys object_store cannot ask for, such as `a//b` and `/a`: the same request, signed by
//! object_store, with the key as it is.

use http::{HeaderValue, Method, StatusCode, header};
use http_body_util::BodyExt;
use object_store::aws::{AwsAuthorizer, AwsCredentialProvider};
use object_store::client::{HttpClient, HttpRequestBody, HttpResponse};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::explain;
use super::service::{Purpose, Wanted};
use crate::error::{Error, ErrorKind};
use crate::location::Location;
use crate::object::{Condition, Fetched};

/// What S3's signatures leave as it is, and `/`.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');

/// Gets objects of one bucket by their exact keys.
#[derive(Debug)]
pub(super) struct Exact {
    pub(super) client: HttpClient,
    /// The bucket's address.
    pub(super) address: String,
    pub(super) region: String,
    /// None for anonymous requests.
    pub(super) credentials: Option<AwsCredentialProvider>,
}

impl Exact {
    pub(super) async fn get(
        &self,
        at: &Location,
        condition: &Condition,
        most: u64,
    ) -> Result<Fetched, Error> {
        let purpose = Purpose::of(Wanted::Object);
        let response = self.ask(at, condition, &purpose).await?;
        let (parts, body) = response.into_parts();
        if parts.status != StatusCode::OK {
            return Err(explain(at, None, &purpose));
        }
        let text = |name| Some(parts.headers.get(name)?.to_str().ok()?.to_owned());
        let length = text("content-length").and_then(|length| length.parse::<u64>().ok());
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
            etag: text("etag"),
            version: text("x-amz-version-id"),
        })
    }

    async fn ask(
        &self,
        at: &Location,
        condition: &Condition,
        purpose: &Purpose,
    ) -> Result<HttpResponse, Error> {
        let unusable = || {
            let message = format!("{at}: this cannot be asked for");
            Error::new(ErrorKind::Refused, message)
        };
        let key = utf8_percent_encode(at.key(), KEPT);
        let mut uri = format!("{}/{key}", self.address);
        if let Some(version) = &condition.version {
            uri += "?versionId=";
            uri.extend(utf8_percent_encode(version, KEPT));
        }
        let mut request = http::Request::builder()
            .method(Method::GET)
            .uri(uri)
            .extension(purpose.clone())
            .body(HttpRequestBody::empty())
            .map_err(|_| unusable())?;
        if let Some(etag) = condition
            .etag
            .as_ref()
            .filter(|_| condition.version.is_none())
        {
            let etag = HeaderValue::from_str(etag).map_err(|_| unusable())?;
            request.headers_mut().insert(header::IF_MATCH, etag);
        }
        if let Some(credentials) = &self.credentials {
            let credential = credentials.get_credential().await;
            let credential = credential.map_err(|error| explain(at, Some(&error), purpose))?;
            AwsAuthorizer::new(&credential, "s3", &self.region)
                .try_authorize(&mut request, None)
                .map_err(|error| explain(at, Some(&error), purpose))?;
        }
        let response = self.client.execute(request).await;
        response.map_err(|_| explain(at, None, purpose))
    }
}

/// Whether a part of the key is `.` or `..`: no HTTP client asks for it as it is.
pub(super) fn has_dots(key: &str) -> bool {
    key.split('/').any(|part| matches!(part, "." | ".."))
}
