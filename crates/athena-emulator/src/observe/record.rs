use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use athena_proto::{ClassificationInput, ClassificationOutput};
use serde::Serialize;

use crate::error::Error;

/// How many inputs are kept in memory.
const KEPT: usize = 1000;

/// One input as it arrived, without its image, and how it was answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
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
    /// The error's message, when it was answered by an error.
    pub error: Option<String>,
}

impl RecordedInput {
    pub(super) fn new(
        deployment: Option<&str>,
        client: &str,
        input: &ClassificationInput,
        output: &ClassificationOutput,
    ) -> Self {
        let unix = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Self {
            unix_ms: unix.as_millis() as u64,
            deployment: deployment.map(str::to_owned),
            client: client.to_owned(),
            affiliate: input.affiliate.clone(),
            correlation_id: input.correlation_id.clone(),
            encoding: encoding_name(input),
            format: format_name(input),
            bytes: input.data.len(),
            hashes: input
                .hashes
                .iter()
                .map(|hash| format!("{}:{}", hash_name(hash.r#type), hash.value))
                .collect(),
            error: output.error.as_ref().map(|error| error.message.clone()),
        }
    }
}

pub(super) fn encoding_name(input: &ClassificationInput) -> String {
    athena_proto::RequestEncoding::try_from(input.encoding).map_or_else(
        |_| input.encoding.to_string(),
        |encoding| short(encoding.as_str_name(), "REQUEST_ENCODING_"),
    )
}

pub(super) fn format_name(input: &ClassificationInput) -> String {
    athena_proto::ImageFormat::try_from(input.format).map_or_else(
        |_| input.format.to_string(),
        |format| short(format.as_str_name(), "IMAGE_FORMAT_"),
    )
}

pub(super) fn hash_name(kind: i32) -> String {
    athena_proto::HashType::try_from(kind).map_or_else(
        |_| kind.to_string(),
        |kind| short(kind.as_str_name(), "HASH_TYPE_"),
    )
}

pub(super) fn error_name(code: i32) -> String {
    athena_proto::ErrorCode::try_from(code).map_or_else(
        |_| code.to_string(),
        |code| short(code.as_str_name(), "ERROR_CODE_"),
    )
}

fn short(name: &str, prefix: &str) -> String {
    name.strip_prefix(prefix).unwrap_or(name).to_owned()
}

/// The last inputs in memory, and all of them in a file if one is wanted.
pub(super) struct Log {
    last: VecDeque<RecordedInput>,
    file: Option<BufWriter<File>>,
}

impl Log {
    pub(super) fn new(path: Option<&Path>) -> Result<Self, Error> {
        let file = path
            .map(|path| {
                let file = File::options().create(true).append(true).open(path);
                file.map(BufWriter::new)
                    .map_err(Error::file("open the recording", path))
            })
            .transpose()?;
        Ok(Self {
            last: VecDeque::new(),
            file,
        })
    }

    pub(super) fn add(&mut self, inputs: impl IntoIterator<Item = RecordedInput>) {
        for input in inputs {
            if let Some(file) = &mut self.file {
                let written = serde_json::to_writer(&mut *file, &input)
                    .map_err(std::io::Error::from)
                    .and_then(|()| file.write_all(b"\n"));
                if let Err(error) = written {
                    tracing::error!(%error, "the recording cannot be written and stops here");
                    self.file = None;
                }
            }
            if self.last.len() == KEPT {
                self.last.pop_front();
            }
            self.last.push_back(input);
        }
        if let Some(Err(error)) = self.file.as_mut().map(Write::flush) {
            tracing::error!(%error, "the recording cannot be written and stops here");
            self.file = None;
        }
    }

    pub(super) fn last(&self) -> Vec<RecordedInput> {
        self.last.iter().cloned().collect()
    }
}
