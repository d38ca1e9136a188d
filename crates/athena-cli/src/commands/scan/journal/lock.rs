use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use fs4::TryLockError;

use super::journal_path;
use crate::failure::{Failure, Outcome, reason};

/// A process that was killed holds its lock until the system has cleared it away.
const PATIENCE: Duration = Duration::from_secs(if cfg!(test) { 0 } else { 3 });

/// A journal that no second scan can write to. The lock goes with the process, however it ends.
#[derive(Debug)]
pub(super) struct Locked(pub(super) File);

impl Locked {
    /// Locks the journal of `output`.
    pub(super) fn new(journal: File, output: &Path) -> Outcome<Self> {
        let end = Instant::now() + PATIENCE;
        loop {
            match fs4::FileExt::try_lock(&journal) {
                Ok(()) => return Ok(Self(journal)),
                Err(TryLockError::WouldBlock) if Instant::now() < end => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                Err(TryLockError::WouldBlock) => {
                    let cause = format!("another scan is writing to {}", output.display());
                    let remedy = "wait for it to end, or choose another --output";
                    return Err(Failure::local(cause).remedy(remedy));
                }
                Err(TryLockError::Error(error)) => {
                    return Err(Failure::local(format!(
                        "cannot lock {}: {}",
                        journal_path(output).display(),
                        reason(&error)
                    )));
                }
            }
        }
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        // Closing is not enough while a process that is just being started has a copy of the handle.
        let _ = fs4::FileExt::unlock(&self.0);
    }
}
