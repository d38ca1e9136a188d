//! A cache in front of anything that fetches tokens.

mod cell;
mod clock;
mod flight;
mod hits;
mod machine;
#[cfg(test)]
mod model;
mod runtime;
mod sync;
mod timing;
mod usage;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use self::cell::{Cell, Quiet};
use self::clock::Clock;
use self::flight::Flight;
use self::machine::{Decision, FlightId, Launch, Machine};
pub use self::timing::Timing;
use self::usage::Monitor;
pub use self::usage::{TokenEvent, Usage};
use crate::token::TokenId;
use crate::{AuthError, AuthErrorKind, BoxFuture, Fetch, Token, TokenSource};

/// What those who wait for a flight get, all of them: were they only told that there is a token,
/// the first to wake could have it rejected, and the others would wait again.
type Outcome = Result<Token, AuthError>;

/// A caller whose flights keep disappearing is on a runtime that is shutting down.
const MAX_RELAUNCHES: u32 = 3;

/// A token source around any async function that obtains a token.
///
/// - However many callers find no token, one fetch goes out, and all of them get its result.
///   It belongs to the cache: a caller that is dropped neither cancels nor repeats it.
/// - Before the token expires, a call starts a fetch in the background and still gets the old
///   token at once. While that one is valid no caller sees a failure, or waits for one.
/// - Failed fetches are tried again, further and further apart; see [`Timing`].
/// - A token that the server rejected is dropped by [`TokenSource::invalidate`], and only that one.
/// - A hit takes no lock.
///
/// Nothing runs until the first call, and nothing while nobody calls. A value may be shared
/// between runtimes and outlive the one it was first used on.
///
/// # Example
/// A token that a sidecar writes to a file, and replaces every few minutes:
///
/// ```
/// use std::time::Duration;
/// use athena_auth::{AuthError, Cached, AuthErrorKind, Token, TokenSource};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let path = std::env::temp_dir().join("athena-auth-doc-token");
/// # std::fs::write(&path, "a-token\n")?;
/// let source = Cached::new(move || {
///     let path = path.clone();
///     async move {
///         let text = tokio::task::spawn_blocking(move || std::fs::read_to_string(path))
///             .await
///             .map_err(|error| AuthError::new(AuthErrorKind::Unavailable, "the read was cancelled").with_source(error))?
///             .map_err(|error| AuthError::new(AuthErrorKind::Unavailable, "cannot read the token file").with_source(error))?;
///         Ok(Token::bearer(text)?.with_lifetime(Duration::from_secs(120)))
///     }
/// });
///
/// assert_eq!(source.token().await?.header_value(), "Bearer a-token");
/// # Ok(())
/// # }
/// ```
pub struct Cached<F> {
    shared: Arc<Shared<F>>,
}

struct Shared<F> {
    fetch: F,
    patience: Duration,
    clock: Clock,
    cell: Cell<State>,
    monitor: Monitor,
}

struct State {
    machine: Machine<Token, TokenId, AuthError>,
    /// Where the flight under way will report.
    report: watch::Receiver<Option<Outcome>>,
    task: Option<(FlightId, AbortHandle)>,
}

impl Quiet for State {
    type Token = Token;

    fn quiet(&self) -> Option<(Token, Duration)> {
        self.machine.quiet()
    }
}

/// A decision of the machine, with what it takes to carry it out.
enum Step {
    Use(Token, Option<Start>),
    Wait(watch::Receiver<Option<Outcome>>, Duration, Option<Start>),
    Fail(AuthError),
}

/// A flight to be spawned once the lock is released.
struct Start(Launch, watch::Sender<Option<Outcome>>);

impl<F: Fetch> Cached<F> {
    /// Caches what `fetch` obtains, with the default [`Timing`].
    pub fn new(fetch: F) -> Self {
        Self::with_timing(fetch, Timing::default())
    }

    /// Caches what `fetch` obtains.
    pub fn with_timing(fetch: F, timing: Timing) -> Self {
        let (_, report) = watch::channel(None);
        let patience = timing.patience;
        let state = State {
            machine: Machine::new(timing),
            report,
            task: None,
        };
        Self {
            shared: Arc::new(Shared {
                fetch,
                patience,
                clock: Clock::new(),
                cell: Cell::new(state),
                monitor: Monitor::new(),
            }),
        }
    }

