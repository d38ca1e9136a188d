use std::collections::BTreeMap;

use serde::Serialize;

/// Figures since the start of the emulator. Maps are from a name to how often it was seen; of what callers name, the
/// first hundred are told apart and the rest is `other`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Stats {
    /// Calls by gRPC method, refused ones included.
    pub calls: BTreeMap<String, u64>,
    /// Calls refused for their token.
    pub calls_unauthenticated: u64,
    /// Streams opened so far.
    pub streams_opened: u64,
    /// Streams open now.
    pub streams_open: u64,
    /// Messages of streams that had inputs.
    pub messages: u64,
    /// Messages of streams that had none.
    pub keepalives: u64,
    /// Images, or hashes alone, received in streams and single calls.
    pub inputs: u64,
    /// Bytes of image data, as sent.
    pub input_bytes: u64,
    /// Inputs by their encoding.
    pub encodings: BTreeMap<String, u64>,
    /// Inputs by their image format.
    pub formats: BTreeMap<String, u64>,
    /// Hashes by their type.
    pub hashes: BTreeMap<String, u64>,
    /// Inputs that carried no hash: known content cannot be recognised in them.
    pub inputs_without_hashes: u64,
    /// Inputs whose correlation id was in flight in their deployment already.
    pub correlation_ids_reused: u64,
    /// Inputs answered with classifications.
    pub classified: u64,
    /// Inputs answered with an error, by its code.
    pub errors: BTreeMap<String, u64>,
    /// Results sent on streams.
    pub results_sent: u64,
    /// Results dropped because a backlog was full.
    pub results_dropped: u64,
    /// Results dropped because nobody collected them in time.
    pub results_expired: u64,
    /// Results withheld by fault injection.
    pub results_swallowed: u64,
    /// Token requests that were granted.
    pub tokens_granted: u64,
    /// Token requests that were not.
    pub tokens_refused: u64,
    /// What the clients said of themselves: `x-client-language`, `x-client-version`, `user-agent`.
    pub clients: BTreeMap<String, u64>,
}
