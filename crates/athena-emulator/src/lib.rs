//! A local Athena: gRPC over TLS with its own OAuth token endpoint, to test clients in any language.
//!
//! Three lines give a test a running Athena that nobody else uses:
//!
//! ```
//! use athena_emulator::Emulator;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), athena_emulator::Error> {
//! let athena = Emulator::builder().start().await?;
//! println!("gRPC at {}, tokens at {}", athena.endpoint(), athena.token_url());
//! println!("trust {} as {}", athena.ca_pem(), athena.client_id());
//! # athena.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! Everything is real but the classifier: TLS with a certificate authority made at start, the
//! client-credentials grant with signed tokens, deployments whose streams share results. The
//! weights are computed from the pixels, repeatably, **and mean nothing: this is not a classifier**.
//!
//! It can also do things wrong on purpose, from the start, while it runs, or over its admin API:
//!
//! ```
//! # use athena_emulator::Emulator;
//! use athena_emulator::{Faults, When};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), athena_emulator::Error> {
//! let athena = Emulator::builder()
//!     .faults(Faults::none().seed(7).cut(When::Next(1)).swallow(When::Every(10)))
//!     .start()
//!     .await?;
//! athena.revoke_tokens();
//! athena.set_faults(Faults::none());
//! # Ok(())
//! # }
//! ```
//!
//! A test can also decide what is answered ([`Rule`]), have a part of the emulator for itself
//! ([`Namespace`]) and wait for what its client sends ([`Expectation`]).
//!
//! The feature `avif`, on by default, takes AVIF among what clients send. With the feature `upstream` it passes calls on
//! to a real service and records its answers.
//!
//! `docs/emulator.md` describes the settings, the faults and the admin API, and how to point
//! clients in Rust, Python, Node.js and .NET at it. The `athena emulator` command runs it on its
//! own.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod admin;
mod body;
mod builder;
mod certificates;
mod classification;
mod config;
mod deployments;
mod duration;
mod emulator;
mod environment;
mod error;
mod faults;
mod listener;
mod namespace;
mod oauth;
mod observe;
mod rpc;
mod rules;
mod state;
mod sync;

/// The errors that [`Faults::image_error`] and [`Rule::error`] answer with.
pub use athena_proto::ErrorCode;
pub use builder::EmulatorBuilder;
pub use config::{
    ClientConfig, Config, DEFAULT_SCOPE, Labels, Limits, Ports, RateLimit, Unmatched,
};
pub use deployments::DeploymentInfo;
pub use emulator::Emulator;
pub use error::{EmulatorErrorKind, Error};
pub use faults::{Delay, Faults, RejectStatus, TokenFault, When};
pub use namespace::{Expectation, Namespace, Unmet};
pub use oauth::TokenKind;
pub use observe::{RecordedInput, Stats};
pub use rules::{AnswerError, Rule, RuleInfo, Selector};

/// What callers hold may go to any thread.
const _: () = {
    const fn assert<T: Send + Sync>() {}
    assert::<Emulator>();
    assert::<EmulatorBuilder>();
    assert::<Config>();
    assert::<Faults>();
    assert::<Namespace>();
    assert::<Rule>();
    assert::<Error>();
};
