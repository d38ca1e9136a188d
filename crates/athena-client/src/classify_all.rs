//! A stream of images to a stream of results.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use futures_core::future::BoxFuture;
use futures_util::stream::FuturesUnordered;

use crate::error::Error;
use crate::image::Image;
use crate::session::{Pending, Session};
use crate::verdict::Verdict;

type Answer<K> = (K, Result<Verdict, Error>);

/// The stream that [`Client::classify_all`](crate::Client::classify_all) returns.
#[must_use = "streams do nothing unless polled"]
pub struct ClassifyAll<S, K> {
    session: Session,
    /// `None` once it has ended.
    images: Option<Pin<Box<S>>>,
    /// The one image that is read ahead, while the session has no room for it.
    next: Option<Submission<K>>,
    pending: FuturesUnordered<Classify<K>>,
    /// The session is this stream's own, to be closed at the end.
    owned: bool,
    closing: Option<BoxFuture<'static, ()>>,
}

struct Submission<K> {
    key: K,
    image: Image,
    /// Waits for room, in the session's queue: only while this stream is being polled, since others
    /// wait behind it.
    waiting: Option<BoxFuture<'static, Result<Pending, Error>>>,
}

impl<S, K> ClassifyAll<S, K> {
    pub(crate) fn new(session: Session, images: S, owned: bool) -> Self {
        Self {
            session,
            images: Some(Box::pin(images)),
            next: None,
            pending: FuturesUnordered::new(),
            owned,
            closing: None,
        }
    }

    /// The session that does the work, for its [`stats`](Session::stats).
    pub fn session(&self) -> &Session {
        &self.session
    }

    fn finish(&mut self) -> BoxFuture<'static, ()> {
        if !self.owned {
            return Box::pin(std::future::ready(()));
        }
        let session = self.session.clone();
        Box::pin(async move {
            // Every image has its result already; this only takes leave of the service.
            let _ = session.close().await;
        })
    }
}

impl<S, K> ClassifyAll<S, K>
where
    S: Stream<Item = (K, Image)>,
{
    /// Hands images to the session while it has room for them. Gives the result of one that it did
    /// not take.
    fn take_in(&mut self, cx: &mut Context<'_>) -> Option<Answer<K>> {
        // Results that are not taken count as pending: a slow consumer slows the intake.
        while self.pending.len() < self.session.capacity() {
            if let Some(mut next) = self.next.take() {
                let waiting = next.waiting.get_or_insert_with(|| {
                    let (session, image) = (self.session.clone(), next.image.clone());
                    Box::pin(async move { session.submit(image).await })
                });
                match waiting.as_mut().poll(cx) {
                    Poll::Pending => {
                        self.next = Some(next);
                        return None;
                    }
                    Poll::Ready(Ok(pending)) => self.pending.push(Classify {
                        key: Some(next.key),
                        pending,
                    }),
                    Poll::Ready(Err(error)) => return Some((next.key, Err(error))),
                }
            }
            match self.images.as_mut()?.as_mut().poll_next(cx) {
                Poll::Pending => return None,
                Poll::Ready(None) => self.images = None,
                Poll::Ready(Some((key, image))) => {
                    self.next = Some(Submission {
                        key,
                        image,
                        waiting: None,
                    });
                }
            }
        }
        None
    }
}

impl<S, K> Stream for ClassifyAll<S, K>
where
    S: Stream<Item = (K, Image)>,
{
    type Item = Answer<K>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if let Some(refused) = this.take_in(cx) {
            return Poll::Ready(Some(refused));
        }
        match Pin::new(&mut this.pending).poll_next(cx) {
            Poll::Ready(Some(answer)) => {
                // The caller may take its time with it.
                if let Some(next) = &mut this.next {
                    next.waiting = None;
                }
                return Poll::Ready(Some(answer));
            }
            Poll::Pending => return Poll::Pending,
            Poll::Ready(None) if this.images.is_some() || this.next.is_some() => {
                return Poll::Pending;
            }
            Poll::Ready(None) => {}
        }
        if this.closing.is_none() {
            this.closing = Some(this.finish());
        }
        if let Some(closing) = &mut this.closing {
            ready!(closing.as_mut().poll(cx));
            this.closing = Some(Box::pin(std::future::ready(())));
        }
        Poll::Ready(None)
    }
}

impl<S, K> Unpin for ClassifyAll<S, K> {}

impl<S, K> fmt::Debug for ClassifyAll<S, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClassifyAll")
            .field("session", &self.session)
            .field("pending", &self.pending.len())
            .finish_non_exhaustive()
    }
}

/// One image under way, with the key that the caller gave it.
struct Classify<K> {
    key: Option<K>,
    pending: Pending,
}

impl<K> Unpin for Classify<K> {}

impl<K> Future for Classify<K> {
    type Output = Answer<K>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let result = ready!(Pin::new(&mut self.pending).poll(cx));
        match self.key.take() {
            Some(key) => Poll::Ready((key, result)),
            None => Poll::Pending,
        }
    }
}
