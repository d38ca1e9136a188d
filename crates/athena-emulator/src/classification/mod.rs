//! From an input to its output: checks, decompression, decoding, labels.

mod known;
mod payload;
mod scores;

use athena_proto::{
    Classification, ClassificationError, ClassificationInput, ClassificationOutput, ErrorCode,
    HashType, ImageHash,
};

use std::time::Duration;

use crate::config::{ClientConfig, Config, Labels, Unmatched};
use crate::observe::format_name;
use crate::rules::{Answer, Circumstances, Rulebook, of_pixels, sent_digests};
use bytes::Bytes;
pub(crate) use known::KnownHashes;

/// The side of the frames that the service takes, in pixels.
pub(crate) const FRAME_SIDE: usize = athena_imaging::SIDE;

/// The longest correlation and deployment id, in characters.
pub(crate) const MAX_ID: usize = 64;

const BENIGN: [&str; scores::CATEGORIES] = [
    "Lakeside",
    "Mountains",
    "Trees",
    "Seashore",
    "Ducks",
    "Goose",
];
const LIVE: [&str; scores::CATEGORIES] = [
    "classA",
    "classB",
    "classC",
    "adult",
    "indicative",
    "distraction",
];
/// How many categories, from the first, count towards the overall probability.
const COUNTED: usize = 3;

/// Answers inputs: as the rules say, else by their pixels, of which it understands nothing.
pub(crate) struct Classifier {
    pub(crate) known: KnownHashes,
    pub(crate) rules: Rulebook,
    labels: [String; scores::CATEGORIES],
    omit_scores_on_match: bool,
    labels_with_errors: bool,
    strict: bool,
    unmatched: Unmatched,
    image_bytes: usize,
}

/// An input's output, and what else is known of how it came about.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answered {
    pub(crate) output: ClassificationOutput,
    /// The rule that answered.
    pub(crate) rule: Option<String>,
    /// SHA-256 of the frame, if somebody wants it.
    pub(crate) pixels: Option<String>,
    /// How much later the rule wants the answer.
    pub(crate) delay: Duration,
    /// Whether the rule wants no answer at all.
    pub(crate) silent: bool,
}

impl Answered {
    pub(crate) fn failed(input: &ClassificationInput, error: ClassificationError) -> Self {
        Self {
            output: ClassificationOutput {
                correlation_id: input.correlation_id.clone(),
                classifications: Vec::new(),
                error: Some(error),
            },
            ..Self::default()
        }
    }
}

impl Classifier {
    /// Without rules and known hashes yet.
    pub(crate) fn new(config: &Config) -> Self {
        let categories = match config.labels {
            Labels::Benign => BENIGN,
            Labels::Live => LIVE,
        };
        Self {
            known: KnownHashes::default(),
            rules: Rulebook::default(),
            labels: categories.map(|category| format!("UnknownCSAM-{category}")),
            omit_scores_on_match: config.omit_scores_on_match,
            labels_with_errors: config.labels_with_errors,
            strict: config.strict,
            unmatched: config.unmatched,
            image_bytes: config.limits.image_bytes,
        }
    }

    /// The answer to an input that `client` sent; with the digest of its pixels if `wants_pixels`.
    pub(crate) fn classify(
        &self,
        client: &ClientConfig,
        deployment: Option<&str>,
        input: &ClassificationInput,
        wants_pixels: bool,
    ) -> Answered {
        if let Err(error) = self.check(client, input) {
            return Answered::failed(input, error);
        }
        let wants_pixels = wants_pixels || self.rules.wants_pixels();
        let mut frame = Frame::new(self, input);
        let pixels = wants_pixels.then(|| frame.digest()).flatten();
        let (rule, answer) = self.rule(deployment, input, pixels.as_deref()).unzip();
        let matched = answer.is_some();
        let answer = answer.unwrap_or_default();
        let (delay, silent) = (answer.delay.unwrap_or_default(), answer.silent);
        let (classifications, error) = self.labels(input, &mut frame, matched, answer);
        Answered {
            output: ClassificationOutput {
                correlation_id: input.correlation_id.clone(),
                classifications,
                error,
            },
            rule,
            pixels,
            delay,
            silent,
        }
    }

