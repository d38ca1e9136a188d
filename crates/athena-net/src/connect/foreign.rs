//! A server in the clear that speaks something other than HTTP/2. Without TLS nobody has agreed on a
//! protocol: a wrong port shows in the first byte of the answer.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Connection;

/// What the server of the latest connection has turned out to speak, shared with that connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Spoken(Arc<AtomicU8>);

impl Spoken {
    pub(super) const TLS: u8 = 1;
    pub(super) const HTTP1: u8 = 2;

    pub(super) fn get(&self) -> u8 {
        self.0.load(Ordering::Relaxed)
    }

    /// For a new connection, of which nothing is known yet.
    pub(super) fn forget(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// An HTTP/2 server begins with a SETTINGS frame, the length of which has a first byte of zero
    /// (RFC 9113, sections 3.4 and 4.1); TLS with an alert or a handshake record (RFC 8446, section
    /// 5.1); HTTP/1 with its name.
    fn hear(&self, first: u8) {
        let spoken = match first {
            21 | 22 => Self::TLS,
            b'H' => Self::HTTP1,
            _ => 0,
        };
        self.0.store(spoken, Ordering::Relaxed);
    }
}

/// A connection in the clear whose first byte is looked at.
pub(super) struct Listening {
    connection: Connection,
    spoken: Option<Spoken>,
}

impl Listening {
    pub(super) fn new(connection: Connection, spoken: Spoken) -> Self {
        Self {
            connection,
            spoken: Some(spoken),
        }
    }
}

impl AsyncRead for Listening {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let polled = Pin::new(&mut this.connection).poll_read(cx, buf);
        if let Some(first) = buf.filled().get(before)
            && let Some(spoken) = this.spoken.take()
        {
            spoken.hear(*first);
        }
        polled
    }
}

impl Listening {
    /// The server may have said its word and left before we were done writing: it can still be read.
    fn explain(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if matches!(written, Poll::Ready(Err(_))) && self.spoken.is_some() {
            // A socket that cannot be written any more becomes readable, if only to say so.
            let read = Pin::new(self).poll_read(cx, &mut ReadBuf::new(&mut [0]));
            std::task::ready!(read).ok();
        }
        written
    }
}

impl AsyncWrite for Listening {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.connection).poll_write(cx, buf);
        self.explain(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.connection).poll_write_vectored(cx, bufs);
        self.explain(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.connection.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().connection).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().connection).poll_shutdown(cx)
    }
}
