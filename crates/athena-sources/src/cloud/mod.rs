//! Object stores, by object_store and through our own clients.

mod keys;
mod service;

#[cfg(feature = "azure")]
mod azure;
#[cfg(any(feature = "s3", feature = "azure"))]
mod direct;
#[cfg(feature = "gcs")]
mod gcs;
#[cfg(feature = "s3")]
mod profile;
#[cfg(feature = "s3")]
mod s3;
#[cfg(any(feature = "s3", feature = "azure"))]
mod tags;

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use http::StatusCode;
use object_store::list::{PaginatedListOptions, PaginatedListStore};
use object_store::path::Path;
use object_store::{
    BackoffConfig, GetOptions, ObjectMeta, ObjectStore, PutMode, PutOptions, RetryConfig,
};

use self::service::{Answer, Connector, Purpose, Wanted};
use crate::environment::Environment;
use crate::error::{Error, SourceErrorKind};
use crate::location::{Location, Store};
use crate::object::{Condition, Fetched, Listed, Put};
use crate::transport::Transport;

/// How a bucket is reached.
#[derive(Clone, Debug)]
pub(crate) struct Means {
    pub(crate) transport: Transport,
    pub(crate) environment: Environment,
    pub(crate) anonymous: bool,
}

/// A bucket, ready to be asked.
#[derive(Clone)]
pub(crate) struct Bucket {
    objects: Arc<dyn ObjectStore>,
    pages: Arc<dyn PaginatedListStore>,
    #[cfg(any(feature = "s3", feature = "azure"))]
    direct: Option<Arc<direct::Direct>>,
}

/// A page of a listing.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) objects: Vec<Listed>,
    /// What keys begin with up to their next `/`, where that was asked for.
    pub(crate) folders: Vec<String>,
    /// What to ask the next one with.
    pub(crate) next: Option<String>,
}

/// What pages are to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pages {
    /// Every object.
    OfObjects,
    /// Folders in the place of what is in them.
    OfFolders,
}

/// How often and how long a request is made again: the callers have patience of their own.
fn retry() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(5),
            base: 2.0,
        },
        max_retries: 5,
        retry_timeout: Duration::from_secs(30),
    }
}

impl Bucket {
    /// Opens the bucket of a location. No request is made yet.
    pub(crate) async fn open(at: &Location, means: &Means) -> Result<Self, Error> {
        match at.store() {
            #[cfg(feature = "s3")]
            Store::S3 => s3::open(at.bucket(), means).await,
            #[cfg(feature = "gcs")]
            Store::Gcs => gcs::open(at.bucket(), means),
            #[cfg(feature = "azure")]
            Store::Azure => azure::open(at.bucket(), means),
            _ => Err(Error::new(
                SourceErrorKind::Unusable,
                format!("{at}: this program was built without this store"),
            )),
        }
    }

    fn of<S: ObjectStore + PaginatedListStore>(store: S) -> Self {
        let store = Arc::new(store);
        Self {
            objects: Arc::clone(&store) as Arc<dyn ObjectStore>,
            pages: store,
            #[cfg(any(feature = "s3", feature = "azure"))]
            direct: None,
        }
    }