    /// Calls `hook` when a token is asked for, arrives, fails to, or is rejected: for metrics and
    /// audits. It runs on the thread where that happens, and holds up what comes next, so it
    /// should be quick. The first hook stays.
    ///
    /// ```
    /// use athena_auth::{Cached, Token, TokenEvent};
    ///
    /// let source = Cached::new(|| async { Token::bearer("a-token") }).on_event(|event| {
    ///     if let TokenEvent::Failed { error, usable: false, .. } = event {
    ///         eprintln!("calls fail: {error}");
    ///     }
    /// });
    /// ```
    #[must_use]
    pub fn on_event(self, hook: impl Fn(&TokenEvent<'_>) + Send + Sync + 'static) -> Self {
        self.shared.monitor.set_hook(Box::new(hook));
        self
    }

    #[cfg(feature = "oauth")]
    pub(crate) fn fetch(&self) -> &F {
        &self.shared.fetch
    }

    /// What this source has done so far.
    pub fn usage(&self) -> Usage {
        let now = self.shared.clock.now();
        let token = self
            .shared
            .cell
            .change(|state| state.machine.token(now).cloned());
        let expires_at = token.and_then(|token| token.expires_at());
        self.shared.monitor.usage(expires_at)
    }

    async fn obtain(&self) -> Result<Token, AuthError> {
        let runtime = runtime::current()?;
        let patience = self.shared.patience;
        let deadline = self.shared.clock.now().saturating_add(patience);
        for _ in 0..=MAX_RELAUNCHES {
            if let Some(result) = self.shared.join(&runtime, deadline).await {
                return result;
            }
        }
        Err(AuthError::new(
            AuthErrorKind::Runtime,
            "the Tokio runtime is shutting down",
        ))
    }
}

impl<F: Fetch> Shared<F> {
    /// Waits for the flight under way, or launches one, until the deadline of this call. `None` if
    /// the flight disappeared.
    async fn join(
        self: &Arc<Self>,
        runtime: &Handle,
        deadline: Duration,
    ) -> Option<Result<Token, AuthError>> {
        loop {
            let now = self.clock.now();
            if let Some(token) = self.cell.peek(now) {
                self.monitor.hits.add();
                return Some(Ok(token));
            }
            if now >= deadline {
                return Some(Err(self.out_of_patience()));
            }
            let (mut report, lost) = match self.cell.change(|state| state.step(now)) {
                Step::Use(token, start) => {
                    self.spawn(runtime, start);
                    self.monitor.hits.add();
                    return Some(Ok(token));
                }
                Step::Fail(error) => return Some(Err(error)),
                Step::Wait(report, lost, start) => {
                    self.spawn(runtime, start);
                    (report, lost)
                }
            };
            let wait = lost.min(deadline).saturating_sub(now);
            match timeout(wait, report.wait_for(Option::is_some)).await {
                Ok(Ok(outcome)) => return outcome.clone(),
                Ok(Err(_)) => return None,
                // No report yet: ask again, unless the time is up.
                Err(_) => {}
            }
        }
    }

    /// Why this call ends without a token: the last failure, if there was one.
    fn out_of_patience(&self) -> AuthError {
        let last = self
            .cell
            .change(|state| state.machine.last_error().cloned());
        last.unwrap_or_else(|| {
            AuthError::new(AuthErrorKind::Timeout, "no token could be had in time")
        })
    }

    fn tell(&self, event: &TokenEvent<'_>) {
        self.monitor.tell(self.fetch.name(), event);
    }

    fn spawn(self: &Arc<Self>, runtime: &Handle, start: Option<Start>) {
        let Some(Start(launch, report)) = start else {
            return;
        };
        let task = runtime
            .spawn(Flight::new(Arc::clone(self), launch, report).run())
            .abort_handle();
        let replaced = self.cell.change(|state| match &state.task {
            Some((newer, _)) if newer.is_after(launch.id) => Some(task),
            _ => state.task.replace((launch.id, task)).map(|(_, task)| task),
        });
        // Done already, as a rule. If not, nobody runs it any more, and nobody should.
        if let Some(replaced) = replaced {
            replaced.abort();
        }
    }
}

impl State {
    fn step(&mut self, now: Duration) -> Step {
        match self.machine.call(now) {
            Decision::Use(token, launch) => {
                Step::Use(token, launch.map(|launch| self.start(launch)))
            }
            Decision::Wait(launch, lost) => {
                let start = launch.map(|launch| self.start(launch));
                Step::Wait(self.report.clone(), lost, start)
            }
            Decision::Fail(error) => Step::Fail(error),
        }
    }

    /// Lets go of what a flight reports: those who wait hold on to it themselves, and nobody else
    /// should keep a token in memory.
    fn forget_report(&mut self) {
        self.report = watch::channel(None).1;
    }

    fn start(&mut self, launch: Launch) -> Start {
        let (sender, report) = watch::channel(None);
        self.report = report;
        Start(launch, sender)
    }
}

impl<F: Fetch> TokenSource for Cached<F> {
    fn token(&self) -> BoxFuture<'_, Result<Token, AuthError>> {
        Box::pin(async move {
            match self.cached() {
                Some(token) => Ok(token),
                // Boxed for itself, so that a hit does not pay for the size of a miss.
                None => Box::pin(self.obtain()).await,
            }
        })
    }

    fn cached(&self) -> Option<Token> {
        let token = self.shared.cell.peek(self.shared.clock.now())?;
        self.shared.monitor.hits.add();
        Some(token)
    }

    fn invalidate(&self, rejected: &Token) {
        let now = self.shared.clock.now();
        if self
            .shared
            .cell
            .change(|state| state.machine.invalidate(&rejected.id(), now))
        {
            self.shared.fetch.rejected(rejected);
            self.shared.tell(&TokenEvent::Rejected);
        }
    }

    fn metrics(&self) -> Option<Usage> {
        Some(self.usage())
    }
}

impl<F> Drop for Cached<F> {
    fn drop(&mut self) {
        if let Some((_, task)) = self.shared.cell.change(|state| state.task.take()) {
            task.abort();
        }
    }
}

impl<F: Fetch> fmt::Debug for Cached<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cached")
            .field("source", &self.shared.fetch.name())
            .finish_non_exhaustive()
    }
}
