//! `exec:`: a program for each match, with a time-out, and none left behind.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use athena_client::environment;
use athena_outcome::Record;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::Taken;
use super::evidence::{Judged, digest};
use crate::failure::reason;

/// Process groups of the programs that are running.
static RUNNING: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

/// Ends every program that is running, with whatever it has started.
pub(in crate::commands::scan) fn end_all() {
    for group in std::mem::take(&mut *RUNNING.lock().unwrap_or_else(PoisonError::into_inner)) {
        end(group);
    }
}

#[cfg(unix)]
fn end(group: u32) {
    use rustix::process::{Pid, Signal, kill_process_group};
    if let Some(group) = i32::try_from(group).ok().and_then(Pid::from_raw) {
        // It may have ended by itself.
        let _ = kill_process_group(group, Signal::KILL);
    }
}

#[cfg(not(unix))]
fn end(_: u32) {}

/// A program under way: when this goes, so does the program.
struct Running(u32);

impl Running {
    fn new(group: u32) -> Self {
        RUNNING
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(group);
        Self(group)
    }

    /// It ended by itself: its number may soon be somebody else's.
    fn ended(&self) {
        RUNNING
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.0);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if RUNNING
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.0)
        {
            end(self.0);
        }
    }
}

/// Runs the program. No shell is involved: a file's name cannot become a command.
pub(super) async fn run(
    words: &[String],
    timeout: Duration,
    path: &Path,
    record: &Record,
    mut line: Vec<u8>,
) -> Result<Taken, String> {
    let before = match &record.path {
        Some(_) => {
            let (judged_path, judged) = (path.to_owned(), record.clone());
            let judged = tokio::task::spawn_blocking(move || Judged::open(&judged_path, &judged));
            judged
                .await
                .map_err(|_| "it failed inside".to_owned())??
                .sha256
        }
        // Of an object the line says which version was judged.
        None => (record.sha256.clone()).ok_or_else(|| "it was never judged".to_owned())?,
    };
    let Some((program, arguments)) = words.split_first() else {
        return Err("no program is named".to_owned());
    };
    line.push(b'\n');
    let mut command = Command::new(program);
    command
        .args(arguments)
        .arg(path)
        // It has no business with the service.
        .env_remove(environment::CLIENT_SECRET)
        .env_remove(environment::TOKEN)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .kill_on_drop(true);
    // A group of its own: Ctrl-C lets it finish, and it can be ended with all that it has started.
    #[cfg(unix)]
    command.process_group(0);
    let mut child = command
        .spawn()
        .map_err(|error| format!("cannot run {program}: {}", reason(&error)))?;
    let running = child.id().map(Running::new);
    let mut input = child.stdin.take();
    let work = async {
        if let Some(input) = &mut input {
            // A program that does not read its input is fine.
            let _ = input.write_all(&line).await;
        }
        drop(input);
        child.wait().await
    };
    let ended = tokio::time::timeout(timeout, work).await;
    if let (Some(running), Ok(_)) = (&running, &ended) {
        running.ended();
    }
    match ended {
        Ok(Ok(status)) if status.success() => Ok(Taken {
            to: None,
            before,
            after: crate::input::open(path)
                .and_then(|(mut file, _)| digest(&mut file))
                .ok(),
        }),
        Ok(Ok(status)) => Err(format!("{program} ended with {status}")),
        Ok(Err(error)) => Err(format!("cannot wait for {program}: {}", reason(&error))),
        Err(_) => Err(format!(
            "{program} took more than {} and was ended",
            humantime::format_duration(timeout)
        )),
    }
}
