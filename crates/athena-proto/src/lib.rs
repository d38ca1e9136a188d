//! Wire types and gRPC stubs of the Athena image-classification service.
//!
//! This crate is the wire contract and nothing else: no connection, no retry, no token. Use
//! `athena-client` to talk to the service; use this crate to build a client, a proxy or a test
//! server of your own.
//!
//! ```
//! use athena_proto::{ClassificationInput, ImageFormat, RequestEncoding};
//!
//! let input = ClassificationInput {
//!     affiliate: "acme".into(),
//!     correlation_id: "upload-7".into(),
//!     encoding: RequestEncoding::Uncompressed.into(),
//!     format: ImageFormat::RawUint8Bgr.into(),
//!     data: vec![0; 448 * 448 * 3].into(), // `bytes::Bytes`: cloned and sent without a copy
//!     ..Default::default()
//! };
//! assert_eq!(input.format(), ImageFormat::RawUint8Bgr);
//! ```
//!
//! # Features
//!
//! | feature | gives | default |
//! | --- | --- | --- |
//! | `client` | `classifier_service_client`: the stub over any tower service that speaks gRPC | yes |
//! | `server` | `classifier_service_server`: the trait to implement and its service | no |
//!
//! Without features only the messages remain, and tonic is not in the dependency tree.
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(any(feature = "client", feature = "server"))]
mod codec;

#[allow(missing_docs, unreachable_pub, clippy::all, rustdoc::all)]
mod generated {
    include!("generated/athena.rs");
}

pub use generated::*;

/// The encoded `google.protobuf.FileDescriptorSet` of the service and everything it imports, as
/// gRPC reflection needs it.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!("generated/athena.fds");
