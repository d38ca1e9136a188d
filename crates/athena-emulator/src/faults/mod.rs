//! What the emulator does wrong on purpose: the plan, and the engine that carries it out.

mod engine;
mod when;

use std::str::FromStr;
use std::time::Duration;

use athena_proto::ErrorCode;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::duration;
pub(crate) use engine::{Engine, MessageFault, Reorder, ResultFault};
pub use when::When;

/// A plan of faults: nothing by default. The same seed and the same requests give the same faults.
///
/// ```
/// use athena_emulator::{Faults, When};
///
/// let faults = Faults::none().seed(7).swallow(When::Every(10)).cut(When::Rate(0.01));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[must_use]
pub struct Faults {
    seed: u64,
    // Calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    reject: Option<Reject>,
    // Messages of a stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    cut: Option<When>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lose: Option<When>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disconnect: Option<When>,
    #[serde(skip_serializing_if = "Option::is_none")]
    goaway: Option<When>,
    #[serde(skip_serializing_if = "Option::is_none")]
    global_error: Option<When>,
    // Results.
    #[serde(skip_serializing_if = "Option::is_none")]
    delay: Option<Delay>,
    #[serde(with = "duration::optional", skip_serializing_if = "Option::is_none")]
    reorder: Option<Duration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    swallow: Option<When>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duplicate: Option<When>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image_error: Option<ImageError>,
    // Token requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<TokenFaults>,
}

impl Faults {
    /// No fault at all.
    pub fn none() -> Self {
        Self::default()
    }

    /// Seeds the random decisions.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Refuses calls with a gRPC status before looking at them.
    pub fn reject(mut self, when: When, status: RejectStatus, pushback: Option<Duration>) -> Self {
        self.reject = Some(Reject {
            when,
            status,
            pushback,
        });
        self
    }

    /// On a stream's message with inputs: takes the inputs, then ends the stream with
    /// `UNAVAILABLE`. The results wait in the deployment's backlog.
    pub fn cut(mut self, when: When) -> Self {
        self.cut = Some(when);
        self
    }

    /// On a stream's message with inputs: ends the stream with `UNAVAILABLE` and forgets the
    /// message, as if it had been lost on the way.
    pub fn lose(mut self, when: When) -> Self {
        self.lose = Some(when);
        self
    }

    /// On a stream's message with inputs: takes the inputs, then drops the TCP connections of all
    /// gRPC clients.
    pub fn disconnect(mut self, when: When) -> Self {
        self.disconnect = Some(when);
        self
    }

    /// On a stream's message with inputs: takes the inputs, then sends `GOAWAY` on all gRPC
    /// connections. Their streams go on; new calls need a new connection.
    pub fn goaway(mut self, when: When) -> Self {
        self.goaway = Some(when);
        self
    }

    /// Answers a stream's message with inputs by a global error alone, which names no image.
    pub fn global_error(mut self, when: When) -> Self {
        self.global_error = Some(when);
        self
    }

    /// Holds every result back. Results with unequal delays overtake each other.
    pub fn delay(mut self, delay: Delay) -> Self {
        self.delay = Some(delay);
        self
    }

    /// Gathers results for this long, then sends them in random order.
    pub fn reorder(mut self, window: Duration) -> Self {
        self.reorder = Some(window);
        self
    }

    /// Never sends a result.
    pub fn swallow(mut self, when: When) -> Self {
        self.swallow = Some(when);
        self
    }

    /// Sends a result twice.
    pub fn duplicate(mut self, when: When) -> Self {
        self.duplicate = Some(when);
        self
    }

    /// Answers an image with an error in place of its classifications.
    pub fn image_error(mut self, when: When, code: ErrorCode) -> Self {
        self.image_error = Some(ImageError { when, code });
        self
    }

    /// Makes the token endpoint misbehave.
    pub fn token(mut self, when: When, fault: TokenFault) -> Self {
        self.token = Some(TokenFaults { when, fault });
        self
    }