    pub(crate) async fn get(
        &self,
        at: &Location,
        condition: &Condition,
        most: u64,
    ) -> Result<Fetched, Error> {
        #[cfg(any(feature = "s3", feature = "azure"))]
        if let Some(direct) = self.direct_for(at) {
            return direct.get(at, condition, most).await;
        }
        let purpose = Purpose::of(Wanted::Object);
        let options = options(condition, &purpose);
        let path = exact(at)?;
        let failed = |error: object_store::Error| explain(at, Some(&error), &purpose);
        let result = self
            .objects
            .get_opts(&path, options)
            .await
            .map_err(failed)?;
        let meta = result.meta.clone();
        let too_large = || Error::too_large(at, most);
        if meta.size > most {
            return Err(too_large());
        }
        let mut bytes = BytesMut::with_capacity(usize::try_from(meta.size).unwrap_or(0));
        let mut stream = result.into_stream();
        while let Some(piece) = stream.next().await {
            let piece = piece.map_err(failed)?;
            if (bytes.len() + piece.len()) as u64 > most {
                return Err(too_large());
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(Fetched {
            bytes: bytes.freeze(),
            etag: meta.e_tag,
            version: meta.version,
        })
    }

    /// An object's bytes as they come, for what is larger than memory.
    pub(crate) async fn read(
        &self,
        at: &Location,
        condition: &Condition,
    ) -> Result<BoxStream<'static, Result<Bytes, Error>>, Error> {
        let purpose = Purpose::of(Wanted::Object);
        let options = options(condition, &purpose);
        let result = self.objects.get_opts(&exact(at)?, options).await;
        let result = result.map_err(|error| explain(at, Some(&error), &purpose))?;
        let at = at.clone();
        let pieces = result.into_stream();
        Ok(pieces
            .map(move |piece| piece.map_err(|error| explain(&at, Some(&error), &purpose)))
            .boxed())
    }

    pub(crate) async fn head(&self, at: &Location, condition: &Condition) -> Result<Listed, Error> {
        #[cfg(any(feature = "s3", feature = "azure"))]
        if let Some(direct) = self.direct_for(at) {
            return direct.head(at, condition).await;
        }
        let purpose = Purpose::of(Wanted::Small);
        let mut options = options(condition, &purpose);
        options.head = true;
        let result = self.objects.get_opts(&exact(at)?, options).await;
        let result = result.map_err(|error| explain(at, Some(&error), &purpose))?;
        Ok(listed(at.clone(), result.meta))
    }

    /// One page of what begins with the key of `at`, from after a key on, or the one that an earlier page named.
    pub(crate) async fn page(
        &self,
        at: &Location,
        after: Option<&str>,
        token: Option<String>,
        pages: Pages,
    ) -> Result<Page, Error> {
        let purpose = Purpose::of(Wanted::Page);
        let mut options = PaginatedListOptions {
            offset: after.map(str::to_owned),
            page_token: token,
            delimiter: (pages == Pages::OfFolders).then_some("/".into()),
            ..PaginatedListOptions::default()
        };
        options.extensions.insert(purpose.clone());
        let prefix = Some(at.key()).filter(|prefix| !prefix.is_empty());
        let page = self.pages.list_paginated(prefix, options).await;
        let page = page.map_err(|error| explain(at, Some(&error), &purpose))?;
        let objects = page.result.objects.into_iter();
        let folders = page.result.common_prefixes.iter();
        Ok(Page {
            folders: folders.map(keys::of_listed).collect(),
            objects: objects
                .map(|meta| listed(at.with_key(keys::of_listed(&meta.location)), meta))
                .collect(),
            next: page.page_token.filter(|token| !token.is_empty()),
        })
    }

    pub(crate) async fn put_new(&self, at: &Location, bytes: Bytes) -> Result<Put, Error> {
        #[cfg(any(feature = "s3", feature = "azure"))]
        if let Some(direct) = self.direct_for(at) {
            return direct.put_new(at, bytes).await;
        }
        let purpose = Purpose::of(Wanted::Small);
        let mut options = PutOptions::from(PutMode::Create);
        options.extensions.insert(purpose.clone());
        match self
            .objects
            .put_opts(&exact(at)?, bytes.into(), options)
            .await
        {
            Ok(_) => Ok(Put::Stored),
            Err(
                object_store::Error::AlreadyExists { .. }
                | object_store::Error::Precondition { .. },
            ) => Ok(Put::AlreadyThere),
            Err(error) => Err(explain(at, Some(&error), &purpose)),
        }
    }
}

#[cfg(not(any(feature = "s3", feature = "azure")))]
impl Bucket {
    pub(crate) async fn tag(
        &self,
        at: &Location,
        _: &Condition,
        _: &crate::object::Tag,
    ) -> Result<(), Error> {
        let message = format!("{at}: objects of this store have no tags");
        Err(Error::new(SourceErrorKind::Unusable, message))
    }
}

fn options(condition: &Condition, purpose: &Purpose) -> GetOptions {
    let mut options = GetOptions {
        // A version never changes; some stores take no condition beside it.
        if_match: condition
            .etag
            .clone()
            .filter(|_| condition.version.is_none()),
        version: condition.version.clone(),
        ..GetOptions::default()
    };
    options.extensions.insert(purpose.clone());
    options
}

fn listed(location: Location, meta: ObjectMeta) -> Listed {
    Listed {
        location,
        size: meta.size,
        // As a request wants it: Azure lists it without quotes.
        etag: meta.e_tag.map(|etag| crate::object::quoted(&etag)),
        version: meta.version,
        modified: Some(meta.last_modified.into()),
    }
}

fn exact(at: &Location) -> Result<Path, Error> {
    keys::path_of(at.key()).ok_or_else(|| {
        Error::new(
            SourceErrorKind::Refused,
            format!("{at}: a key with a part that is empty, `.` or `..`, or with a control character, cannot be asked for here"),
        )
    })
}

/// Says what happened by what the store has answered: object_store's own text holds all of that answer.
fn explain(at: &Location, error: Option<&object_store::Error>, purpose: &Purpose) -> Error {
    let Some(answer) = purpose.answered() else {
        return unsent(at, error);
    };
    let Answer {
        status,
        code,
        region,
        trouble,
    } = answer;
    let Some(status) = status else {
        let why = trouble.unwrap_or_else(|| "the connection ended".to_owned());
        return Error::new(
            SourceErrorKind::Transient,
            format!("{at}: no answer from the store: {why}"),
        );
    };
    let word = code
        .as_deref()
        .map_or_else(|| status.as_u16().to_string(), str::to_owned);
    let (kind, message) = match (status, code.as_deref()) {
        (status, _) if status.is_success() => (
            SourceErrorKind::Transient,
            "the store's answer ended early, or cannot be read".to_owned(),
        ),
        (_, Some("ExpiredToken" | "TokenRefreshRequired" | "InvalidAccessKeyId" | "InvalidToken" | "SignatureDoesNotMatch" | "AuthenticationFailed" | "NoAuthenticationInformation"))
        | (StatusCode::UNAUTHORIZED, _) => (
            SourceErrorKind::Credentials,
            format!("the store does not accept these credentials ({word}): are they the right ones, and still valid?"),
        ),
        (_, Some("RequestTimeTooSkewed")) => (
            SourceErrorKind::Credentials,
            "the clock of this machine is wrong: the store refuses its signatures".to_owned(),
        ),
        (StatusCode::NOT_FOUND, Some("NoSuchBucket" | "ContainerNotFound")) => {
            (SourceErrorKind::NotFound, format!("there is no bucket {}", at.bucket()))
        }
        (StatusCode::NOT_FOUND | StatusCode::GONE, _) => (SourceErrorKind::NotFound, "there is no such object".to_owned()),
        (StatusCode::PRECONDITION_FAILED | StatusCode::NOT_MODIFIED, _) => (
            SourceErrorKind::Changed,
            "the object has changed since it was listed".to_owned(),
        ),
        (StatusCode::FORBIDDEN, Some("InvalidObjectState" | "BlobArchived")) | (StatusCode::CONFLICT, Some("BlobArchived")) => (
            SourceErrorKind::Refused,
            "the object is archived: restore it first".to_owned(),
        ),
        (StatusCode::FORBIDDEN, _) => (SourceErrorKind::Refused, format!("the store refuses access ({word})")),
        (status, _) if status.is_redirection() => (
            SourceErrorKind::Unusable,
            match region {
                Some(region) => format!("the bucket is in another region: set AWS_REGION={region}"),
                None => "the store sends us elsewhere: are region and endpoint right?".to_owned(),
            },
        ),
        (StatusCode::NOT_IMPLEMENTED, _) => (
            SourceErrorKind::Unusable,
            "the store does not know this request".to_owned(),
        ),
        (status, _)
            if status.is_server_error()
                || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT) =>
        {
            (SourceErrorKind::Transient, format!("the store has a problem of its own ({word})"))
        }
        // S3 answers HEAD without a body, an expired token with 400.
        (StatusCode::BAD_REQUEST, None) => (
            SourceErrorKind::Refused,
            "the store does not understand the request (400): are region, endpoint and credentials right?".to_owned(),
        ),
        _ => match region {
            Some(region) => (
                SourceErrorKind::Unusable,
                format!("the store refuses the request ({word}); the bucket's region is {region}"),
            ),
            None => (SourceErrorKind::Refused, format!("the store refuses the request ({word})")),
        },
    };
    Error::new(kind, format!("{at}: {message}"))
}

