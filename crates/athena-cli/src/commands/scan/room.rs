//! Bytes of objects, as many at a time as there is room for.

use std::sync::Arc;

use athena_sources::{Error, Fetched, SourceErrorKind};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::input::Object;

/// The room.
const ROOM_KIB: u32 = 256 * 1024;
/// What is set aside for an object of which nobody has said how large it is.
const EXPECTED_BYTES: u64 = 16 << 20;

/// Bytes of objects that may be in memory, in KiB.
#[derive(Debug)]
pub(super) struct Room(Arc<Semaphore>);

impl Room {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(ROOM_KIB as usize)))
    }

    /// An object's bytes, at most so many, and the room that they take. What is known of its size may be nothing, or wrong.
    pub(super) async fn fetch(
        &self,
        object: &Object,
        most: u64,
    ) -> (Result<Fetched, Error>, Option<OwnedSemaphorePermit>) {
        let expected = object.size.unwrap_or(EXPECTED_BYTES).min(most);
        let room = self.take(expected).await;
        match object.fetch(expected).await {
            Err(error) if error.kind() == SourceErrorKind::TooLarge && expected < most => {
                drop(room);
                let room = self.take(most).await;
                (object.fetch(most).await, room)
            }
            result => (result, room),
        }
    }

    async fn take(&self, bytes: u64) -> Option<OwnedSemaphorePermit> {
        let kib = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX);
        // It is never closed.
        let room = Arc::clone(&self.0).acquire_many_owned(kib.clamp(1, ROOM_KIB));
        room.await.ok()
    }
}
