//! SDK for the Athena image-classification service, which tells a platform whether an uploaded
//! image is child sexual abuse material.
//!
//! - [`Client::classify`]: one image, one answer, with a deadline and careful retries.
//! - [`Client::classify_all`]: a stream of images in, a stream of results out.
//! - [`Client::session`]: a long-lived [`Session`] that many tasks submit to.
//!
//! Every image that is accepted ends in exactly one [`Verdict`], one [`Error`], or a cancellation by
//! its caller; no broken connection loses one. `docs/streaming.md` has all promises, and what to
//! watch in operation.
//!
//! ```no_run
//! use athena_client::{Client, Image};
//! use futures_util::{StreamExt, stream};
//!
//! # #[cfg(feature = "oauth")]
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     // OAUTH_CLIENT_ID, OAUTH_CLIENT_SECRET, ATHENA_AFFILIATE; nothing is connected yet.
//!     let client = Client::from_env()?;
//!
//!     let verdict = client.classify(Image::from_path("upload.jpg").await?).await?;
//!     println!("{:?}, known content: {}", verdict.pcsam(), verdict.known_match());
//!
//!     let files = stream::iter(["a.jpg", "b.png"]).map(|file| (file, Image::from_file(file)));
//!     let mut results = client.classify_all(files);
//!     while let Some((file, result)) = results.next().await {
//!         match result {
//!             Ok(verdict) => println!("{file}: {:?}", verdict.pcsam()),
//!             Err(error) => eprintln!("{file}: {error}"), // every file has a line
//!         }
//!     }
//!     Ok(())
//! }
//! # #[cfg(not(feature = "oauth"))]
//! # fn main() {}
//! ```
//!
//! # What to decide by
//!
//! [`Verdict::known_match`] says that the file is known content, [`Verdict::pcsam`] how probable it
//! is that unknown content is. Either may be missing; an [`Error`] is never an all-clear. An image
//! that cannot be decoded is an error of kind [`ErrorKind::Undecodable`], and its hashes are looked
//! up all the same: see [`Error::hash_verdict`].
//!
//! # Features
//!
//! | feature | gives | default |
//! | --- | --- | --- |
//! | `native` | any image file as input: [`Preprocess`] for [`imaging::Preprocessor`], used unless another is set; exact, needs a C compiler | yes |
//! | `pure-rust` | the same without any C; JPEG is not exact | no |
//! | `avif` | AVIF besides, in Rust without assembly | no |
//! | `imaging` | the same without JPEG and WebP, for crates that leave the choice to others | with either |
//! | `oauth` | [`auth::OAuthClientCredentials`] and `Client::from_env` | yes |
//! | `otel` | metrics, spans and trace context by OpenTelemetry: see [`otel`] | no |
//! | `token-store` | `auth::TokenFile`: a token shared by processes | no |
//! | `jwt` | `auth::JwtAssertion`: credentials without a secret that is sent | no |
//!
//! Without `imaging`, bring your own [`Preprocess`] or submit [`Image::from_payload`].
//!
//! # Types of other crates
//!
//! [`auth`] and [`imaging`] are `athena-auth` and `athena-imaging`, whole: neither is needed as a
//! dependency of its own. Besides them the interface speaks `bytes::Bytes`, `futures_core::Stream`
//! and, in [`ClientBuilder::service`] alone, `http`, `tower_service` and tonic's body.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod answer;
mod backoff;
mod builder;
mod classify_all;
mod client;
mod collect;
mod common;
mod duration;
mod endpoint;
pub mod environment;
mod error;
mod file;
mod id;
mod image;
#[cfg(feature = "otel")]
pub mod otel;
mod pause;
mod payload;
mod prepare;
mod prepared;
#[cfg(feature = "imaging")]
mod preprocessor;
mod session;
mod sync;
mod telemetry;
mod transport;
mod unary;
mod verdict;

pub use athena_auth as auth;
pub use athena_auth::BoxError;
#[cfg(feature = "imaging")]
pub use athena_imaging as imaging;
pub use athena_proto::{ImageFormat, RequestEncoding};
pub use builder::ClientBuilder;
pub use classify_all::ClassifyAll;
pub use client::{Client, Deployment};
pub use environment::DEFAULT_ENDPOINT;
pub use error::{BuildError, Delivery, Error, ErrorKind};
pub use id::MAX_ID_BYTES;
pub use image::{Image, MAX_FILE_BYTES};
pub use payload::{Payload, RAW_FRAME_BYTES};
pub use prepare::Preprocess;
pub use prepared::{Prepared, Provenance};
pub use session::{Histogram, Pending, Session, SessionBuilder, Stats, Unclaimed, Unfinished};
pub use verdict::Verdict;

/// What callers hold may go to any thread.
const _: () = {
    const fn assert<T: Send + Sync>() {}
    assert::<Client>();
    assert::<ClientBuilder>();
    assert::<Session>();
    assert::<SessionBuilder>();
    assert::<Pending>();
    assert::<Image>();
    assert::<Prepared>();
    assert::<Verdict>();
    assert::<Error>();
    assert::<BuildError>();
    assert::<Unfinished>();
};
