//! Outcomes that are sent to the caller: signed, retried, and only to where the operator allows.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use athena_net::Network;
use athena_outcome::Record;
use data_encoding::HEXLOWER;
use reqwest::Client;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use ring::hmac;
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use url::Url;

use crate::address::{AddressRules, Guard};
use crate::builder::SetupError;
use crate::gateway::Gateway;
use crate::problem::{Kind, Problem};
use crate::trace::{Trace, headers};

/// Time for one attempt.
const ATTEMPT: Duration = Duration::from_secs(10);
/// Attempts in all: the waits between them double from one second, so that the last is about four
/// minutes after the first.
const ATTEMPTS: u32 = 9;
/// Webhooks under way at the same time, those that wait for another attempt included.
const MOST: usize = 1_000;
/// The fewest bytes of a secret that cannot be guessed.
const LEAST_SECRET: usize = 16;

/// How webhooks are sent: with which secret, to where, trusting whom.
pub struct Webhooks {
    key: hmac::Key,
    guard: Guard,
    network: Network,
}

impl Webhooks {
    /// Webhooks signed with this secret, to URLs and addresses that the guard lets pass. Of the network only
    /// whom it trusts counts: they go through no proxy, which would resolve names by itself.
    ///
    /// # Errors
    /// When the secret has fewer than 16 bytes.
    pub fn new(secret: &[u8], guard: Guard, network: Network) -> Result<Self, SetupError> {
        if secret.len() < LEAST_SECRET {
            return Err(SetupError(format!(
                "the webhook secret has fewer than {LEAST_SECRET} bytes"
            )));
        }
        Ok(Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, secret),
            guard,
            network,
        })
    }
}

impl fmt::Debug for Webhooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhooks")
            .field("guard", &self.guard)
            .finish_non_exhaustive()
    }
}

/// Sends them.
#[derive(Debug)]
pub(crate) struct Sender {
    network: Network,
    /// Made by the first webhook: trusting somebody takes reading the system's list.
    http: OnceCell<Client>,
    key: hmac::Key,
    guard: Guard,
    room: Arc<Semaphore>,
    tasks: TaskTracker,
    stopping: CancellationToken,
}

/// Resolves names to addresses that may be connected to, and to no others.
#[derive(Debug)]
struct Guarded(AddressRules);

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let rules = self.0;
        Box::pin(async move {
            // The port is the connector's to set.
            let found = rules.resolve(name.as_str(), 0).await?;
            let addresses: Box<dyn Iterator<Item = SocketAddr> + Send> =
                Box::new(found.into_iter());
            Ok(addresses as Addrs)
        })
    }
}

impl Sender {
    pub(crate) fn new(webhooks: Webhooks, tasks: TaskTracker, stopping: CancellationToken) -> Self {
        Self {
            network: webhooks.network,
            http: OnceCell::new(),
            key: webhooks.key,
            guard: webhooks.guard,
            room: Arc::new(Semaphore::new(MOST)),
            tasks,
            stopping,
        }
    }

    async fn http(&self) -> Option<&Client> {
        let made = self.http.get_or_try_init(|| async {
            let builder = self.network.http_client().await;
            (builder.dns_resolver(Arc::new(Guarded(self.guard.rules()))))
                .no_proxy()
                .timeout(ATTEMPT)
                .build()
        });
        (made.await)
            .inspect_err(|error| tracing::error!(%error, "webhooks cannot be sent"))
            .ok()
    }
}

impl Gateway {
    /// Whether a webhook may be sent there: asked before anything is done for it.
    pub(crate) fn check_webhook(&self, url: &str) -> Result<Url, Problem> {
        let Some(sender) = &self.shared.webhooks else {
            let detail = "this server sends no webhooks: start it with --webhook-allow";
            return Err(Problem::new(Kind::Forbidden, detail));
        };
        let url = (sender.guard.check_url(url)).map_err(|error| {
            Problem::new(Kind::Forbidden, format!("the webhook's URL: {error}"))
        })?;
        if sender.room.available_permits() == 0 {
            let detail = "too many webhooks are under way";
            return Err(Problem::new(Kind::Overloaded, detail).retry_after(Duration::from_secs(5)));
        }
        Ok(url)
    }

