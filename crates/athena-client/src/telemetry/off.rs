//! The same interface as with the feature `otel`, of which nothing is left when it is compiled.

use std::sync::Arc;
use std::time::Duration;

use athena_auth::TokenSource;
use http::Uri;
use tonic::Status;
use tonic::metadata::MetadataMap;

use super::Mode;
use crate::error::Error;
use crate::prepare::{Preparation, Preparer};
use crate::session::Shared;
use crate::verdict::Verdict;

#[derive(Debug, Clone)]
pub(crate) struct Telemetry;

/// In what a span begins.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parent;

pub(crate) fn current() -> Parent {
    Parent
}

/// Of an image.
#[derive(Debug)]
pub(crate) struct Span;

/// Of a call.
#[derive(Debug)]
pub(crate) struct Call;

/// Of a client among those that are observed.
#[derive(Debug)]
pub(crate) struct Membership;

impl Telemetry {
    pub(crate) fn global() -> Self {
        Self
    }

    pub(crate) fn image(&self, _: Mode, _: &str, _: Option<&str>) -> Span {
        Span
    }

    pub(crate) fn call(&self, _: &'static str, _: &Uri, _: &Parent) -> Call {
        Call
    }

    pub(crate) fn retried(&self) {}

    pub(crate) fn prepared(&self, _: &Preparation, _: Duration) {}

    pub(crate) fn opened(&self, _: &Arc<Shared>) {}

    pub(crate) fn over(&self, _: &Arc<Shared>) {}

    pub(crate) fn join(&self, _: Option<&Arc<dyn TokenSource>>, _: &Preparer) -> Membership {
        Membership
    }
}

impl Span {
    pub(crate) fn around<F: Future>(&self, future: F) -> F {
        future
    }

    pub(crate) fn times(&mut self, _: Option<Duration>, _: Option<Duration>) {}

    pub(crate) fn answered_on(&self, _: &Call) {}

    pub(crate) fn end(self, _: Result<&Verdict, &Error>) {}
}

impl Call {
    pub(crate) fn introduce(&self, _: &mut MetadataMap) {}

    pub(crate) fn end(self, _: Result<(), &Status>) {}
}
