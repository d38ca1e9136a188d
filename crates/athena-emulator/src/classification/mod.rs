//! From an input to its output: checks, decompression, decoding, labels.

mod known;
mod payload;
mod scores;

use athena_proto::{
    Classification, ClassificationError, ClassificationInput, ClassificationOutput, ErrorCode,
    HashType,
};

use crate::config::{ClientConfig, Config, Labels};
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

/// Answers inputs. It looks at pixels and understands nothing of them: it is no classifier.
pub(crate) struct Classifier {
    pub(crate) known: KnownHashes,
    labels: [String; scores::CATEGORIES],
    omit_scores_on_match: bool,
    image_bytes: usize,
}

impl Classifier {
    pub(crate) fn new(known: KnownHashes, config: &Config) -> Self {
        let categories = match config.labels {
            Labels::Benign => BENIGN,
            Labels::Live => LIVE,
        };
        Self {
            known,
            labels: categories.map(|category| format!("UnknownCSAM-{category}")),
            omit_scores_on_match: config.omit_scores_on_match,
            image_bytes: config.limits.image_bytes,
        }
    }

    /// The output for an input that `client` sent: classifications, or what is wrong with it.
    pub(crate) fn classify(
        &self,
        client: &ClientConfig,
        input: &ClassificationInput,
    ) -> ClassificationOutput {
        let (classifications, error) = match self.labels(client, input) {
            Ok(classifications) => (classifications, None),
            Err(error) => (Vec::new(), Some(error)),
        };
        ClassificationOutput {
            correlation_id: input.correlation_id.clone(),
            classifications,
            error,
        }
    }

    fn labels(
        &self,
        client: &ClientConfig,
        input: &ClassificationInput,
    ) -> Result<Vec<Classification>, ClassificationError> {
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
        let mut labels = Vec::with_capacity(scores::CATEGORIES + 4);
        let matched = self.look_up(input, &mut labels)?;
        if !(input.data.is_empty() || matched && self.omit_scores_on_match) {
            self.score(input, &mut labels)?;
        }
        Ok(labels)
    }

    /// Adds a label for each type of hash sent; tells whether one of them is known.
    fn look_up(
        &self,
        input: &ClassificationInput,
        labels: &mut Vec<Classification>,
    ) -> Result<bool, ClassificationError> {
        let mut matched = false;
        for (kind, label) in [
            (HashType::Md5, "KnownCSAM-MD5"),
            (HashType::Sha1, "KnownCSAM-SHA1"),
        ] {
            let mut hashes = input
                .hashes
                .iter()
                .filter(|hash| hash.r#type() == kind)
                .peekable();
            if hashes.peek().is_some() {
                let known = hashes.any(|hash| self.known.contains(&hash.value));
                matched |= known;
                labels.push(classification(label, if known { 1.0 } else { 0.0 }));
            }
        }
        if labels.is_empty() && input.data.is_empty() {
            return Err(image_error("the hashes are of no known type"));
        }
        Ok(matched)
    }

    fn score(
        &self,
        input: &ClassificationInput,
        labels: &mut Vec<Classification>,
    ) -> Result<(), ClassificationError> {
        let frame = payload::frame(input, self.image_bytes)?;
        let weights = scores::weights(&frame);
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
        Ok(())
    }
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
