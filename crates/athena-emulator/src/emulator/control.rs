use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::error::{Error, Repr};
use crate::listener::Restart;

/// The longest that the gRPC port can be told to be closed: what is longer is a slip of the pen.
const MAX_DOWNTIME: Duration = Duration::from_secs(3600);

/// Restarts the listener of gRPC.
pub(crate) struct Control {
    pub(super) restarts: mpsc::Sender<Restart>,
}

impl Control {
    pub(crate) async fn restart(&self, downtime: Duration) -> Result<(), Error> {
        if downtime > MAX_DOWNTIME {
            return Err(Error::setting("downtime", "it must be at most an hour"));
        }
        let (done, restarted) = oneshot::channel();
        let stopped = |_| Error::from(Repr::Stopped);
        self.restarts
            .send(Restart { downtime, done })
            .await
            .map_err(|_| stopped(()))?;
        restarted.await.map_err(|_| stopped(()))
    }
}
