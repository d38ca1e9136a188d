//! Objects of stores, and the listings that they come from.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use athena_outcome::Record;
use athena_sources::{
    Condition, Error, Fetched, Listed, Location, LocationError, SourceErrorKind, Store,
};

use super::list::Row;
use super::remote::Remote;
use super::{Found, Input, Selection, Unreadable, location_of, walk};
use crate::exit::Exit;
use crate::failure::{Failure, chain, without_userinfo};
use crate::left_out::check_store;

/// An object, as far as it is known before its bytes are.
#[derive(Clone, Debug)]
pub(crate) struct Object {
    pub(crate) location: Location,
    /// None where nobody has said.
    pub(crate) size: Option<u64>,
    pub(crate) etag: Option<String>,
    pub(crate) version: Option<String>,
    remote: Arc<Remote>,
}

impl Object {
    fn listed(listed: Listed, remote: Arc<Remote>) -> Self {
        Self {
            location: listed.location,
            size: Some(listed.size),
            etag: listed.etag,
            version: listed.version,
            remote,
        }
    }

    /// An object of which only the name is known, and what a list says.
    pub(super) fn named(location: Location, remote: Arc<Remote>) -> Self {
        Self {
            location,
            size: None,
            etag: None,
            version: None,
            remote,
        }
    }

    /// Its record, of which nothing more is known yet.
    pub(crate) fn record(&self) -> Record {
        let mut record = Record::of_url(self.location.to_string());
        record.etag.clone_from(&self.etag);
        record.object_version.clone_from(&self.version);
        record.bytes = self.size;
        record
    }

    fn condition(&self) -> Condition {
        Condition {
            etag: self.etag.clone(),
            version: self.version.clone(),
        }
    }

    /// Its bytes, if it is still the one that was listed. What is known to be too large is not asked for.
    pub(crate) async fn fetch(&self, most: u64) -> Result<Fetched, Error> {
        self.check(most)?;
        (self.remote.fetch(&self.location, self.condition(), most)).await
    }

    /// The same from a thread that may wait.
    pub(crate) fn fetch_now(&self, most: u64) -> Result<Fetched, Error> {
        self.check(most)?;
        (self.remote).fetch_now(&self.location, self.condition(), most)
    }

    fn check(&self, most: u64) -> Result<(), Error> {
        match self.size {
            Some(size) if size > most => Err(Error::too_large(&self.location, most)),
            _ => Ok(()),
        }
    }
}

/// A URL as it may be written down, sound or not.
pub(crate) fn shown_url(url: &str) -> String {
    match url.parse::<Location>() {
        Ok(location) => location.to_string(),
        Err(_) => {
            let plain = without_userinfo(url);
            let shown = plain.split_once('?').map(|(before, _)| before.to_owned());
            shown.unwrap_or(plain)
        }
    }
}

/// Objects of a store that is never asked.
#[cfg(test)]
pub(crate) struct Nowhere(Location, Arc<Remote>);

#[cfg(test)]
impl Object {
    pub(crate) fn nowhere() -> Nowhere {
        let bucket = "s3://bucket/".parse().expect("URL");
        Nowhere(bucket, Arc::new(Remote::start(true).expect("threads")))
    }
}

#[cfg(test)]
impl Nowhere {
    pub(crate) fn object(&self, key: &str, number: u64) -> Object {
        let mut object = Object::named(self.0.with_key(key), Arc::clone(&self.1));
        object.etag = Some(format!("\"{number:032x}\""));
        object.size = Some(number);
        object
    }
}

/// An error that no other object of the store can escape, as the end of a command.
pub(crate) fn hopeless(error: &Error) -> Option<Failure> {
    let exit = match error.kind() {
        SourceErrorKind::Credentials => Exit::Refused,
        SourceErrorKind::Unusable => Exit::Configuration,
        _ => return None,
    };
    Some(Failure::new(exit, chain(error)))
}

