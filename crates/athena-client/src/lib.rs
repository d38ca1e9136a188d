//! SDK for the Athena image-classification service.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod backoff;
mod builder;
mod classify_all;
mod client;
mod collect;
mod error;
mod id;
mod image;
#[cfg(feature = "imaging")]
mod imaging;
mod payload;
mod prepare;
mod session;
mod transport;
mod unary;
mod verdict;

pub use athena_auth as auth;
pub use athena_proto::{ImageFormat, RequestEncoding};
pub use builder::{ClientBuilder, DEFAULT_ENDPOINT};
pub use classify_all::ClassifyAll;
pub use client::{Client, Deployment};
pub use error::{BuildError, Delivery, Error, ErrorKind};
pub use id::MAX_ID_BYTES;
pub use image::{Image, MAX_FILE_BYTES};
pub use payload::{Payload, RAW_FRAME_BYTES};
pub use prepare::Preprocess;
pub use session::{Histogram, Pending, Session, SessionBuilder, Stats, Unclaimed, Unfinished};
pub use transport::BoxError;
pub use verdict::Verdict;
