//! What looks like an image and is left out: counted, so that no gap is silent.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::files::Kind;
use crate::failure::one_line;

/// Counts by kind.
#[derive(Debug, Default)]
pub(super) struct Gaps {
    links: AtomicU64,
    fifos: AtomicU64,
    sockets: AtomicU64,
    devices: AtomicU64,
}

impl Gaps {
    pub(super) fn note(&self, kind: Kind, path: &Path) {
        let (number, what) = match kind {
            Kind::File | Kind::Folder => return,
            Kind::Link => (&self.links, "a symbolic link; --follow follows it"),
            Kind::Fifo => (&self.fifos, "a FIFO"),
            Kind::Socket => (&self.sockets, "a socket"),
            Kind::Device => (&self.devices, "a device"),
        };
        number.fetch_add(1, Relaxed);
        let file = one_line(&path.to_string_lossy());
        tracing::warn!(file, "left out: {what}");
    }

    pub(super) fn links(&self) -> u64 {
        self.links.load(Relaxed)
    }

    /// Each kind that occurred, in words.
    pub(super) fn words(&self) -> Vec<(u64, String)> {
        let kinds = [
            (&self.links, "symbolic links not followed: see --follow"),
            (&self.fifos, "FIFOs left out"),
            (&self.sockets, "sockets left out"),
            (&self.devices, "devices left out"),
        ];
        let counted = kinds
            .into_iter()
            .map(|(number, words)| (number.load(Relaxed), words));
        counted
            .filter(|(number, _)| *number > 0)
            .map(|(number, words)| (number, words.to_owned()))
            .collect()
    }
}