/// The images of a place in a store: an object, or all that a prefix begins.
pub(super) fn expand(
    selection: &Selection,
    path: &Path,
    location: Result<Location, LocationError>,
    named: bool,
) -> Box<dyn Iterator<Item = Found> + Send> {
    let failed = |reason: String| -> Box<dyn Iterator<Item = Found> + Send> {
        Box::new(std::iter::once(Err(Unreadable {
            path: path.to_owned(),
            reason,
            lost: false,
            hopeless: None,
        })))
    };
    let location = match location {
        Ok(location) => location,
        Err(error) => return failed(error.to_string()),
    };
    if location.store() == Store::File && selection.asks {
        let path = PathBuf::from(location.key());
        return match named || selection.fits(&path) {
            true => walk::walk(selection, path),
            false => Box::new(std::iter::empty()),
        };
    }
    let remote = match selection.remote() {
        Ok(remote) => remote,
        Err(failure) => return failed(failure.to_string()),
    };
    if location.is_prefix() {
        return Box::new(list(selection, &location, None));
    }
    if !named || !selection.asks || !location.store().has_listings() {
        let object = Object::named(location, remote);
        return Box::new(std::iter::once(Ok(Input::Object(Box::new(object)))));
    }
    match remote.head_now(&location) {
        Ok(mut listed) => {
            // As a listing would have named it, so that it is the same object in either case.
            listed.version = None;
            let object = Object::listed(listed, remote);
            Box::new(std::iter::once(Ok(Input::Object(Box::new(object)))))
        }
        // As a path may be a file or a folder.
        Err(error) if error.kind() == SourceErrorKind::NotFound => {
            let prefix = location.with_key(format!("{}/", location.key()));
            let mut listed = list(selection, &prefix, None).peekable();
            match listed.peek() {
                Some(_) => Box::new(listed),
                None => failed("there is no such object, and none below it".to_owned()),
            }
        }
        Err(error) => Box::new(std::iter::once(Err(unlisted(&location, &error)))),
    }
}

/// The images of a list's row: an object as the row describes it, a file, a folder.
pub(super) fn expand_row(
    selection: &Selection,
    row: Result<Row, Unreadable>,
) -> Box<dyn Iterator<Item = Found> + Send> {
    let row = match row {
        Ok(row) => row,
        Err(unreadable) => return Box::new(std::iter::once(Err(unreadable))),
    };
    let location = location_of(&row.name).and_then(Result::ok);
    let is_object = |at: &Location| !at.is_prefix() && at.store() != Store::File;
    let Some(location) = location.filter(is_object) else {
        return selection.expand(Ok(Input::File(row.name)), false);
    };
    if !selection.admits_size(row.size, row.modified) {
        return Box::new(std::iter::empty());
    }
    let asked = match selection.asks {
        true => check_store(&location),
        false => Ok(()),
    };
    let found = match asked.and_then(|()| selection.remote()) {
        Ok(remote) => {
            let mut object = Object::named(location, remote);
            object.size = row.size;
            object.etag = row.etag;
            object.version = row.version;
            Ok(Input::Object(Box::new(object)))
        }
        Err(failure) => Err(Unreadable {
            path: row.name,
            reason: failure.to_string(),
            lost: true,
            hopeless: Some(failure.exit()),
        }),
    };
    Box::new(std::iter::once(found))
}

/// The objects of a prefix, from after a key on.
pub(super) fn list(
    selection: &Selection,
    prefix: &Location,
    after: Option<String>,
) -> impl Iterator<Item = Found> + Send + use<> {
    let selection = selection.clone();
    let (listed, failed) = match selection.remote() {
        Ok(remote) => (Some((remote.list(prefix, after), remote)), None),
        Err(failure) => (
            None,
            Some(Err(Unreadable {
                path: prefix.to_string().into(),
                reason: failure.to_string(),
                lost: true,
                hopeless: Some(failure.exit()),
            })),
        ),
    };
    let prefix = prefix.clone();
    let listed = listed
        .into_iter()
        .flat_map(|(listed, remote)| listed.map(move |listed| (listed, Arc::clone(&remote))));
    let found = listed.filter_map(move |(listed, remote)| match listed {
        Ok(listed) => selection.object(&prefix, listed, &remote).map(Ok),
        Err(error) => Some(Err(unlisted(&prefix, &error))),
    });
    found.chain(failed)
}

pub(super) fn unlisted(prefix: &Location, error: &Error) -> Unreadable {
    Unreadable {
        path: prefix.to_string().into(),
        reason: chain(error),
        // Nothing is known of what it would have listed.
        lost: true,
        hopeless: hopeless(error)
            .map(|failure| failure.exit())
            .or((error.kind() == SourceErrorKind::Refused).then_some(Exit::Refused)),
    }
}

impl Selection {
    /// What a listing has named, if it is wanted.
    pub(super) fn object(
        &self,
        prefix: &Location,
        listed: Listed,
        remote: &Arc<Remote>,
    ) -> Option<Input> {
        let wanted = self.admits_object(prefix, &listed);
        wanted.then(|| Input::Object(Box::new(Object::listed(listed, Arc::clone(remote)))))
    }

    /// Whether an object of a listing is wanted. Its bytes are not looked at: every object is taken for an
    /// image, unless it has none, as what stands for a folder, or the globs leave it out.
    fn admits_object(&self, prefix: &Location, listed: &Listed) -> bool {
        let key = listed.location.key();
        let relative = key.strip_prefix(prefix.key()).unwrap_or(key);
        if key.ends_with('/') && listed.size == 0 {
            return false;
        }
        if self.exclude.is_match(relative)
            || (!self.include.is_empty() && !self.include.is_match(relative))
        {
            self.skipped.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        self.admits_size(Some(listed.size), listed.modified)
    }
}
