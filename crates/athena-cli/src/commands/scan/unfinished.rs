//! What is left without a line, and how a scan ends that stops for it.

use std::path::PathBuf;

use athena_client::Error;
use athena_outcome::text;

use super::breaker::{Breaker, Event, Trip};
use crate::connect::{Target, service_failure};
use crate::exit::Exit;
use crate::failure::{Failure, one_line};
use crate::input::Unreadable;

/// Why an image has no line.
#[derive(Debug)]
pub(super) enum Cause {
    Service(Error),
    /// The file and what the system said.
    Storage(PathBuf, String),
    /// It is not even known what there is.
    Unlisted(Unreadable),
}

/// The last trouble of each kind: what a scan says that stops for it.
#[derive(Debug, Default)]
pub(super) struct Losses {
    service: Option<Error>,
    storage: Option<(PathBuf, String)>,
    /// The first thing that could not be listed, and will not be as things are. Whatever else is listed is done first.
    refused: Option<Failure>,
}

impl Losses {
    pub(super) fn by_service(&mut self, error: Error) -> Event {
        tracing::warn!("unfinished: {}", text::sdk_error(&error));
        self.service = Some(error);
        Event::Service
    }

    pub(super) fn by_storage(&mut self, path: PathBuf, why: String) -> Event {
        let file = one_line(&path.to_string_lossy());
        tracing::warn!(file, "unfinished: {why}");
        self.storage = Some((path, why));
        Event::Storage
    }

    pub(super) fn unlisted(&mut self, unreadable: Unreadable) -> Event {
        let Unreadable {
            path,
            reason,
            hopeless,
            ..
        } = unreadable;
        if let (Some(exit), None) = (hopeless, &self.refused) {
            let failure = Failure::new(exit, reason.clone());
            self.refused = Some(failure.remedy("--resume continues the scan"));
        }
        self.by_storage(path, reason)
    }

    /// How a scan ends that has come to all that there is to come to, if not well.
    pub(super) fn at_the_end(self, breaker: &Breaker, target: &Target) -> Option<Failure> {
        if self.refused.is_some() {
            return self.refused;
        }
        let trip = breaker.at_the_end(self.service.is_some())?;
        Some(self.failure(trip, target))
    }

    /// How a scan ends that stops.
    pub(super) fn failure(self, trip: Trip, target: &Target) -> Failure {
        if let (Trip::Storage, Some(refused)) = (trip, self.refused) {
            return refused;
        }
        match (trip, self.service, self.storage) {
            (Trip::Service, Some(error), _) => stopped(&error, target),
            (Trip::Service, None, _) => Failure::new(
                Exit::Service,
                format!(
                    "{}: the service fails one image after the other",
                    target.endpoint
                ),
            )
            .remedy("--resume continues the scan, with --retry-failed=service to do those again"),
            (Trip::Storage, _, Some((path, why))) => {
                let path = path.display().to_string();
                // What a store's error is about stands in it.
                let cause = match why.contains(&path) {
                    true => why,
                    false => format!("cannot read {path}: {why}"),
                };
                Failure::local(cause).remedy(
                    "is the disk, the network drive or the store still there? --resume continues the scan",
                )
            }
            (
                Trip::Failures {
                    by_service: true, ..
                },
                Some(error),
                _,
            ) => stopped(&error, target).also("--max-failures was exceeded"),
            (Trip::Failures { failed, done, .. }, ..) => Failure::new(
                Exit::SomeFailed,
                format!("{failed} of {done} images failed, more than --max-failures allows"),
            )
            .remedy("--resume continues the scan"),
            (Trip::Storage, _, None) => Failure::local("the files can no longer be read"),
        }
    }
}

/// How a scan ends that the service stops.
pub(super) fn stopped(error: &Error, target: &Target) -> Failure {
    service_failure(error, target).also("--resume continues the scan")
}