    /// A plan that would silently do nothing, or something else than it says, is refused.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let occurrences = [
            ("reject", self.reject.map(|reject| reject.when)),
            ("cut", self.cut),
            ("lose", self.lose),
            ("disconnect", self.disconnect),
            ("goaway", self.goaway),
            ("global_error", self.global_error),
            ("swallow", self.swallow),
            ("duplicate", self.duplicate),
            ("image_error", self.image_error.map(|error| error.when)),
            ("token", self.token.map(|token| token.when)),
        ];
        for (fault, when) in occurrences {
            when.map_or(Ok(()), When::check)
                .map_err(|reason| Error::setting(fault, reason))?;
        }
        if let Some(Delay::Uniform { min, max }) = self.delay
            && min > max
        {
            return Err(Error::setting("delay", "uniform has min above max"));
        }
        Ok(())
    }
}

/// Reads a plan as TOML: `swallow = { every = 10 }`, one fault a line.
impl FromStr for Faults {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let faults: Self = toml::from_str(text)
            .map_err(|error| Error::setting("the plan of faults", error.message()))?;
        faults.check()?;
        Ok(faults)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Reject {
    when: When,
    status: RejectStatus,
    /// Sent as `grpc-retry-pushback-ms`.
    #[serde(
        default,
        with = "duration::optional",
        skip_serializing_if = "Option::is_none"
    )]
    pushback: Option<Duration>,
}

/// The statuses that [`Faults::reject`] refuses calls with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RejectStatus {
    /// `UNAVAILABLE`.
    Unavailable,
    /// `RESOURCE_EXHAUSTED`.
    ResourceExhausted,
    /// `UNAUTHENTICATED`.
    Unauthenticated,
    /// `PERMISSION_DENIED`.
    PermissionDenied,
    /// `INTERNAL`.
    Internal,
}

/// How long results are held back.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Delay {
    /// All for the same time.
    Constant(#[serde(with = "duration")] Duration),
    /// Each for a time between the two, all equally likely: results arrive in any order.
    Uniform {
        /// The shortest time.
        #[serde(with = "duration")]
        min: Duration,
        /// The longest time.
        #[serde(with = "duration")]
        max: Duration,
    },
    /// Each for a time with this mean, exponentially distributed: most are fast and a few are slow.
    Exponential(#[serde(with = "duration")] Duration),
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ImageError {
    when: When,
    #[serde(default = "model_error", with = "error_code")]
    code: ErrorCode,
}

fn model_error() -> ErrorCode {
    ErrorCode::ModelError
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenFaults {
    when: When,
    fault: TokenFault,
}

/// What the token endpoint does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum TokenFault {
    /// Status 429 with `Retry-After`, in whole seconds rounded up.
    Throttle {
        /// How long the client shall wait.
        #[serde(with = "duration")]
        retry_after: Duration,
    },
    /// Status 500 and a body that is not JSON.
    Error,
    /// The right answer, late.
    Slow {
        /// How late.
        #[serde(with = "duration")]
        delay: Duration,
    },
    /// Status 200 and JSON that breaks off.
    Garbage,
}

/// Error codes by the contract's names, without the prefix and in lower case: `model_error`.
pub(crate) mod error_code {
    use athena_proto::ErrorCode;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    const PREFIX: &str = "ERROR_CODE_";

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<ErrorCode, D::Error> {
        let name = String::deserialize(deserializer)?;
        ErrorCode::from_str_name(&format!("{PREFIX}{}", name.to_ascii_uppercase()))
            .ok_or_else(|| D::Error::custom(format_args!("{name:?} is not an error code")))
    }

    pub(crate) fn serialize<S: Serializer>(
        code: &ErrorCode,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let name = code.as_str_name().trim_start_matches(PREFIX);
        serializer.serialize_str(&name.to_ascii_lowercase())
    }
}