/// Nothing was asked: there was no signature for it, or the answer could not be read.
fn unsent(at: &Location, error: Option<&object_store::Error>) -> Error {
    let hint = match at.store() {
        Store::S3 => "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
        Store::Gcs => {
            "set GOOGLE_APPLICATION_CREDENTIALS, or run `gcloud auth application-default login`"
        }
        _ => {
            "set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY, or run `az login` with AZURE_USE_AZURE_CLI=true"
        }
    };
    match error {
        Some(
            object_store::Error::NotImplemented { .. } | object_store::Error::NotSupported { .. },
        ) => Error::new(
            SourceErrorKind::Unusable,
            format!("{at}: the store cannot do that"),
        ),
        _ => Error::new(
            SourceErrorKind::Credentials,
            format!(
                "{at}: there are no credentials for this store: {hint}; or ask for public objects without any"
            ),
        ),
    }
}

/// A builder that cannot build: a setting of the user's.
fn unusable(bucket: &str, error: &object_store::Error) -> Error {
    tracing::debug!(bucket, "the store cannot be opened");
    // The texts of builders name settings, never their values.
    Error::new(
        SourceErrorKind::Unusable,
        format!("the bucket {bucket} cannot be opened: {error}"),
    )
}

impl Means {
    fn connector(&self, prefix: &str) -> Connector {
        Connector {
            transport: self.transport.clone(),
            allow_http: self.environment.says(&format!("{prefix}_ALLOW_HTTP")),
        }
    }
}
