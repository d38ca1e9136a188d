use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

use athena_proto::{ClassificationInput, ClassificationOutput, ErrorCode};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::rules::{AnswerError, Circumstances};
use crate::sync::lock;

/// How many inputs are kept in memory.
const KEPT: usize = 1000;
/// Of each text, in characters: a caller may send megabytes for a name, which would be kept a thousand times.
const KEPT_TEXT: usize = 512;
/// Of an input's hashes.
const KEPT_HASHES: usize = 16;

/// One input as it arrived, without its image, and how it was answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RecordedInput {
    /// Milliseconds since 1970.
    pub unix_ms: u64,
    /// The deployment, for an input of a stream.
    pub deployment: Option<String>,
    /// The OAuth client that sent it.
    pub client: String,
    /// The affiliate.
    pub affiliate: String,
    /// The correlation id.
    pub correlation_id: String,
    /// The encoding's name in the contract.
    pub encoding: String,
    /// The image format's name in the contract.
    pub format: String,
    /// The length of the data in bytes.
    pub bytes: usize,
    /// The hashes, as `MD5:…` or `SHA1:…`.
    pub hashes: Vec<String>,
    /// SHA-256 of the 448 x 448 BGR frame, when a rule asks for pixels or the inputs go to a file.
    pub pixels: Option<String>,
    /// The name of the rule that answered.
    pub rule: Option<String>,
    /// The weights that were answered, by label.
    pub weights: BTreeMap<String, f32>,
    /// The error that was answered.
    pub error: Option<AnswerError>,
}

impl RecordedInput {
    /// An input that has no answer yet.
    pub(crate) fn new(
        deployment: Option<&str>,
        client: &str,
        input: &ClassificationInput,
        pixels: Option<String>,
    ) -> Self {
        let unix = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Self {
            unix_ms: unix.as_millis() as u64,
            deployment: deployment.map(str::to_owned),
            client: client.to_owned(),
            affiliate: beginning(&input.affiliate),
            correlation_id: beginning(&input.correlation_id),
            encoding: encoding_name(input),
            format: format_name(input),
            bytes: input.data.len(),
            hashes: input
                .hashes
                .iter()
                .take(KEPT_HASHES)
                .map(|hash| format!("{}:{}", hash_name(hash.r#type), beginning(&hash.value)))
                .collect(),
            pixels,
            rule: None,
            weights: BTreeMap::new(),
            error: None,
        }
    }

    /// With its answer, by a rule of this name if by any.
    pub(crate) fn answered(self, output: &ClassificationOutput, rule: Option<String>) -> Self {
        Self {
            rule,
            weights: (output.classifications.iter())
                .map(|label| (label.label.clone(), label.weight))
                .collect(),
            error: output.error.as_ref().map(|error| AnswerError {
                code: error.code(),
                message: beginning(&error.message),
                details: beginning(&error.details),
            }),
            ..self
        }
    }

    /// As rules and filters look at it.
    pub(crate) fn circumstances(&self) -> Circumstances<'_> {
        Circumstances {
            correlation_id: &self.correlation_id,
            affiliate: &self.affiliate,
            deployment: self.deployment.as_deref(),
            format: &self.format,
        }
    }

    /// The digests that tell its image, in lower case.
    pub(crate) fn digests(&self) -> Vec<String> {
        let hashes = self.hashes.iter();
        let hashes = hashes.filter_map(|hash| Some(hash.split_once(':')?.1.to_ascii_lowercase()));
        hashes.chain(self.pixels.clone()).collect()
    }
}

/// As much of a text as is kept.
fn beginning(text: &str) -> String {
    text.chars().take(KEPT_TEXT).collect()
}

fn encoding_name(input: &ClassificationInput) -> String {
    athena_proto::RequestEncoding::try_from(input.encoding).map_or_else(
        |_| input.encoding.to_string(),
        |encoding| short(encoding.as_str_name(), "REQUEST_ENCODING_"),
    )
}

pub(crate) fn format_name(input: &ClassificationInput) -> String {
    athena_proto::ImageFormat::try_from(input.format).map_or_else(
        |_| input.format.to_string(),
        |format| short(format.as_str_name(), "IMAGE_FORMAT_"),
    )
}

fn hash_name(kind: i32) -> String {
    athena_proto::HashType::try_from(kind).map_or_else(
        |_| kind.to_string(),
        |kind| short(kind.as_str_name(), "HASH_TYPE_"),
    )
}

pub(super) fn error_name(code: ErrorCode) -> String {
    short(code.as_str_name(), "ERROR_CODE_")
}

fn short(name: &str, prefix: &str) -> String {
    name.strip_prefix(prefix).unwrap_or(name).to_owned()
}

/// A file that gets a line for each input; all namespaces share it.
#[derive(Default)]
pub(crate) struct Recording(Mutex<Option<BufWriter<File>>>);

impl Recording {
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let file = File::options().create(true).append(true).open(path);
        let file = file.map_err(Error::file("open the recording", path))?;
        Ok(Self(Mutex::new(Some(BufWriter::new(file)))))
    }

    fn add(&self, inputs: &[RecordedInput]) {
        let mut file = lock(&self.0);
        let Some(writer) = file.as_mut() else { return };
        let write = |input: &RecordedInput| {
            serde_json::to_writer(&mut *writer, input)?;
            writer.write_all(b"\n")
        };
        let written = inputs.iter().try_for_each(write);
        if let Err(error) = written.and_then(|()| writer.flush()) {
            tracing::error!(%error, "the recording cannot be written and stops here");
            *file = None;
        }
    }
}

/// The last inputs.
#[derive(Default)]
pub(super) struct Log(VecDeque<RecordedInput>);

impl Log {
    pub(super) fn add(&mut self, inputs: Vec<RecordedInput>, recording: Option<&Recording>) {
        if let Some(recording) = recording {
            recording.add(&inputs);
        }
        self.0.extend(inputs);
        let surplus = self.0.len().saturating_sub(KEPT);
        self.0.drain(..surplus);
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn last(&self) -> impl Iterator<Item = &RecordedInput> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use athena_proto::ImageHash;

    use super::*;

    #[test]
    fn what_a_caller_sends_as_names_is_kept_in_part() {
        let long = "é".repeat(1 << 20);
        let hash = ImageHash {
            value: long.clone(),
            ..ImageHash::default()
        };
        let input = ClassificationInput {
            affiliate: long.clone(),
            correlation_id: long.clone(),
            hashes: vec![hash; 1000],
            ..ClassificationInput::default()
        };
        let recorded = RecordedInput::new(None, "client", &input, None);
        let output = ClassificationOutput {
            error: Some(athena_proto::ClassificationError {
                message: long.clone(),
                details: long,
                ..Default::default()
            }),
            ..ClassificationOutput::default()
        };
        let recorded = recorded.answered(&output, None);
        let text = serde_json::to_string(&recorded).unwrap();
        assert!(text.len() < 64 << 10, "{}", text.len());
        assert_eq!(recorded.affiliate.chars().count(), KEPT_TEXT);
    }
}
