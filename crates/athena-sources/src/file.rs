//! Files of this machine.

use std::fs::{File, Metadata};
use std::io::{self, Read};

use crate::error::{Error, SourceErrorKind};
use crate::location::Location;
use crate::object::{Fetched, Listed};

pub(crate) async fn get(path: &str, most: u64) -> Result<Fetched, Error> {
    blocking(path, move |path| {
        let (file, metadata) = open(&path)?;
        let mut bytes = Vec::new();
        if metadata.len() <= most {
            file.take(most + 1)
                .read_to_end(&mut bytes)
                .map_err(|error| failed(&path, error))?;
        }
        if metadata.len() > most || bytes.len() as u64 > most {
            return Err(Error::new(
                SourceErrorKind::TooLarge,
                format!("{path} has more than {most} bytes"),
            ));
        }
        Ok(Fetched {
            bytes: bytes.into(),
            ..Fetched::default()
        })
    })
    .await
}

pub(crate) async fn head(path: &str) -> Result<Listed, Error> {
    blocking(path, |path| {
        let (_, metadata) = open(&path)?;
        let location: Result<Location, _> = match url::Url::from_file_path(&path) {
            Ok(url) => url.as_str().parse(),
            Err(()) => format!("file://{path}").parse(),
        };
        let location = location
            .map_err(|error| Error::new(SourceErrorKind::Unusable, format!("{path}: {error}")))?;
        let mut listed = Listed::new(location, metadata.len());
        listed.modified = metadata.modified().ok();
        Ok(listed)
    })
    .await
}

async fn blocking<T: Send + 'static>(
    path: &str,
    work: impl FnOnce(String) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let path = path.to_owned();
    let task = tokio::task::spawn_blocking(move || work(path));
    task.await
        .map_err(|_| Error::new(SourceErrorKind::Transient, "stopped while a file was read"))?
}

/// A regular file: anything else could block for good or never end.
fn open(path: &str) -> Result<(File, Metadata), Error> {
    let look = || -> io::Result<(File, Metadata)> {
        regular(&std::fs::metadata(path)?)?;
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        regular(&metadata)?;
        Ok((file, metadata))
    };
    look().map_err(|error| failed(path, error))
}

fn regular(metadata: &Metadata) -> io::Result<()> {
    match metadata.is_file() {
        true => Ok(()),
        false => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "this is not a regular file",
        )),
    }
}

fn failed(path: &str, error: io::Error) -> Error {
    let kind = match error.kind() {
        io::ErrorKind::NotFound => SourceErrorKind::NotFound,
        io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidInput => SourceErrorKind::Refused,
        _ => SourceErrorKind::Transient,
    };
    Error::new(kind, format!("{path} cannot be read")).because(error)
}
