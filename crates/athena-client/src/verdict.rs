//! What the service says about an image.

use std::sync::Arc;

use athena_proto::Classification;

use crate::prepared::Provenance;

const UNKNOWN: &str = "UnknownCSAM-";
const KNOWN: &str = "KnownCSAM-";
const PCSAM: &str = "UnknownCSAM-PCSAM";
const ENTROPY: &str = "UnknownCSAM-Entropy";

/// The service's answer for one image: a weight for each label.
///
/// Labels are kept as the service sent them, unknown ones included; any label may be missing. Use
/// [`pcsam`](Self::pcsam) and [`known_match`](Self::known_match) for a decision.
///
/// ```
/// # fn decide(verdict: &athena_client::Verdict) -> &'static str {
/// if verdict.known_match() {
///     "known content"
/// } else if verdict.pcsam().is_none_or(|p| p >= 0.8) {
///     "review" // no overall probability is not an all-clear
/// } else {
///     "pass"
/// }
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Verdict {
    correlation_id: Arc<str>,
    weights: Vec<(Box<str>, f32)>,
    provenance: Option<Arc<Provenance>>,
    sends: Option<u32>,
    frames: Option<Frames>,
}

/// The frames of an animation that were judged.
#[derive(Debug, Clone)]
struct Frames {
    /// The one whose verdict is the image's.
    worst: u32,
    all: Arc<[(u32, Verdict)]>,
}

impl Verdict {
    /// A verdict with these weights: what a test, or a cache of earlier answers, needs.
    pub fn new<L: Into<String>>(
        correlation_id: impl Into<Arc<str>>,
        weights: impl IntoIterator<Item = (L, f32)>,
    ) -> Self {
        Self {
            correlation_id: correlation_id.into(),
            weights: weights
                .into_iter()
                .map(|(label, weight)| (label.into().into_boxed_str(), weight))
                .collect(),
            provenance: None,
            sends: None,
            frames: None,
        }
    }

    pub(crate) fn from_wire(id: Arc<str>, classifications: Vec<Classification>) -> Self {
        Self::new(id, classifications.into_iter().map(|c| (c.label, c.weight)))
    }

    pub(crate) fn with_provenance(mut self, provenance: &Arc<Provenance>) -> Self {
        self.provenance = Some(Arc::clone(provenance));
        self
    }

    /// What is known of the image's file. `None` for results that this process did not send, such
    /// as [`Unclaimed`](crate::Unclaimed) ones.
    pub fn provenance(&self) -> Option<&Provenance> {
        self.provenance.as_deref()
    }

    pub(crate) fn with_sends(mut self, sends: u32) -> Self {
        self.sends = Some(sends);
        self
    }

    /// How often the image was handed to a connection, and may be billed: more than once where a
    /// connection broke before there was an answer. `None` for results that this process did not send.
    pub fn sends(&self) -> Option<u32> {
        self.sends
    }

    /// The verdict on an animation, of those on its frames: the worst. Known content before all, then what has no overall probability, which
    /// is not an all-clear, then the greatest; the first of equals.
    pub(crate) fn of_frames(mut judged: Vec<(u32, Self)>, place: u32, last: Self) -> Self {
        fn gravity(verdict: &Verdict) -> (bool, f32) {
            (
                verdict.known_match(),
                verdict.pcsam().unwrap_or(f32::INFINITY),
            )
        }
        let (mut worst, mut verdict) = (place, last.clone());
        for (place, earlier) in judged.iter().rev() {
            let ((known, pcsam), (known_before, pcsam_before)) =
                (gravity(&verdict), gravity(earlier));
            if (known_before.cmp(&known))
                .then(pcsam_before.total_cmp(&pcsam))
                .is_ge()
            {
                (worst, verdict) = (*place, earlier.clone());
            }
        }
        judged.push((place, last));
        verdict.frames = Some(Frames {
            worst,
            all: judged.into(),
        });
        verdict
    }

    /// Where several frames of an animation were judged: the place, from 0, of the one whose verdict this is. See
    /// [`Image::frames`](crate::Image::frames).
    pub fn frame(&self) -> Option<u32> {
        self.frames.as_ref().map(|frames| frames.worst)
    }

    /// The frames of an animation that were judged, with their places and verdicts; none where the image was judged as one.
    pub fn frames(&self) -> impl ExactSizeIterator<Item = (u32, &Verdict)> {
        let all = self.frames.as_ref().map(|frames| &*frames.all);
        let all = all.unwrap_or_default().iter();
        all.map(|(place, verdict)| (*place, verdict))
    }

    /// The correlation id under which the image was sent.
    pub fn correlation_id(&self) -> &str {
        &self.correlation_id
    }

