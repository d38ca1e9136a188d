//! Animations of which several frames are judged: sent one after the other, and still one image.
//!
//! Each frame goes under an id of its own, made here, so that a late answer to one is never taken for that to another, nor one
//! frame's for the whole image's.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use athena_proto::ClassificationInput;
use tokio::time::Instant;

use super::{Entry, Machine, Phase, Seq, message_bytes};
use crate::error::Error;
use crate::verdict::Verdict;

#[derive(Debug)]
pub(super) struct Frames {
    /// Those to come, and their places in the animation.
    left: VecDeque<(u32, ClassificationInput)>,
    /// The place of the one that is sent.
    place: u32,
    judged: Vec<(u32, Verdict)>,
}

impl Frames {
    /// The first is sent first.
    pub(super) fn new(further: Vec<(u32, ClassificationInput)>) -> Self {
        Self {
            left: further.into(),
            place: 0,
            judged: Vec::new(),
        }
    }

    pub(super) fn left(&self) -> impl Iterator<Item = &ClassificationInput> {
        self.left.iter().map(|(_, input)| input)
    }
}

impl<W> Machine<W> {
    /// Takes the result of what was sent, and gives the image's; `None` if the next frame is sent first.
    pub(super) fn judged(
        &mut self,
        now: Instant,
        seq: Seq,
        result: Result<Verdict, Error>,
    ) -> Option<Result<Verdict, Error>> {
        let Some(frames) = (self.entries.get_mut(&seq)).and_then(|entry| entry.frames.as_mut())
        else {
            return Some(result);
        };
        let verdict = match result {
            Ok(verdict) => verdict,
            Err(error) => return Some(Err(error)),
        };
        // Nothing is worse than known content.
        if verdict.known_match() || frames.left.is_empty() {
            let judged = std::mem::take(&mut frames.judged);
            return Some(Ok(Verdict::of_frames(judged, frames.place, verdict)));
        }
        frames.judged.push((frames.place, verdict));
        self.next_frame(now, seq);
        None
    }

    fn next_frame(&mut self, now: Instant, seq: Seq) {
        let gate_was_shut = self.gate_is_shut();
        let Some(entry) = self.entries.get_mut(&seq) else {
            return;
        };
        let next = entry.frames.as_mut().and_then(|frames| {
            let (place, input) = frames.left.pop_front()?;
            frames.place = place;
            Some(input)
        });
        let Some(mut input) = next else { return };
        let (phase, bytes_before) = (entry.phase, entry.bytes);
        self.ids.remove(&entry.sent_as);
        entry.send_as(self.mint.next(), &mut input, &mut self.ids, seq);
        entry.bytes = message_bytes(&input);
        entry.input = input;
        entry.earlier_sends += entry.sends;
        (entry.sends, entry.excused, entry.ticket) = (0, 0, None);
        let bytes = entry.bytes;
        self.weight = self.weight - entry.weight + bytes;
        entry.weight = bytes;
        self.leave(seq, phase, bytes_before);
        // The image has waited longer than those behind it.
        let place = self.queue.push_front(now, seq, bytes);
        if let Some(entry) = self.entries.get_mut(&seq) {
            entry.phase = Phase::Queued(place);
        }
        self.effects.wake_room = true;
        self.effects.wake_senders |= gate_was_shut && !self.gate_is_shut();
        self.queue_changed();
    }
}

impl<W> Entry<W> {
    /// Gives the next input an id of its own.
    pub(super) fn send_as(
        &mut self,
        id: Arc<str>,
        input: &mut ClassificationInput,
        ids: &mut HashMap<Arc<str>, Seq>,
        seq: Seq,
    ) {
        input.correlation_id = id.to_string();
        ids.insert(Arc::clone(&id), seq);
        self.sent_as = id;
    }
}