    /// Sends an outcome, by and by. Every webhook is counted once, by how it ended.
    pub(crate) fn send_webhook(&self, url: &str, record: Arc<Record>) -> Result<(), Problem> {
        let dropped = |problem| {
            self.shared.metrics.webhook("dropped");
            problem
        };
        let url = self.check_webhook(url).map_err(dropped)?;
        let Some(sender) = &self.shared.webhooks else {
            return Ok(());
        };
        let Ok(permit) = Arc::clone(&sender.room).try_acquire_owned() else {
            self.shared.metrics.webhook("dropped");
            return Ok(());
        };
        let gateway = self.clone();
        sender.tasks.spawn(Trace::current().around(async move {
            let result = gateway.deliver(url, record, permit).await;
            gateway.shared.metrics.webhook(result);
        }));
        Ok(())
    }

    async fn deliver(
        &self,
        url: Url,
        record: Arc<Record>,
        _room: OwnedSemaphorePermit,
    ) -> &'static str {
        let (Some(sender), Ok(body)) = (&self.shared.webhooks, serde_json::to_vec(&*record)) else {
            return "failed";
        };
        let mut wait = Duration::from_secs(1);
        for attempt in 1..=ATTEMPTS {
            match sender.attempt(url.clone(), &body).await {
                Attempt::Delivered => return "delivered",
                Attempt::Refused => return "refused",
                Attempt::Failed if attempt == ATTEMPTS => break,
                Attempt::Failed => {}
            }
            // Not all that failed together come back together.
            let jittered = wait.mul_f64(0.75 + fastrand::f64() / 2.0);
            wait *= 2;
            tokio::select! {
                () = tokio::time::sleep(jittered) => {}
                // One last attempt: the server is on its way out.
                () = sender.stopping.cancelled() => {
                    return match sender.attempt(url, &body).await {
                        Attempt::Delivered => "delivered",
                        Attempt::Refused | Attempt::Failed => "abandoned",
                    };
                }
            }
        }
        "failed"
    }
}

enum Attempt {
    Delivered,
    /// The receiver does not want it, now or ever.
    Refused,
    Failed,
}

impl Sender {
    async fn attempt(&self, url: Url, body: &[u8]) -> Attempt {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let signature = sign(&self.key, now.unwrap_or_default().as_secs(), body);
        let Some(http) = self.http().await else {
            return Attempt::Failed;
        };
        // Redirects are not followed: they lead to where nobody has allowed to go.
        let request = (http.post(url))
            .header("content-type", "application/json")
            .header("athena-signature", signature)
            .headers(headers())
            .body(body.to_vec());
        match request.send().await {
            Ok(response) if response.status().is_success() => Attempt::Delivered,
            Ok(response) if response.status() == reqwest::StatusCode::GONE => Attempt::Refused,
            Ok(_) | Err(_) => Attempt::Failed,
        }
    }
}

/// `t=SECONDS,v1=HEX`: HMAC-SHA256 of the seconds, a dot, and the body. The time lets a receiver refuse
/// what somebody has recorded and sends again.
fn sign(key: &hmac::Key, seconds: u64, body: &[u8]) -> String {
    let mut context = hmac::Context::with_key(key);
    context.update(format!("{seconds}.").as_bytes());
    context.update(body);
    format!(
        "t={seconds},v1={}",
        HEXLOWER.encode(context.sign().as_ref())
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_what_the_documentation_says() {
        // printf '1700000000.{}' | openssl dgst -sha256 -hmac 0123456789abcdef
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"0123456789abcdef");
        assert_eq!(
            sign(&key, 1_700_000_000, b"{}"),
            "t=1700000000,v1=e4f8e2ecae2295b2ddb2f0b5584c8275e226c0ebe9b3b819e70156bb67122e3e"
        );
    }
}
