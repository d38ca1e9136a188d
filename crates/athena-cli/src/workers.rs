//! The threads that prepare images: the same ones for all, since each keeps large buffers for the next. The runtime's
//! would take turns, many more of them than are ever busy.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use tokio::sync::oneshot;

type Job = Box<dyn FnOnce() + Send>;

/// A number of threads. They end when this is gone and what they were given is done.
#[derive(Debug)]
pub(crate) struct Workers {
    jobs: Sender<Job>,
}

impl Workers {
    pub(crate) fn new(threads: usize) -> io::Result<Self> {
        let (jobs, next) = channel();
        let next = Arc::new(Mutex::new(next));
        for _ in 0..threads {
            let next = Arc::clone(&next);
            let name = thread::Builder::new().name("prepare".into());
            name.spawn(move || work(&next))?;
        }
        Ok(Self { jobs })
    }

    /// Runs a job in its turn. Nothing comes back from one that panics.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let (sender, receiver) = oneshot::channel();
        // Nobody may wait any longer.
        let job = move || drop(sender.send(job()));
        self.jobs.send(Box::new(job)).ok()?;
        receiver.await.ok()
    }
}

fn work(next: &Mutex<Receiver<Job>>) {
    loop {
        // One waits for the next job, the others for their turn to wait.
        let job = next.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        // Its hook has reported a panic, and whoever waits learns that nothing comes.
        drop(catch_unwind(AssertUnwindSafe(job)));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use futures_util::future::join_all;

    use super::*;

    #[tokio::test]
    async fn all_jobs_are_done_by_the_same_few_threads() {
        let workers = Workers::new(2).unwrap();
        let jobs = (0..200).map(|number| workers.run(move || (number, thread::current().id())));
        let done = join_all(jobs).await;
        let numbers: Vec<_> = done.iter().flatten().map(|(number, _)| *number).collect();
        assert!(numbers.iter().copied().eq(0..200));
        let threads: HashSet<_> = done.iter().flatten().map(|(_, thread)| *thread).collect();
        assert!(threads.len() <= 2, "{threads:?}");
    }

    #[tokio::test]
    async fn a_job_that_panics_gives_nothing_and_the_next_is_done() {
        let workers = Workers::new(1).unwrap();
        assert_eq!(workers.run(|| -> u8 { panic!("on purpose") }).await, None);
        assert_eq!(workers.run(|| 7).await, Some(7));
    }
}