    /// All labels with their weights, in the service's order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, f32)> {
        self.weights
            .iter()
            .map(|(label, weight)| (&**label, *weight))
    }

    /// The weight of a label, `None` when the answer lacks it.
    pub fn weight(&self, label: &str) -> Option<f32> {
        self.iter()
            .find(|(l, _)| *l == label)
            .map(|(_, weight)| weight)
    }

    /// The overall probability, 0 to 1: the one for a yes/no decision (`UnknownCSAM-PCSAM`).
    ///
    /// `None` when the image was checked by hash alone, or matched a known hash.
    pub fn pcsam(&self) -> Option<f32> {
        self.weight(PCSAM)
    }

    /// How undecided the classifier is (`UnknownCSAM-Entropy`); may exceed 1.
    pub fn entropy(&self) -> Option<f32> {
        self.weight(ENTROPY)
    }

    /// The classifier's categories with their weights, which sum to about 1. `classA` stands for
    /// the label `UnknownCSAM-classA`.
    pub fn categories(&self) -> impl Iterator<Item = (&str, f32)> {
        self.iter()
            .filter(|(label, _)| !matches!(*label, PCSAM | ENTROPY))
            .filter_map(|(label, weight)| Some((label.strip_prefix(UNKNOWN)?, weight)))
    }

    /// The category of the greatest weight.
    pub fn top_category(&self) -> Option<(&str, f32)> {
        self.categories().max_by(|a, b| a.1.total_cmp(&b.1))
    }

    /// Whether a hash of the original file is that of known content (any `KnownCSAM-` label of
    /// weight 1). `false` also when no hash was looked up: see [`hash_checked`](Self::hash_checked).
    pub fn known_match(&self) -> bool {
        self.known().any(|weight| weight >= 1.0)
    }

    /// Whether the service looked at least one hash up.
    pub fn hash_checked(&self) -> bool {
        self.known().next().is_some()
    }

    fn known(&self) -> impl Iterator<Item = f32> {
        self.iter()
            .filter(|(label, _)| label.starts_with(KNOWN))
            .map(|(_, weight)| weight)
    }
}

/// Equal is what says the same of the same id, wherever its image came from.
impl PartialEq for Verdict {
    fn eq(&self, other: &Self) -> bool {
        self.correlation_id == other.correlation_id && self.weights == other.weights
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_read_as_documented() {
        let verdict = Verdict::new(
            "a",
            [
                ("UnknownCSAM-classA", 0.2),
                ("UnknownCSAM-adult", 0.8),
                ("UnknownCSAM-PCSAM", 0.3),
                ("UnknownCSAM-Entropy", 1.4),
                ("KnownCSAM-MD5", 0.0),
                ("SomethingNew", 0.5),
            ],
        );
        assert_eq!(verdict.pcsam(), Some(0.3));
        assert_eq!(verdict.entropy(), Some(1.4));
        assert_eq!(verdict.top_category(), Some(("adult", 0.8)));
        assert_eq!(verdict.categories().count(), 2);
        assert!(verdict.hash_checked() && !verdict.known_match());
        assert_eq!(verdict.weight("SomethingNew"), Some(0.5));
    }

    #[test]
    fn the_worst_frame_speaks_for_all() {
        let pcsam = |weight| Verdict::new("a", [("UnknownCSAM-PCSAM", weight)]);
        let worst = |mut judged: Vec<Verdict>| {
            let last = judged.pop().expect("a verdict");
            let place = 3 * judged.len() as u32;
            let judged = (0..).step_by(3).zip(judged).collect();
            let verdict = Verdict::of_frames(judged, place, last);
            (verdict.frame(), verdict.frames().len())
        };
        assert_eq!(
            worst(vec![pcsam(0.1), pcsam(0.9), pcsam(0.9)]),
            (Some(3), 3)
        );
        let silent = Verdict::new("a", [("KnownCSAM-MD5", 0.0)]);
        assert_eq!(worst(vec![pcsam(1.0), silent.clone()]), (Some(3), 2));
        let known = Verdict::new("a", [("KnownCSAM-MD5", 1.0), ("UnknownCSAM-PCSAM", 0.0)]);
        assert_eq!(worst(vec![silent, pcsam(1.0), known]), (Some(6), 3));
        assert_eq!((pcsam(0.1).frame(), pcsam(0.1).frames().len()), (None, 0));
    }

    #[test]
    fn a_known_hash_matches_without_the_other_labels() {
        let verdict = Verdict::new("a", [("KnownCSAM-MD5", 0.0), ("KnownCSAM-SHA1", 1.0)]);
        assert!(verdict.known_match());
        assert_eq!(verdict.pcsam(), None);
        assert!(!Verdict::new("a", [("UnknownCSAM-PCSAM", 1.0)]).hash_checked());
    }
}