    /// The digest of an input's pixels, if it has any.
    #[cfg(feature = "upstream")]
    pub(crate) fn pixels(&self, input: &ClassificationInput) -> Option<String> {
        Frame::new(self, input).digest()
    }

    /// What is refused whatever the rules say.
    fn check(
        &self,
        client: &ClientConfig,
        input: &ClassificationInput,
    ) -> Result<(), ClassificationError> {
        if !valid_id(&input.correlation_id) {
            return Err(failure(
                ErrorCode::CorrelationIdInvalid,
                format!("Correlation ID must have 1 to {MAX_ID} characters."),
                format!("it has {}", input.correlation_id.chars().count()),
            ));
        }
        if !client
            .affiliates
            .iter()
            .any(|allowed| allowed == "*" || *allowed == input.affiliate)
        {
            return Err(failure(
                ErrorCode::AffiliateNotPermitted,
                format!(
                    "Affiliate ID '{}' is not permitted for this client or does not have Athena enabled.",
                    input.affiliate
                ),
                String::new(),
            ));
        }
        if input.data.is_empty() && input.hashes.is_empty() {
            return Err(image_error("the input has neither data nor hashes"));
        }
        let of_known_type = |hash: &ImageHash| digits(hash).is_some();
        if input.data.is_empty() && !input.hashes.iter().any(of_known_type) {
            return Err(image_error("the hashes are of no known type"));
        }
        match input.hashes.iter().find(|hash| !well_formed(hash)) {
            Some(hash) if self.strict => Err(image_error(format!(
                "strict: {:?} is not an {} digest in lower-case hexadecimal",
                hash.value,
                hash.r#type().as_str_name().trim_start_matches("HASH_TYPE_")
            ))),
            _ => Ok(()),
        }
    }

    fn rule(
        &self,
        deployment: Option<&str>,
        input: &ClassificationInput,
        pixels: Option<&str>,
    ) -> Option<(String, Answer)> {
        let format = format_name(input);
        let mut digests = sent_digests(input);
        digests.extend(pixels.map(str::to_owned));
        let circumstances = Circumstances {
            correlation_id: &input.correlation_id,
            affiliate: &input.affiliate,
            deployment,
            format: &format,
        };
        self.rules.answer(&circumstances, &digests)
    }

    fn labels(
        &self,
        input: &ClassificationInput,
        frame: &mut Frame<'_>,
        matched: bool,
        answer: Answer,
    ) -> (Vec<Classification>, Option<ClassificationError>) {
        let mut labels = Vec::with_capacity(scores::CATEGORIES + 4);
        let known = self.look_up(input, answer.known, &mut labels);
        let error = match (answer.weights, answer.error) {
            (None, Some(error)) => {
                if !self.labels_with_errors {
                    labels.clear();
                }
                Some(failure(error.code, error.message, error.details))
            }
            (Some(weights), error) => {
                labels.retain(|label| !weights.contains_key(&label.label));
                let given = weights.iter();
                labels.extend(given.map(|(label, weight)| classification(label, *weight)));
                error.map(|error| failure(error.code, error.message, error.details))
            }
            (None, None) if !matched && self.unmatched == Unmatched::Error => {
                labels.clear();
                Some(image_error("no rule of this emulator fits the input"))
            }
            (None, None) if input.data.is_empty() || known && self.omit_scores_on_match => None,
            (None, None) => match frame.pixels() {
                Ok(pixels) => {
                    self.score(pixels, &mut labels);
                    None
                }
                Err(error) => {
                    if !self.labels_with_errors {
                        labels.clear();
                    }
                    Some(error)
                }
            },
        };
        (labels, error)
    }

