//! The record of one image, and the policy that decides by it.
//!
//! A [`Record`] says everything about one image: what it was, what the service said or why there is no
//! verdict, and what may be billed. Every tool of Athena writes it as one JSON object, so that what one
//! language stores another can read. `docs/outcome.schema.json` is its JSON Schema.
//!
//! A [`Policy`] is a TOML file that makes a [`Decision`] of a record: allow, review or block. What could
//! not be classified is never allowed by accident: each policy has to say what becomes of it.
//!
//! ```
//! use athena_client::Verdict;
//! use athena_outcome::{Decision, Policy, Record};
//!
//! let policy: Policy = r#"
//!     on_error = "hold"
//!     otherwise = "allow"
//!
//!     [[rules]]
//!     when = "known_match"
//!     then = "block"
//!
//!     [[rules]]
//!     label = "PCSAM"
//!     at_least = 0.8
//!     then = "review"
//! "#
//! .parse()?;
//!
//! let mut record = Record::with_key("upload-7");
//! record.answered(&Verdict::new("upload-7", [("UnknownCSAM-PCSAM", 0.93)]));
//! record.decide(&policy);
//! assert_eq!(record.decision, Some(Decision::Review));
//! assert_eq!(record.why.as_deref(), Some("PCSAM >= 0.8"));
//! # Ok::<(), athena_outcome::PolicyError>(())
//! ```
//!
//! # Features
//!
//! | feature | gives | default |
//! | --- | --- | --- |
//! | `schema` | `schemars::JsonSchema` for [`Record`] and its parts | no |
#![cfg_attr(docsrs, feature(doc_cfg))]

mod path;
mod policy;
mod record;
mod sdk;
pub mod text;

pub use path::PathText;
pub use policy::{Decision, OnError, Policy, PolicyError, Rule, StatusCodes, Test};
pub use record::{
    ActionKind, DeliveryWord, HashLookup, Record, RecordAction, RecordError, SCHEMA_VERSION,
    Scores, Status, most_weight, short_label,
};
pub use sdk::error_word;
