//! Where Athena's images are: object stores, web servers and files, read by name.
//!
//! A [`Location`] is such a name: `s3://bucket/key`, `gs://…`, `az://…`, `https://…` or `file://…`. [`Sources`] turns
//! it into bytes, within a limit and only if they are still those that were listed; or into a listing, which is
//! streamed, and goes on after any key. Credentials are those that the user of a cloud has already: variables,
//! Amazon's profiles, the identity of the machine or pod.
//!
//! ```no_run
//! use athena_sources::{Location, Sources};
//! use futures_util::StreamExt;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let sources = Sources::builder().build().await?;
//! let archive: Location = "s3://archive/2026/".parse()?;
//! let mut listing = sources.list(&archive, None);
//! while let Some(object) = listing.next().await {
//!     let object = object?;
//!     match sources.fetch(&object.location, &object.condition(), 20_000_000).await {
//!         Ok(image) => println!("{}: {} bytes", object.location, image.bytes.len()),
//!         Err(error) if error.is_of_object() => println!("{error}"),
//!         Err(error) => return Err(error.into()),
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Features
//! `s3`, `gcs`, `azure` and `http` each bring one kind of store; files need none. TLS is rustls with ring, trust and
//! proxies are those of [`athena_net`](https://docs.rs/athena-net).

#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "cloud")]
mod cloud;
#[cfg(feature = "cloud")]
mod environment;
mod error;
mod file;
mod location;
mod object;
mod sources;
#[cfg(feature = "transport")]
mod transport;
#[cfg(feature = "http")]
mod web;

pub use self::error::{BoxError, Error, SourceErrorKind};
pub use self::location::{Location, LocationError, Store};
pub use self::object::{Condition, Fetched, Listed, Put, Tag, quoted};
pub use self::sources::{KeyRange, Requests, Sources, SourcesBuilder, Step};
#[cfg(feature = "http")]
pub use self::web::Gate;