    /// Adds a label for each type of hash sent; tells whether one of them is known, which a rule may
    /// have decided.
    fn look_up(
        &self,
        input: &ClassificationInput,
        decided: Option<bool>,
        labels: &mut Vec<Classification>,
    ) -> bool {
        let mut matched = false;
        for (kind, label) in [
            (HashType::Md5, "KnownCSAM-MD5"),
            (HashType::Sha1, "KnownCSAM-SHA1"),
        ] {
            let hashes = input.hashes.iter();
            let mut hashes = hashes.filter(|hash| hash.r#type() == kind).peekable();
            if hashes.peek().is_some() {
                let on_list = hashes.any(|hash| self.known.contains(&hash.value));
                let known = decided.unwrap_or(on_list);
                matched |= known;
                labels.push(classification(label, if known { 1.0 } else { 0.0 }));
            }
        }
        matched
    }

    fn score(&self, frame: &[u8], labels: &mut Vec<Classification>) {
        let weights = scores::weights(frame);
        labels.extend(
            self.labels
                .iter()
                .zip(weights)
                .map(|(label, weight)| classification(label, weight)),
        );
        labels.push(classification(
            "UnknownCSAM-Entropy",
            scores::entropy(&weights),
        ));
        let overall = weights[..COUNTED].iter().sum::<f32>().min(1.0);
        labels.push(classification("UnknownCSAM-PCSAM", overall));
    }
}

/// An input's pixels, unpacked at most once and only if they are looked at.
struct Frame<'a> {
    classifier: &'a Classifier,
    input: &'a ClassificationInput,
    unpacked: Option<Result<Bytes, ClassificationError>>,
}

impl<'a> Frame<'a> {
    fn new(classifier: &'a Classifier, input: &'a ClassificationInput) -> Self {
        Self {
            classifier,
            input,
            unpacked: None,
        }
    }

    fn pixels(&mut self) -> Result<&Bytes, ClassificationError> {
        let (input, classifier) = (self.input, self.classifier);
        let unpack = || payload::frame(input, classifier.image_bytes, classifier.strict);
        let unpacked = self.unpacked.get_or_insert_with(unpack);
        unpacked.as_ref().map_err(Clone::clone)
    }

    /// None for an input whose image cannot be unpacked.
    fn digest(&mut self) -> Option<String> {
        if self.input.data.is_empty() {
            return None;
        }
        self.pixels().ok().map(|pixels| of_pixels(pixels))
    }
}

/// How many hexadecimal digits a hash of this type has; none for an unknown type.
fn digits(hash: &ImageHash) -> Option<usize> {
    match hash.r#type() {
        HashType::Md5 => Some(32),
        HashType::Sha1 => Some(40),
        _ => None,
    }
}

/// Whether a hash is as the contract wants it.
fn well_formed(hash: &ImageHash) -> bool {
    let lower = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    digits(hash) == Some(hash.value.len()) && hash.value.bytes().all(lower)
}

/// Whether an id has 1 to 64 characters.
pub(crate) fn valid_id(id: &str) -> bool {
    !id.is_empty() && id.chars().nth(MAX_ID).is_none()
}

pub(crate) fn failure(
    code: ErrorCode,
    message: impl Into<String>,
    details: impl Into<String>,
) -> ClassificationError {
    ClassificationError {
        code: code.into(),
        message: message.into(),
        details: details.into(),
    }
}

/// The error of an image that cannot be classified, worded as the service does.
pub(crate) fn image_error(details: impl std::fmt::Display) -> ClassificationError {
    failure(
        ErrorCode::ModelError,
        format!("Image Classification Error: {details}"),
        String::new(),
    )
}

fn classification(label: &str, weight: f32) -> Classification {
    Classification {
        label: label.to_owned(),
        weight,
    }
}
