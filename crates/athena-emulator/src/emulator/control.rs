use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::error::{Error, Repr};
use crate::listener::{Restart, Signal};
use crate::state::Emulated;

/// The longest that the gRPC port can be told to be closed: what is longer is a slip of the pen.
const MAX_DOWNTIME: Duration = Duration::from_secs(3600);

/// What can be done to the streams, the connections and the listener of gRPC.
pub(crate) struct Control {
    pub(super) state: Arc<Emulated>,
    pub(super) restarts: mpsc::Sender<Restart>,
}

impl Control {
    pub(crate) fn cut_streams(&self) {
        self.state.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Without a connection there is nobody to be told.
    pub(crate) fn signal(&self, signal: Signal) {
        let _ = self.state.signals.send(signal);
    }

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
