//! A token in a file.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind as IoKind, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use fs4::{FileExt, TryLockError};
use tokio::task::spawn_blocking;
use zeroize::Zeroizing;

use super::{StoreAccess, TokenStore};
use crate::{AuthError, AuthErrorKind, BoxFuture, Secret};

/// How often a lock that somebody else has is tried again, less a random share of half.
const TRY_EVERY: Duration = Duration::from_millis(40);
/// Nothing that is kept is longer.
const MAX_BYTES: usize = 128 * 1024;

/// A token that the processes of one user on one host share.
///
/// The file is made with mode 600 and replaced as a whole; a file beside it, with `.lock` at the
/// end of its name, lets one process at a time in, and lets go when that process dies. A file that
/// others can read is refused. Put it into a folder that belongs to the service alone, on a file
/// system of this host.
///
/// ```no_run
/// use athena_auth::{OAuthClientCredentials, TokenFile};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let source = OAuthClientCredentials::builder("my-client-id", std::env::var("MY_SECRET")?)
///     .token_url("https://login.example.com/oauth/token")
///     .token_store(TokenFile::new("/run/my-service/token"))
///     .build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct TokenFile {
    path: PathBuf,
}

impl TokenFile {
    /// The token is kept here. The folder must exist.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }
}

impl TokenStore for TokenFile {
    fn enter(&self) -> BoxFuture<'_, Result<Box<dyn StoreAccess>, AuthError>> {
        Box::pin(async move {
            let path = self.path.clone();
            let lock = blocking(move || open_lock(&path)).await?;
            // Tried rather than waited for: a thread that waits for a lock cannot be called back.
            loop {
                match FileExt::try_lock(&lock) {
                    Ok(()) => break,
                    Err(TryLockError::WouldBlock) => {
                        tokio::time::sleep(TRY_EVERY.mul_f64(0.5 + 0.5 * fastrand::f64())).await;
                    }
                    Err(TryLockError::Error(error)) => return Err(trouble(&self.path, error)),
                }
            }
            Ok(Box::new(Access {
                path: self.path.clone(),
                _lock: lock,
            }) as Box<dyn StoreAccess>)
        })
    }
}

struct Access {
    path: PathBuf,
    /// Unlocked when it is closed, by whatever end the process comes to.
    _lock: File,
}

impl StoreAccess for Access {
    fn read(&mut self) -> BoxFuture<'_, Result<Option<Secret>, AuthError>> {
        let path = self.path.clone();
        Box::pin(blocking(move || read(&path)))
    }

    fn write(&mut self, kept: &Secret) -> BoxFuture<'_, Result<(), AuthError>> {
        let (path, kept) = (self.path.clone(), kept.clone());
        Box::pin(blocking(move || {
            write(&path, kept.expose().as_bytes()).map_err(|error| trouble(&path, error))
        }))
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, AuthError> + Send + 'static,
) -> Result<T, AuthError> {
    spawn_blocking(work).await.map_err(|error| {
        AuthError::new(
            AuthErrorKind::Runtime,
            "the token file was not finished with",
        )
        .with_source(error)
    })?
}

fn open_lock(path: &Path) -> Result<File, AuthError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    private(OpenOptions::new().read(true).write(true).create(true))
        .open(name)
        .map_err(|error| trouble(path, error))
}

fn read(path: &Path) -> Result<Option<Secret>, AuthError> {
    let file = match File::open(path) {
        Err(error) if error.kind() == IoKind::NotFound => return Ok(None),
        Err(error) => return Err(trouble(path, error)),
        Ok(file) => file,
    };
    refuse_what_others_can_read(path, &file)?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_BYTES + 1));
    file.take(MAX_BYTES as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| trouble(path, error))?;
    // What is not text, or too long, is nothing that was kept here.
    let text = std::str::from_utf8(&bytes).ok();
    Ok(text.filter(|text| text.len() <= MAX_BYTES).map(Secret::new))
}

#[cfg(unix)]
fn refuse_what_others_can_read(path: &Path, file: &File) -> Result<(), AuthError> {
    use std::os::unix::fs::PermissionsExt;

    let metadata = file.metadata().map_err(|error| trouble(path, error))?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    Err(AuthError::new(
        AuthErrorKind::Insecure,
        format!(
            "others can read the token file {} (mode {mode:03o}): remove it, and see who did that; chmod 600 \
             makes it good again",
            path.display()
        ),
    ))
}

#[cfg(not(unix))]
fn refuse_what_others_can_read(_: &Path, _: &File) -> Result<(), AuthError> {
    Ok(())
}

/// A new file takes the old one's place, so that nobody ever sees half of one.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let new = Path::new(&name);
    // Of a process with this number that was cut off here.
    match std::fs::remove_file(new) {
        Err(error) if error.kind() != IoKind::NotFound => return Err(error),
        _ => {}
    }
    let written = private(OpenOptions::new().write(true).create_new(true))
        .open(new)
        .and_then(|mut file| file.write_all(bytes))
        .and_then(|()| std::fs::rename(new, path));
    if written.is_err() {
        let _ = std::fs::remove_file(new);
    }
    written
}

/// Readable by its owner alone, from the start.
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

fn trouble(path: &Path, error: io::Error) -> AuthError {
    let message = format!("the token file {} cannot be used", path.display());
    AuthError::new(AuthErrorKind::Unavailable, message).with_source(error)
}
